"""Lines of two languages that correspond: read from raw files, and kept in files of our own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from define.data.source import TextFile
from define.errors import InputError


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


class Bitext:
    """Corresponding lines in a UTF-8 file for each language; only "\\n" ends a line.

    Args:
        stem: path of the files but for the languages, which follow after a point.
    """

    def __init__(self, stem: Path, source: str, target: str):
        self._paths = (Path(f"{stem}.{source}"), Path(f"{stem}.{target}"))

    @contextmanager
    def writing(self) -> Iterator[Callable[[Pair], None]]:
        """Opens both files anew and yields what appends a pair to them."""
        with ExitStack() as stack:
            source, target = (
                stack.enter_context(open(path, "w", encoding="utf-8", newline="\n"))
                for path in self._paths
            )

            def write(pair: Pair) -> None:
                source.write(f"{pair.source}\n")
                target.write(f"{pair.target}\n")

            yield write

    def lines(self, side: int) -> Iterator[str]:
        """The lines of side 0 (source) or 1 (target)."""
        with open(self._paths[side], encoding="utf-8", newline="\n") as stream:
            for line in stream:
                yield line.removesuffix("\n")

    def pieces(self, side: int) -> Iterator[list[str]]:
        """The lines of a side, split at spaces and nothing else."""
        return (line.split(" ") for line in self.lines(side))

    def __iter__(self) -> Iterator[Pair]:
        return map(Pair, self.lines(0), self.lines(1))
