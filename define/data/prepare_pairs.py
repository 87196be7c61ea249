"""From parallel texts to a prepared corpus: subwords, fairseq's dictionaries and data sets.

Text streams from file to file: raw lines, tokenised lines, pieces, ids. What lies between the texts
and the corpus is in a temporary folder.
"""

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from define import __version__
from define.data import wmt
from define.data.binarise import write_dataset, write_dictionary
from define.data.bitext import BadPair, Bitext, Pair, decode, read
from define.data.corpora import META
from define.data.pairs import (
    REFERENCES,
    EvaluationSet,
    Limits,
    PairCorpus,
    PairSpec,
    get_pairs,
    load,
)
from define.data.prepare import cannot_prepare, refuse_foreign, whole_folder
from define.data.source import Parallel, TextFile, check, find_published, may_be
from define.data.subwords import KINDS
from define.errors import InputError
from define.files import sha256, write_json

BATCH = 10_000
"""Pairs that are cut into pieces at once."""

T = TypeVar("T")


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

    Where `output` already holds the corpus, intact, it is returned as it is.

    Args:
        source, download, quiet, force, cache: as for `define.data.prepare.prepare`.
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
    if not force and (prepared := _valid(spec, pieces, max_length, output)):
        return prepared
    refuse_foreign(output, _file_names(spec))
    cache = Path(cache) if cache else output.parent / "raw" / spec.folder
    try:
        files = find_published(
            spec.files, spec.folder, source, download, cache, spec.download_note, quiet
        )
        source_sha256 = check({file.name: file.checksums for file in spec.files}, files)
        with whole_folder(output) as built:
            counted = _Preparation(spec, pieces, max_length, files, built, quiet).run()
            _write_meta(spec, pieces, max_length, source_sha256, counted, built)
    except OSError as error:
        # Another process may have prepared the same corpus in the meantime.
        if prepared := _valid(spec, pieces, max_length, output):
            return prepared
        raise cannot_prepare(output, error) from error
    return load(output)


def _valid(spec: PairSpec, pieces: int, max_length: int | None, output: Path) -> PairCorpus | None:
    """The corpus in `output`, if it is intact and was made of accepted files with these options."""
    try:
        corpus = load(output)
    except InputError:
        return None
    made_from = corpus.meta.get("source_sha256", {})
    accepted = {file.name: file.checksums for file in spec.files}
    same = (
        corpus.name == spec.name
        and corpus.meta["subwords"]["pieces"] == pieces
        and corpus.meta.get("max_length") == max_length
        and made_from.keys() == accepted.keys()
        and all(may_be(digest, accepted[file]) for file, digest in made_from.items())
    )
    return corpus if same else None


def _splits(spec: PairSpec) -> dict[str, EvaluationSet | None]:
    """Split -> the evaluation set whose text it is; None where it comes of the training texts."""
    splits: dict[str, EvaluationSet | None] = {"train": None}
    if spec.hold_out:
        splits["valid"] = None
    for entry in spec.sets:
        splits.setdefault(entry.split, entry)
    return splits


def _dictionary_name(language: str) -> str:
    return f"dict.{language}.txt"


def _data_name(spec: PairSpec, split: str, language: str) -> str:
    """The stem of fairseq's files for one side of a split."""
    return f"{split}.{spec.source}-{spec.target}.{language}"


def _file_names(spec: PairSpec) -> set[str]:
    """The names of everything in the folder of the prepared corpus."""
    names = {META, REFERENCES, KINDS[spec.subwords].file}
    for language in (spec.source, spec.target):
        names.add(_dictionary_name(language))
        for split in _splits(spec):
            stem = _data_name(spec, split, language)
            names |= {f"{stem}.bin", f"{stem}.idx"}
    return names


