"""From text files to a prepared corpus: token ids, dictionary and meta.json in one folder."""

import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from define import __version__
from define.data.corpora import DICTIONARY, META, SPLITS, Corpus, CorpusSpec, get_spec, load
from define.data.download import download as download_file
from define.data.vocabulary import Vocabulary
from define.errors import InputError
from define.files import sha256, write_json


def prepare(
    name: str,
    output: str | Path,
    source: str | Path | None = None,
    download: bool = True,
    quiet: bool = False,
    force: bool = False,
    cache: str | Path | None = None,
) -> Corpus:
    """Prepares corpus `name` in the folder `output`, which appears whole or not at all.

    Where `output` already holds the corpus, intact, it is returned as it is.

    Args:
        source: folder with the text files, or with a subfolder `name` that has them; None
            downloads. Ignored for a corpus that is generated.
        download: whether the network may be used when there is no `source`.
        quiet: no progress bars.
        force: prepare again even if `output` is valid.
        cache: folder of the downloaded files; `raw/<name>` beside `output` by default.
    Raises:
        InputError: the name is unknown, a file is missing or not the published one, the counts
            differ from the published ones, or `output` cannot be written.
    """
    spec = get_spec(name)
    output = Path(output).absolute()
    if not force and (prepared := _valid(spec, output)):
        return prepared
    _refuse_foreign(output)
    cache = Path(cache) if cache else output.parent / "raw" / name
    try:
        if spec.generate:
            lines, source_sha256 = spec.generate(), {}
        else:
            files = _find(spec, source, download, cache, quiet)
            source_sha256 = _checksums(spec, files)
            lines = {split: TextLines(path) for split, path in files.items()}
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{name}.", suffix=".tmp", dir=output.parent
        ) as workspace:
            built = Path(workspace, "built")
            built.mkdir()
            _write(spec, lines, source_sha256, built)
            _install(built, output, Path(workspace, "replaced"))
    except OSError as error:
        # Another process may have prepared the same corpus in the meantime.
        if prepared := _valid(spec, output):
            return prepared
        raise InputError(
            f"{output} could not be prepared ({error}); make room or give access, or choose "
            "another folder with --output."
        ) from error
    return load(output)


class TextLines:
    """The lines of a text file, which can be read more than once."""

    def __init__(self, path: Path):
        self._path = path

    def __iter__(self) -> Iterator[str]:
        # Only "\n" ends a line: a stray "\r" inside a sentence must not add an <eos>.
        with open(self._path, encoding="utf-8", newline="\n") as stream:
            yield from stream


def _valid(spec: CorpusSpec, output: Path) -> Corpus | None:
    try:
        corpus = load(output)
    except InputError:
        return None
    same_source = corpus.meta.get("source_sha256") == dict(spec.sha256)
    return corpus if corpus.name == spec.name and same_source else None


def _refuse_foreign(output: Path) -> None:
    ours = {f"{split}.npy" for split in SPLITS} | {DICTIONARY, META}
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file; choose another folder with --output.")
    foreign = sorted(entry.name for entry in output.glob("*") if entry.name not in ours)
    if foreign:
        raise InputError(
            f"{output} holds {foreign[0]!r}, which is not part of a prepared corpus and would be "
            "lost; choose another folder with --output."
        )


def _find(
    spec: CorpusSpec, source: str | Path | None, download: bool, cache: Path, quiet: bool
) -> dict[str, Path]:
    """The text file of each split, from `source`, or else downloaded into `cache`."""
    if source is not None:
        for folder in (Path(source), Path(source, spec.name)):
            found = {split: folder / file for split, file in spec.files.items()}
            if all(path.is_file() for path in found.values()):
                return found
        raise InputError(
            f"Neither {source} nor its subfolder {spec.name} holds "
            f"{', '.join(spec.files.values())}; name the folder that does with --source, or name "
            "none (and unset DEFINE_DATA_SOURCE) to download the files."
        )
    if download:
        return {
            split: download_file(
                file, spec.sha256[file], spec.mirrors, cache, spec.download_note, quiet
            )
            for split, file in spec.files.items()
        }
    found = {split: cache / file for split, file in spec.files.items()}
    missing = [str(path) for path in found.values() if not path.is_file()]
    if missing:
        raise InputError(
            f"{missing[0]} is missing and downloads are switched off; name a folder with --source "
            "or drop --no-download."
        )
    return found


def _checksums(spec: CorpusSpec, files: dict[str, Path]) -> dict[str, str]:
    """File name -> SHA-256 of the text files, after comparing them with the published ones."""
    found = {path.name: sha256(path) for path in files.values()}
    for path in files.values():
        if found[path.name] != spec.sha256[path.name]:
            raise InputError(
                f"{path} is not the published file: expected SHA-256 {spec.sha256[path.name]}, "
                f"found {found[path.name]}; replace it with an unchanged copy."
            )
    return found


def _write(spec: CorpusSpec, lines: dict, source_sha256: dict[str, str], folder: Path) -> None:
    """Writes the prepared files into `folder`; `lines` maps each split to its iterable of lines."""
    vocabulary = Vocabulary.build(lines["train"])
    vocabulary.save(folder / DICTIONARY)
    tokens = {}
    for split in SPLITS:
        ids = vocabulary.encode(lines[split])
        np.save(folder / f"{split}.npy", ids)
        tokens[split] = len(ids)
    for what, found, expected in [
        *((f"{split} tokens", tokens[split], spec.tokens.get(split)) for split in SPLITS),
        ("types", len(vocabulary), spec.types),
    ]:
        if expected is not None and found != expected:
            raise InputError(
                f"{spec.title}: {found:,} {what} were counted but {expected:,} are published; "
                "the text files differ from the published ones, fetch them again."
            )
    meta = {
        "name": spec.name,
        "licence": spec.licence,
        "tokens": tokens,
        "types": len(vocabulary),
        "eos": vocabulary.eos,
        "source_sha256": source_sha256,
        "sha256": {path.name: sha256(path) for path in sorted(folder.iterdir())},
        "version": __version__,
    }
    if spec.generate:
        meta["python"] = platform.python_version()
    write_json(folder / META, meta)


def _install(built: Path, output: Path, replaced: Path) -> None:
    """Moves `built` to `output`; what was there goes to `replaced`, and back if the move fails."""
    if not output.exists():
        os.rename(built, output)
        return
    os.rename(output, replaced)
    try:
        os.rename(built, output)
    except BaseException:
        os.rename(replaced, output)
        raise
