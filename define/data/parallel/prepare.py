"""Preparation of a parallel corpus in a folder."""

from pathlib import Path

from define.data import prepared
from define.data.parallel.pairs import REFERENCES, PairCorpus, PairSpec, get_pairs, load
from define.data.parallel.steps import Preparation, data_name, splits_of
from define.data.parallel.subwords import KINDS
from define.data.source import Places, TextFile, check, made_from


def prepare_pairs(
    name: str,
    output: str | Path,
    source: str | Path | None = None,
    download: bool = True,
    quiet: bool = False,
    force: bool = False,
    cache: str | Path | None = None,
    pieces: int | None = None,
    max_length: int | None = None,
) -> PairCorpus:
    """Prepares parallel corpus `name` in the folder `output`, which appears whole or not at all.

    If `output` already holds the corpus, intact and with these options, nothing is done.

    Args:
        source, download, quiet, force, cache: as for `define.data.text.prepare.prepare`.
        pieces: how many subwords to learn; the corpus's own number by default.
        max_length: a training pair with more subwords on a side is dropped; by default none is.
            OpenNMT-py's limit (preprocess.py, src_seq_length and tgt_seq_length) is 50 by default.
    Raises:
        InputError: the name is unknown, a file is missing or not the published one, two sides have
            different numbers of lines, the counts differ from the published ones, a sentence of an
            evaluation set cannot be used, no training pair is short enough, or `output` cannot be
            written.
    """
    spec = get_pairs(name)
    pieces = spec.pieces if pieces is None else pieces
    output = Path(output).absolute()
    cache = Path(cache) if cache else output.parent / "raw" / spec.folder
    places = Places(spec.folder, source, download, cache, spec.download_note, quiet)
    accepted = {file.name: file.checksums for file in spec.files}

    def is_current(corpus: PairCorpus) -> bool:
        return (
            corpus.name == spec.name
            and corpus.meta["subwords"]["pieces"] == pieces
            and corpus.meta.get("max_length") == max_length
            and made_from(corpus.meta, accepted)
        )

    def find() -> tuple[dict[str, TextFile], dict[str, str]]:
        files = places.find(spec.files)
        return files, check(accepted, files)

    def write(found: tuple[dict[str, TextFile], dict[str, str]], folder: Path) -> None:
        files, source_sha256 = found
        facts = Preparation(spec, pieces, max_length, files, folder, quiet).run()
        prepared.write_meta(folder, facts, source_sha256, generated=spec.generate is not None)

    own = _file_names(spec)
    return prepared.prepare_folder(output, load, is_current, own, find, write, force)


def _file_names(spec: PairSpec) -> set[str]:
    """The names of everything in the folder of the prepared corpus."""
    languages = (spec.source, spec.target)
    stems = [data_name(spec, split, name) for split in splits_of(spec) for name in languages]
    return {
        *(prepared.META, REFERENCES, KINDS[spec.subwords].file),
        *(f"dict.{language}.txt" for language in languages),
        *(f"{stem}.{suffix}" for stem in stems for suffix in ("bin", "idx")),
    }