class _Preparation:
    """The steps from texts to a prepared corpus without its meta.json.

    Args:
        files: name -> published file.
        folder: where the corpus is written; what lies in between goes to a folder beside it.
    """

    def __init__(
        self,
        spec: PairSpec,
        pieces: int,
        max_length: int | None,
        files: Mapping[str, TextFile],
        folder: Path,
        quiet: bool,
    ):
        self._spec, self._pieces, self._files = spec, pieces, files
        self._max_length = max_length
        self._folder, self._quiet = folder, quiet
        self._languages = (spec.source, spec.target)
        self._splits = _splits(spec)
        self._kind = KINDS[spec.subwords]
        self._generated = spec.generate() if spec.generate else {}
        self._scratch = folder.parent / "scratch"
        self._scratch.mkdir()
        self._tokenised = self._bitexts("tokenised")
        self._segmented = self._bitexts("pieces")
        self._dropped: dict[str, Counter[str]] = {split: Counter() for split in self._splits}

    def run(self) -> dict[str, Any]:
        """Takes all steps.

        Returns:
            What meta.json tells of counts and evaluation sets.
        """
        sets = {entry.name: self._evaluation_set(entry) for entry in self._spec.sets}
        self._write_references(sets)
        self._tokenise_training()
        for split, entry in self._splits.items():
            if entry:
                self._tokenise(split, sets[entry.name])
        self._segment()
        counted = self._binarise()
        dropped = {split: dict(reasons) for split, reasons in self._dropped.items() if reasons}
        return {**counted, "dropped": dropped, "sets": self._describe(sets)}

    def _bitexts(self, what: str) -> dict[str, Bitext]:
        return {
            split: Bitext(self._scratch / f"{split}.{what}", *self._languages)
            for split in self._splits
        }

    def _watched(self, task: str, split: str, pairs: Iterable[T]) -> Iterable[T]:
        # Only corpora that take seconds show a bar.
        total = self._spec.training_pairs if split == "train" else None
        title = f"{task} {split}"
        return tqdm(pairs, title, total, unit=" pairs", mininterval=1, delay=1, disable=self._quiet)

    def _compare(self, what: str, found: int, expected: int | None) -> None:
        if expected is not None and found != expected:
            raise InputError(
                f"{self._spec.title}: {found:,} {what} were counted but {expected:,} are "
                "published; the text files differ from the published ones, fetch them again."
            )

    def _read(self, text: Parallel, name: str) -> Iterator[tuple[bytes, bytes]]:
        """The raw lines of a text; `name` is that of the split or set that it belongs to."""
        sides = [side.text(self._files) for side in (text.source, text.target)]
        if text.sgml:
            # The full and the filtered set have files of the same names.
            folder = self._scratch / name
            folder.mkdir()
            sides = [wmt.plain(side, folder) for side in sides]
        return read(*sides)

    def _generate(self, split: str) -> Iterator[tuple[bytes, bytes]]:
        for source, target in self._generated[split]:
            yield source.encode(), target.encode()

    def _evaluation_set(self, entry: EvaluationSet) -> list[Pair]:
        """The sentences of an evaluation set, of which none may be left out."""
        lines = self._read(entry.text, entry.name) if entry.text else self._generate(entry.split)
        pairs = []
        for number, raw in enumerate(lines, start=1):
            try:
                pairs.append(decode(raw))
            except BadPair as error:
                raise InputError(
                    f"{entry.name}, sentence {number}: a side is {error}, but no sentence of an "
                    "evaluation set may be left out; replace its file with an unchanged copy."
                ) from None
        self._compare(f"sentences of {entry.name}", len(pairs), entry.sentences)
        return pairs

    def _write_references(self, sets: Mapping[str, list[Pair]]) -> None:
        (self._folder / REFERENCES).mkdir()
        for name, pairs in sets.items():
            with Bitext(self._folder / REFERENCES / name, *self._languages).writing() as write:
                for pair in pairs:
                    write(pair)

    def _training_lines(self) -> Iterator[tuple[bytes, bytes]]:
        if self._generated:
            return self._generate("train")
        return chain.from_iterable(self._read(text, "train") for text in self._spec.training)

    def _tokenise_training(self) -> None:
        """Tokenises the training texts into the splits that come of them."""
        source, target = (self._kind.tokeniser(name, training=True) for name in self._languages)
        number = 0
        with ExitStack() as stack:
            write = {
                split: stack.enter_context(self._tokenised[split].writing())
                for split, entry in self._splits.items()
                if entry is None
            }
            raw = self._watched("reading", "train", self._training_lines())
            for number, lines in enumerate(raw, start=1):
                held_out = self._spec.hold_out and number % self._spec.hold_out == 0
                split = "valid" if held_out else "train"
                try:
                    pair = decode(lines)
                except BadPair as error:
                    self._dropped[split][str(error)] += 1
                    continue
                write[split](Pair(source(pair.source), target(pair.target)))
        self._compare("training pairs", number, self._spec.training_pairs)

    def _tokenise(self, split: str, pairs: Iterable[Pair]) -> None:
        source, target = (self._kind.tokeniser(name) for name in self._languages)
        with self._tokenised[split].writing() as write:
            for pair in pairs:
                write(Pair(source(pair.source), target(pair.target)))

    def _segment(self) -> None:
        """Learns the subword model and cuts all splits into pieces."""
        training = self._tokenised["train"]
        model = self._folder / self._kind.file
        self._kind.learn(chain(training.lines(0), training.lines(1)), self._pieces, model)
        source, target = (self._kind(model, language).segment for language in self._languages)
        for split, entry in self._splits.items():
            limits = None if entry else self._spec.limits
            longest = self._max_length if split == "train" else None
            pairs = iter(self._watched("segmenting", split, self._tokenised[split]))
            with self._segmented[split].writing() as write:
                while batch := list(islice(pairs, BATCH)):
                    pieces = zip(
                        source([pair.source for pair in batch]),
                        target([pair.target for pair in batch]),
                        strict=True,
                    )
                    for pair in pieces:
                        if reason := unfit(*map(len, pair), limits, longest):
                            self._dropped[split][reason] += 1
                        else:
                            write(Pair(*map(" ".join, pair)))
            if longest and next(self._segmented[split].lines(0), None) is None:
                raise InputError(
                    f"--max-length is {longest}, but every training pair of {self._spec.title} has "
                    "a side of more subwords; take a larger one."
                )
            if entry and self._dropped[split]:
                raise InputError(
                    f"{entry.name} has {self._dropped[split].total()} sentences of which the "
                    "subword model keeps nothing; replace its file with an unchanged copy."
                )

    def _binarise(self) -> dict[str, Any]:
        """Writes dictionaries and data sets; returns their counts."""
        counts = [
            Counter(chain.from_iterable(self._segmented["train"].pieces(side))) for side in (0, 1)
        ]
        if self._spec.joined:
            counts = [counts[0] + counts[1]] * 2
        dictionaries = [self._folder / _dictionary_name(language) for language in self._languages]
        types = [
            write_dictionary(count, path) for count, path in zip(counts, dictionaries, strict=True)
        ]
        written: dict[str, list[dict[str, int]]] = {
            split: [
                write_dataset(
                    self._watched("binarising", split, bitext.pieces(side)),
                    dictionaries[side],
                    self._folder / _data_name(self._spec, split, language),
                )
                for side, language in enumerate(self._languages)
            ]
            for split, bitext in self._segmented.items()
        }
        return {
            "pairs": {split: target["sentences"] for split, (_, target) in written.items()},
            "tokens": {split: target["tokens"] for split, (_, target) in written.items()},
            "source_tokens": {split: source["tokens"] for split, (source, _) in written.items()},
            "types": types[1],
            "source_types": types[0],
            "unknown": {
                split: {"source": source["unknown"], "target": target["unknown"]}
                for split, (source, target) in written.items()
            },
        }

    def _describe(self, sets: Mapping[str, list[Pair]]) -> list[dict[str, Any]]:
        """What meta.json tells of the evaluation sets."""
        described = []
        for entry in self._spec.sets:
            facts = {"set": entry.name, "split": entry.split, "sentences": len(sets[entry.name])}
            if entry.within:
                facts["within"] = entry.within
                facts["lines"] = find_lines(entry, sets[entry.name], sets[entry.within])
            described.append(facts)
        return described


