"""From text files to a prepared corpus: token ids, dictionary and meta.json in one folder."""

import os
import platform
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from tqdm import tqdm

from define import __version__
from define.data.corpora import DICTIONARY, META, SPLITS, Corpus, CorpusSpec, get_spec, load
from define.data.source import check, find, may_be
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
        source: folder with the text files or their archive, or with a subfolder `name` that has
            them; None downloads. Ignored for a corpus that is generated.
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
    refuse_foreign(output, {f"{split}.npy" for split in SPLITS} | {DICTIONARY, META})
    cache = Path(cache) if cache else output.parent / "raw" / name
    try:
        if spec.generate:
            lines, source_sha256 = spec.generate(), {}
        else:
            lines = find(spec, source, download, cache, quiet)
            source_sha256 = check(spec.checksums, lines)
        with whole_folder(output) as built:
            _write(spec, lines, source_sha256, built, quiet)
    except OSError as error:
        # Another process may have prepared the same corpus in the meantime.
        if prepared := _valid(spec, output):
            return prepared
        raise cannot_prepare(output, error) from error
    return load(output)


def cannot_prepare(output: Path, error: OSError) -> InputError:
    """The message for the user when the system refuses something."""
    return InputError(
        f"{output} could not be prepared ({error}); make room or give access, or choose another "
        "folder with --output."
    )


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """Yields a new folder that replaces `output` when the block ends well, and else vanishes.

    Its parent is a temporary folder, where the block may leave other things.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{output.name}.", suffix=".tmp", dir=output.parent
    ) as workspace:
        built = Path(workspace, "built")
        built.mkdir()
        yield built
        _install(built, output, Path(workspace, "replaced"))


def _valid(spec: CorpusSpec, output: Path) -> Corpus | None:
    """The corpus in `output`, if it is intact and was made from files that `spec` accepts."""
    try:
        corpus = load(output)
    except InputError:
        return None
    made_from = corpus.meta.get("source_sha256", {})
    same = (
        corpus.name == spec.name
        and spec.tokens.items() <= corpus.meta["tokens"].items()
        and spec.types in (None, corpus.types)
        and made_from.keys() == spec.checksums.keys()
        and all(may_be(digest, spec.checksums[file]) for file, digest in made_from.items())
    )
    return corpus if same else None


def refuse_foreign(output: Path, ours: Collection[str]) -> None:
    """Refuses an `output` that is no folder or holds more than files named in `ours`.

    Raises:
        InputError: preparing it would lose something.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file; choose another folder with --output.")
    foreign = sorted(entry.name for entry in output.glob("*") if entry.name not in ours)
    if foreign:
        raise InputError(
            f"{output} holds {foreign[0]!r}, which is not part of a prepared corpus and would be "
            "lost; choose another folder with --output."
        )


def _write(
    spec: CorpusSpec,
    lines: Mapping[str, Iterable[str]],
    source_sha256: dict[str, str],
    folder: Path,
    quiet: bool,
) -> None:
    """Writes the prepared files into `folder`; `lines` maps each split to its lines."""

    def watched(task: str, split: str) -> Iterable[str]:
        # Only corpora that take seconds show a bar.
        total = spec.lines.get(split)
        title = f"{task} {split}"
        return tqdm(
            lines[split], title, total, unit=" lines", mininterval=1, delay=1, disable=quiet
        )

    vocabulary = Vocabulary.build(watched("counting", "train"))
    vocabulary.save(folder / DICTIONARY)
    tokens, ends = {}, {}
    for split in SPLITS:
        chunks = vocabulary.encode(watched("encoding", split))
        tokens[split], ends[split] = _save(folder / f"{split}.npy", chunks, vocabulary.eos)
    for what, found, expected in [
        *((f"{split} lines", ends[split], spec.lines.get(split)) for split in SPLITS),
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


def _save(path: Path, chunks: Iterable[np.ndarray], eos: int) -> tuple[int, int]:
    """Writes what `np.save` writes of the concatenated int32 `chunks`, one chunk at a time.

    Returns:
        The number of tokens, and how many of them are `<eos>`.
    """
    tokens = ends = 0
    with open(path, "wb") as stream:
        _write_header(stream, tokens)
        start = stream.tell()
        for chunk in chunks:
            stream.write(chunk.tobytes())
            tokens += len(chunk)
            ends += int(np.count_nonzero(chunk == eos))
        stream.seek(0)
        # NumPy leaves room in the header for the length to grow.
        _write_header(stream, tokens)
        if stream.tell() != start:
            raise RuntimeError(f"the header of {path} grew from {start} to {stream.tell()} bytes")
    return tokens, ends


def _write_header(stream: IO[bytes], tokens: int) -> None:
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(np.int32)),
        "fortran_order": False,
        "shape": (tokens,),
    }
    np.lib.format.write_array_header_1_0(stream, header)


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
