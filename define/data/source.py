"""The text files of a corpus: found in a folder, an archive or on the network, and checked."""

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
from define.data.corpora import CorpusSpec
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
    """Accepted ones ("algorithm:digits"); empty where none is known: then any file will do."""
    gzip_checksum: str | None = None
    """Of `<name>.gz`, if that is what the network has; in a folder, both are accepted."""


@dataclass(frozen=True)
class TextFile:
    """A text file, plain or gzipped, or one in an archive, whose lines can be read more than once.

    What is compressed is read from there: nothing is unpacked that could be left half-written.
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
class Side:
    """One language of a parallel text: a published file, or one in a published archive."""

    file: str
    member: str | None = None

    def text(self, found: Mapping[str, TextFile]) -> TextFile:
        """The text, in the files that `find_published` found."""
        return TextFile(found[self.file].path, self.member)


@dataclass(frozen=True)
class Parallel:
    """Two texts whose lines correspond."""

    source: Side
    target: Side
    sgml: bool = False
    """Whether the sentences are the segments of SGML files."""


def find(
    spec: CorpusSpec, source: str | Path | None, download: bool, cache: Path, quiet: bool
) -> dict[str, TextFile]:
    """The text file of each split, from the folder `source`, or else downloaded into `cache`.

    Raises:
        InputError: a file is missing, cannot be downloaded, or is in an archive that is not the
            published one.
    """
    if source is None and download:
        return _download(spec, cache, quiet)
    folders = _folders(spec.name, source, cache)
    for folder in folders:
        if all((folder / file).is_file() for file in spec.files.values()):
            return {split: TextFile(folder / file) for split, file in spec.files.items()}
        if spec.archive and (folder / spec.archive.name).is_file():
            return _members(spec, folder / spec.archive.name)
    wanted = ", ".join(spec.files.values()) + (f" or {spec.archive.name}" if spec.archive else "")
    raise _missing(wanted, spec.name, source, cache)


def find_published(
    files: Iterable[PublishedFile],
    folder: str,
    source: str | Path | None,
    download: bool,
    cache: Path,
    note: str = "",
    quiet: bool = False,
) -> dict[str, TextFile]:
    """Every file, by name, from `source`, its subfolder `folder`, or `cache`, or else downloaded.

    Args:
        note: what else the user can do when a download fails.
    Raises:
        InputError: a file is missing or cannot be downloaded.
    """
    found = {}
    for file in files:
        names = [file.name, f"{file.name}.gz"] if file.gzip_checksum else [file.name]
        places = [place / name for place in _folders(folder, source, cache) for name in names]
        path = next((place for place in places if place.is_file()), None)
        if source is None and download:
            # Whether a file in the cache will do, its checksum decides.
            checksum = file.gzip_checksum or next(iter(file.checksums), None)
            path = download_file(names[-1], checksum, file.mirrors, cache, note, quiet)
        if path is None:
            raise _missing(" or ".join(names), folder, source, cache)
        found[file.name] = TextFile(path)
    return found


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


def may_be(sha256_digest: str, accepted: tuple[str, ...]) -> bool:
    """Whether a file with this SHA-256 can have one of the accepted checksums."""
    others = any(not checksum.startswith("sha256:") for checksum in accepted)
    return not accepted or others or f"sha256:{sha256_digest}" in accepted


def _folders(name: str, source: str | Path | None, cache: Path) -> list[Path]:
    return [cache] if source is None else [Path(source), Path(source, name)]


def _missing(wanted: str, name: str, source: str | Path | None, cache: Path) -> InputError:
    if source is None:
        return InputError(
            f"{cache} does not hold {wanted}, and downloads are switched off; name a folder that "
            "does with --source or drop --no-download."
        )
    return InputError(
        f"Neither {source} nor its subfolder {name} holds {wanted}; name the folder that does "
        "with --source, or name none (and unset DEFINE_DATA_SOURCE) to download."
    )


def _download(spec: CorpusSpec, cache: Path, quiet: bool) -> dict[str, TextFile]:
    def fetch(name: str, checksum: str) -> Path:
        return download_file(name, checksum, spec.mirrors, cache, spec.download_note, quiet)

    if spec.archive:
        return _members(spec, fetch(spec.archive.name, spec.archive.checksum))
    return {
        split: TextFile(fetch(file, spec.checksums[file][0])) for split, file in spec.files.items()
    }


def _members(spec: CorpusSpec, archive: Path) -> dict[str, TextFile]:
    found = checksums.like(archive, spec.archive.checksum)
    if found != spec.archive.checksum:
        raise InputError(
            f"{archive} is not the published archive: expected {spec.archive.checksum}, found "
            f"{found}; replace it with an unchanged copy."
        )
    return {
        split: TextFile(archive, f"{spec.archive.folder}/{file}")
        for split, file in spec.files.items()
    }