def unfit(
    source: int, target: int, limits: Limits | None, longest: int | None = None
) -> str | None:
    """Why a pair with so many pieces is not trained on; None where it is.

    Without limits, a pair only needs pieces on both sides. `longest` is a limit beside the corpus's
    own.
    """
    if not source or not target:
        return "empty"
    if longest and max(source, target) > longest:
        return "too long"
    if limits and max(source, target) > limits.longest:
        return "too long"
    if limits and max(source, target) > limits.ratio * min(source, target):
        return "lengths too different"
    return None


def find_lines(entry: EvaluationSet, part: list[Pair], whole: list[Pair]) -> list[int]:
    """Where the pairs of `part`, in order, lie in `whole`; lines are counted from 0.

    Raises:
        InputError: a pair is not there, or only before the one that precedes it.
    """
    lines: list[int] = []
    for number, pair in enumerate(part, start=1):
        try:
            lines.append(whole.index(pair, lines[-1] + 1 if lines else 0))
        except ValueError:
            raise InputError(
                f"Sentence {number} of {entry.name}, {pair.source!r}, does not follow in "
                f"{entry.within}, of which {entry.name} must be a part; replace the files of both "
                "with unchanged copies."
            ) from None
    return lines


def _write_meta(
    spec: PairSpec,
    pieces: int,
    max_length: int | None,
    source_sha256: dict[str, str],
    counted: dict[str, Any],
    folder: Path,
) -> None:
    kind = KINDS[spec.subwords]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    meta = {
        "name": spec.name,
        "licence": spec.licence,
        "source": spec.source,
        "target": spec.target,
        **counted,
        "subwords": {"kind": kind.kind, "pieces": pieces, **kind.versions()},
        "max_length": max_length,
        "source_sha256": source_sha256,
        "sha256": {path.relative_to(folder).as_posix(): sha256(path) for path in files},
        "version": __version__,
    }
    if spec.generate:
        meta["python"] = platform.python_version()
    write_json(folder / META, meta)
