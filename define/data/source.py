"""The text files of a corpus: found in a folder, a zip archive or on the network, and checked."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from define.data import checksums
from define.data.corpora import CorpusSpec
from define.data.download import download as download_file
from define.errors import InputError


@dataclass(frozen=True)
class TextFile:
    """A text file, or one in a zip archive, whose lines can be read more than once.

    A file in an archive is read from there: nothing is unpacked that could be left half-written.
    """

    path: Path
    member: str | None = None
    """Name inside the archive `path`; None for a file of its own."""

    @property
    def name(self) -> str:
        """The name of the text file, without folders."""
        return Path(self.member or self.path).name

    def __str__(self) -> str:
        return f"{self.member} in {self.path}" if self.member else str(self.path)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Opens the file for reading.

        Raises:
            InputError: the archive is damaged or lacks the file.
        """
        if self.member is None:
            with open(self.path, "rb") as stream:
                yield stream
            return
        try:
            with zipfile.ZipFile(self.path) as archive:
                if self.member not in archive.namelist():
                    raise InputError(
                        f"{self.path} does not hold {self.member}; replace it with an unchanged "
                        "copy."
                    )
                with archive.open(self.member) as stream:
                    yield stream
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise InputError(
                f"{self.path} is damaged ({error}); replace it with an unchanged copy."
            ) from None

    def __iter__(self) -> Iterator[str]:
        # Only "\n" ends a line: a stray "\r" inside a sentence must not add an <eos>.
        with self.open() as stream:
            yield from io.TextIOWrapper(stream, encoding="utf-8", newline="\n")


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
    folders = [cache] if source is None else [Path(source), Path(source, spec.name)]
    for folder in folders:
        if all((folder / file).is_file() for file in spec.files.values()):
            return {split: TextFile(folder / file) for split, file in spec.files.items()}
        if spec.archive and (folder / spec.archive.name).is_file():
            return _members(spec, folder / spec.archive.name)
    wanted = ", ".join(spec.files.values()) + (f" or {spec.archive.name}" if spec.archive else "")
    if source is None:
        raise InputError(
            f"{cache} does not hold {wanted}, and downloads are switched off; name a folder that "
            "does with --source or drop --no-download."
        )
    raise InputError(
        f"Neither {source} nor its subfolder {spec.name} holds {wanted}; name the folder that does "
        "with --source, or name none (and unset DEFINE_DATA_SOURCE) to download."
    )


def check(spec: CorpusSpec, files: dict[str, TextFile]) -> dict[str, str]:
    """Compares the text files with the accepted checksums.

    Returns:
        File name -> SHA-256, 64 hexadecimal digits.
    Raises:
        InputError: a file is not an accepted one.
    """
    digests = {}
    for file in files.values():
        accepted = spec.checksums[file.name]
        algorithms = [checksum.partition(":")[0] for checksum in accepted]
        with file.open() as stream:
            found = checksums.of_stream(stream, {"sha256", *algorithms})
        if not set(accepted) & set(found.values()):
            raise InputError(
                f"{file} is not the published file: expected {' or '.join(accepted)}, found "
                f"{' and '.join(found[name] for name in dict.fromkeys(algorithms))}; replace it "
                "with an unchanged copy."
            )
        digests[file.name] = found["sha256"].removeprefix("sha256:")
    return digests


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
