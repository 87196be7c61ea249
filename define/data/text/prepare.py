"""From text files to a prepared corpus: token ids, dictionary and meta.json in one folder."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from define.data import prepared
from define.data.source import Places, PublishedFile, TextFile, check, made_from
from define.data.text.corpora import DICTIONARY, SPLITS, Corpus, CorpusSpec, get_spec, load
from define.data.text.vocabulary import Vocabulary


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

    If `output` already holds the corpus, intact, nothing is done.

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
    cache = Path(cache) if cache else output.parent / "raw" / name
    places = Places(name, source, download, cache, spec.download_note, quiet)

    def is_current(corpus: Corpus) -> bool:
        return (
            corpus.name == spec.name
            and spec.tokens.items() <= corpus.meta["tokens"].items()
            and spec.types in (None, corpus.types)
            and made_from(corpus.meta, spec.checksums)
        )

    def lines() -> tuple[Mapping[str, Iterable[str]], dict[str, str]]:
        if spec.generate:
            return spec.generate(), {}
        files = find(spec, places)
        return files, check(spec.checksums, files)

    return prepared.prepare_folder(
        output,
        load,
        is_current,
        own={f"{split}.npy" for split in SPLITS} | {DICTIONARY, prepared.META},
        find=lines,
        write=lambda found, folder: _write(spec, *found, folder, quiet),
        force=force,
    )


def find(spec: CorpusSpec, places: Places) -> dict[str, TextFile]:
    """The text file of each split: a file of its own, or else in the corpus's archive.

    Raises:
        InputError: a file is missing, cannot be downloaded, or is in an archive that is not the
            published one.
    """
    texts = list(spec.files.values())
    plain = any(all((place / text).is_file() for text in texts) for place in places.folders)
    if not spec.archive or (plain and not (places.source is None and places.download)):
        found = places.find(
            PublishedFile(text, spec.mirrors, spec.checksums[text]) for text in texts
        )
        return {split: found[text] for split, text in spec.files.items()}
    name, checksums = spec.archive.name, (spec.archive.checksum,)
    archives = places.find([PublishedFile(name, spec.mirrors, checksums)], ", ".join(texts))
    check({name: checksums}, archives)
    return {
        split: TextFile(archives[name].path, f"{spec.archive.folder}/{text}")
        for split, text in spec.files.items()
    }


def _write(
    spec: CorpusSpec,
    lines: Mapping[str, Iterable[str]],
    source_sha256: Mapping[str, str],
    folder: Path,
    quiet: bool,
) -> None:
    """Writes the prepared files into `folder`; `lines` maps each split to its lines."""

    def watched(task: str, split: str) -> Iterable[str]:
        total = spec.lines.get(split)
        return prepared.watched(lines[split], f"{task} {split}", total, " lines", quiet)

    vocabulary = Vocabulary.build(watched("counting", "train"))
    vocabulary.save(folder / DICTIONARY)
    tokens, ends = {}, {}
    for split in SPLITS:
        chunks = vocabulary.encode(watched("encoding", split))
        tokens[split], ends[split] = _save(folder / f"{split}.npy", chunks, vocabulary.eos)
    for what, found, expected in (("lines", ends, spec.lines), ("tokens", tokens, spec.tokens)):
        for split in SPLITS:
            prepared.require_count(spec.title, f"{split} {what}", found[split], expected.get(split))
    prepared.require_count(spec.title, "types", len(vocabulary.types), spec.types)
    facts = {
        "name": spec.name,
        "licence": spec.licence,
        "tokens": tokens,
        "types": len(vocabulary.types),
        "eos": vocabulary.eos,
    }
    prepared.write_meta(folder, facts, source_sha256, generated=spec.generate is not None)


def _save(path: Path, chunks: Iterable[np.ndarray], eos: int) -> tuple[int, int]:
    """Writes what `np.save` writes of the concatenated int32 `chunks`, one chunk at a time.

    Returns:
        The number of tokens, and how many of them are `<eos>`.
    """
    tokens = ends = 0
    with open(path, "wb") as stream:
        _write_header(stream, tokens)
        for chunk in chunks:
            stream.write(chunk.tobytes())
            tokens += len(chunk)
            ends += int(np.count_nonzero(chunk == eos))
        stream.seek(0)
        # NumPy leaves room in the header for the length to grow.
        _write_header(stream, tokens)
    return tokens, ends


def _write_header(stream: IO[bytes], tokens: int) -> None:
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(np.int32)),
        "fortran_order": False,
        "shape": (tokens,),
    }
    np.lib.format.write_array_header_1_0(stream, header)
