"""Lines of two languages that correspond: read from raw files, and kept in files of our own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from define.data.source import TextFile
from define.errors import InputError


@dataclass(frozen=True)
class Side:
    """One language of a parallel text: a published file, or one in a published archive."""

    file: str
    member: str | None = None

    def text(self, found: Mapping[str, TextFile]) -> TextFile:
        """The text, in the files that `Places.find` found."""
        return TextFile(found[self.file].path, self.member)


@dataclass(frozen=True)
class Parallel:
    """Two texts whose lines correspond."""

    source: Side
    target: Side
    sgml: bool = False
    """Whether the sentences are the segments of SGML files."""


class Pair(NamedTuple):
    """Two lines that correspond, without their line ends."""

    source: str
    target: str


class BadPair(ValueError):
    """A pair that cannot be used; the message is the reason."""


def read(source: TextFile, target: TextFile) -> Iterator[tuple[bytes, bytes]]:
    """The lines of two files side by side, with their line ends.

    Raises:
        InputError: at the end, if one file has more lines than the other.
    """
    with source.open() as left, target.open() as right:
        counts = [0, 0]
        for lines in zip_longest(left, right):
            counts = [n + (line is not None) for n, line in zip(counts, lines, strict=True)]
            if None not in lines:
                yield lines
        if counts[0] != counts[1]:
            raise InputError(
                f"{source} has {counts[0]:,} lines but {target} has {counts[1]:,}, and line must "
                "correspond to line; replace both with unchanged copies."
            )


def decode(lines: tuple[bytes, bytes]) -> Pair:
    """The text of two raw lines.

    Raises:
        BadPair: a side is empty or not UTF-8.
    """
    try:
        pair = Pair(*(line.decode().removesuffix("\n") for line in lines))
    except UnicodeDecodeError:
        raise BadPair("not UTF-8") from None
    if not all(side.strip() for side in pair):
        raise BadPair("empty")
    return pair


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file without their ends; only "\\n" ends a line."""
    with open(path, encoding="utf-8", newline="\n") as stream:
        for line in stream:
            yield line.removesuffix("\n")


class Bitext:
    """Corresponding lines in a UTF-8 file for each language; only "\\n" ends a line.

    Args:
        stem: path of the files without the languages, which are their suffixes.
    """

    def __init__(self, stem: Path, source: str, target: str):
        self._paths = (Path(f"{stem}.{source}"), Path(f"{stem}.{target}"))

    @contextmanager
    def writing(self) -> Iterator[Callable[[Pair], None]]:
        """Creates both files and yields a function that appends a pair to them."""
        left, right = self._paths
        with (
            open(left, "w", encoding="utf-8", newline="\n") as source,
            open(right, "w", encoding="utf-8", newline="\n") as target,
        ):

            def write(pair: Pair) -> None:
                source.write(f"{pair.source}\n")
                target.write(f"{pair.target}\n")

            yield write

    def lines(self, side: int) -> Iterator[str]:
        """The lines of side 0 (source) or 1 (target)."""
        return read_lines(self._paths[side])

    def pieces(self, side: int) -> Iterator[list[str]]:
        """The lines of a side, split at spaces and nothing else."""
        return (line.split(" ") for line in self.lines(side))

    def __iter__(self) -> Iterator[Pair]:
        return map(Pair, self.lines(0), self.lines(1))
