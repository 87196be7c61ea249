"""Published text files: found in a folder, in an archive or on the network, and checked."""

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from define.data import checksums
from define.data.download import download as download_file
from define.errors import InputError

DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)


@dataclass(frozen=True)
class PublishedFile:
    """A file on the network: a text, perhaps gzipped, or an archive of texts."""

    name: str
    mirrors: tuple[str, ...]
    """URL prefixes, in the order in which they are tried."""
    checksums: tuple[str, ...] = ()
    """Accepted ones ("algorithm:digits"), the published one first; any file will do if empty."""
    gzip_checksum: str | None = None
    """Of `<name>.gz`, if that is what the network has; in a folder, both are accepted."""


@dataclass(frozen=True)
class TextFile:
    """A text file, plain or gzipped, or one in an archive, whose lines can be read repeatedly.

    Compressed text is read from its archive: nothing is unpacked that could be left half-written.
    """

    path: Path
    member: str | None = None
    """Name inside the zip or tar archive `path`; None for a file of its own."""

    @property
    def name(self) -> str:
        """The name of the text file, without folders and ".gz"."""
        return Path(self.member or self.path).name.removesuffix(".gz")

    def __str__(self) -> str:
        return f"{self.member} in {self.path}" if self.member else str(self.path)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Opens the file for reading.

        Raises:
            InputError: the file is damaged, or the archive lacks it.
        """
        try:
            with self._open() as stream:
                yield stream
        except DAMAGE as error:
            raise InputError(
                f"{self.path} is damaged ({error}); replace it with an unchanged copy."
            ) from None

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        if self.member is None:
            opener = gzip.open if self.path.suffix == ".gz" else open
            with opener(self.path, "rb") as stream:
                yield stream
        elif self.path.suffix == ".zip":
            with zipfile.ZipFile(self.path) as archive:
                if self.member not in archive.namelist():
                    raise self._lacks_member()
                with archive.open(self.member) as stream:
                    yield stream
        else:
            with tarfile.open(self.path) as archive:
                # Not `getmember`, which reads the whole archive for its list of names.
                entry = next((e for e in archive if e.name == self.member), None)
                if entry is None:
                    raise self._lacks_member()
                with archive.extractfile(entry) as stream:
                    yield stream

    def _lacks_member(self) -> InputError:
        return InputError(
            f"{self.path} does not hold {self.member}; replace it with an unchanged copy."
        )

    def __iter__(self) -> Iterator[str]:
        # Only "\n" ends a line: a stray "\r" inside a sentence must not add an <eos>.
        with self.open() as stream:
            yield from io.TextIOWrapper(stream, encoding="utf-8", newline="\n")


@dataclass(frozen=True)
class Places:
    """Where the published files of a corpus are looked for.

    Attributes:
        name: of the corpus; a subfolder `name` of `source` is searched too.
        source: a folder; None for the cache and the network.
        download: whether the network may be used when there is no `source`.
        cache: folder of the downloaded files.
        note: what the user can do when a download fails.
        quiet: no progress bars.
    """

    name: str
    source: str | Path | None
    download: bool
    cache: Path
    note: str = ""
    quiet: bool = False

    @property
    def folders(self) -> list[Path]:
        if self.source is None:
            return [self.cache]
        return [Path(self.source), Path(self.source, self.name)]

    def find(self, files: Iterable[PublishedFile], wanted: str = "") -> dict[str, TextFile]:
        """Name -> file, downloaded if need be.

        Args:
            wanted: for the message, what could be there instead of these files.
        Raises:
            InputError: a file is missing or cannot be downloaded.
        """
        found = {}
        for file in files:
            names = [file.name, f"{file.name}.gz"] if file.gzip_checksum else [file.name]
            if self.source is None and self.download:
                # The checksum decides whether a file in the cache will do.
                checksum = file.gzip_checksum or next(iter(file.checksums), None)
                arguments = file.mirrors, self.cache, self.note, self.quiet
                found[file.name] = TextFile(download_file(names[-1], checksum, *arguments))
                continue
            paths = [folder / name for folder in self.folders for name in names]
            path = next((path for path in paths if path.is_file()), None)
            if path is None:
                raise self._missing(" or ".join(filter(None, [wanted, *names])))
            found[file.name] = TextFile(path)
        return found

    def _missing(self, wanted: str) -> InputError:
        if self.source is None:
            return InputError(
                f"{self.cache} does not hold {wanted}, and downloads are switched off; name a "
                "folder that does with --source or drop --no-download."
            )
        return InputError(
            f"Neither {self.source} nor its subfolder {self.name} holds {wanted}; name the folder "
            "that does with --source, or name none (and unset DEFINE_DATA_SOURCE) to download."
        )


def check(accepted: Mapping[str, tuple[str, ...]], files: Mapping[str, TextFile]) -> dict[str, str]:
    """Compares the files with the accepted checksums; where there are none, any file will do.

    Args:
        accepted: file name -> checksums.
    Returns:
        File name -> SHA-256, 64 hexadecimal digits.
    Raises:
        InputError: a file is not an accepted one.
    """
    digests = {}
    for file in files.values():
        expected = accepted[file.name]
        algorithms = [checksum.partition(":")[0] for checksum in expected]
        with file.open() as stream:
            found = checksums.of_stream(stream, {"sha256", *algorithms})
        if expected and not set(expected) & set(found.values()):
            raise InputError(
                f"{file} is not the published file: expected {' or '.join(expected)}, found "
                f"{' and '.join(found[name] for name in dict.fromkeys(algorithms))}; replace it "
                "with an unchanged copy."
            )
        digests[file.name] = found["sha256"].removeprefix("sha256:")
    return digests


def made_from(meta: Mapping[str, Mapping], accepted: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a corpus with this meta.json was made from texts with accepted checksums."""
    digests = meta.get("source_sha256", {})
    return digests.keys() == accepted.keys() and all(
        not checksums
        or f"sha256:{digests[name]}" in checksums
        or any(not checksum.startswith("sha256:") for checksum in checksums)
        for name, checksums in accepted.items()
    )
