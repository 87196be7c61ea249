"""The steps from parallel texts to subwords, fairseq's dictionaries and data sets.

Text streams from file to file: raw lines, tokenised lines, pieces, ids. Intermediate files are in a
temporary folder.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from define.data import prepared
from define.data.parallel import wmt
from define.data.parallel.binarise import write_dataset, write_dictionary
from define.data.parallel.bitext import BadPair, Bitext, Pair, Parallel, decode, read
from define.data.parallel.pairs import REFERENCES, EvaluationSet, Limits, PairSpec
from define.data.parallel.subwords import KINDS
from define.data.source import TextFile
from define.errors import InputError

BATCH = 10_000
"""Pairs that are cut into pieces at once."""


def splits_of(spec: PairSpec) -> dict[str, EvaluationSet | None]:
    """Split -> the evaluation set that it consists of; None for a part of the training texts."""
    splits: dict[str, EvaluationSet | None] = {"train": None}
    if spec.hold_out:
        splits["valid"] = None
    for entry in spec.sets:
        splits.setdefault(entry.split, entry)
    return splits


def data_name(spec: PairSpec, split: str, language: str) -> str:
    """The stem of fairseq's files for one side of a split."""
    return f"{split}.{spec.source}-{spec.target}.{language}"


@dataclass
class Preparation:
    """The steps from texts to a prepared corpus without its meta.json.

    Attributes:
        files: name -> published file.
        folder: where the corpus is written; intermediate files go to a folder beside it.
    """

    spec: PairSpec
    pieces: int
    max_length: int | None
    files: Mapping[str, TextFile]
    folder: Path
    quiet: bool

    def __post_init__(self) -> None:
        self.kind = KINDS[self.spec.subwords]
        self.languages = (self.spec.source, self.spec.target)
        self.splits = splits_of(self.spec)
        self.generated = self.spec.generate() if self.spec.generate else None
        self.scratch = self.folder.parent / "scratch"
        self.scratch.mkdir()
        self.tokenised, self.segmented = (
            {
                split: Bitext(self.scratch / f"{split}.{what}", *self.languages)
                for split in self.splits
            }
            for what in ("tokenised", "pieces")
        )
        self.dropped: dict[str, Counter[str]] = {split: Counter() for split in self.splits}

    def run(self) -> dict[str, Any]:
        """Takes all steps.

        Returns:
            The facts about the corpus for meta.json.
        """
        sets = {entry.name: self._evaluation_set(entry) for entry in self.spec.sets}
        (self.folder / REFERENCES).mkdir()
        for name, pairs in sets.items():
            self._write(Bitext(self.folder / REFERENCES / name, *self.languages), pairs)
        self._tokenise_training()
        source, target = map(self.kind.tokeniser, self.languages)
        for split, entry in self.splits.items():
            if entry:
                tokenised = (Pair(source(a), target(b)) for a, b in sets[entry.name])
                self._write(self.tokenised[split], tokenised)
        self._segment()
        return {
            "name": self.spec.name,
            "licence": self.spec.licence,
            "source": self.spec.source,
            "target": self.spec.target,
            **self._binarise(),
            "dropped": {split: dict(reasons) for split, reasons in self.dropped.items() if reasons},
            "sets": [self._describe(entry, sets) for entry in self.spec.sets],
            "subwords": {
                "kind": self.kind.kind,
                "pieces": self.pieces,
                **self.kind.versions(),
            },
            "max_length": self.max_length,
        }

    @staticmethod
    def _write(bitext: Bitext, pairs: Iterable[Pair]) -> None:
        with bitext.writing() as write:
            for pair in pairs:
                write(pair)

    def _watched(self, task: str, split: str, pairs: Iterable) -> Iterable:
        total = self.spec.training_pairs if split == "train" else None
        return prepared.watched(pairs, f"{task} {split}", total, " pairs", self.quiet)

    def _read(self, text: Parallel, name: str) -> Iterator[tuple[bytes, bytes]]:
        """The raw lines of a text; `name` is that of the split or set that it belongs to."""
        sides = [side.text(self.files) for side in (text.source, text.target)]
        if text.sgml:
            # The full and the filtered set have files of the same names.
            folder = self.scratch / name
            folder.mkdir()
            sides = [wmt.plain(side, folder) for side in sides]
        return read(*sides)

    def _generate(self, split: str) -> Iterator[tuple[bytes, bytes]]:
        for source, target in self.generated[split]:
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
        what = f"sentences of {entry.name}"
        prepared.require_count(self.spec.title, what, len(pairs), entry.sentences)
        return pairs

    def _tokenise_training(self) -> None:
        """Tokenises the training texts into the splits that are parts of them."""
        source, target = (self.kind.tokeniser(name, training=True) for name in self.languages)
        if self.generated:
            lines = self._generate("train")
        else:
            lines = chain.from_iterable(self._read(text, "train") for text in self.spec.training)
        number = 0
        with ExitStack() as stack:
            write = {
                split: stack.enter_context(self.tokenised[split].writing())
                for split, entry in self.splits.items()
                if entry is None
            }
            for number, raw in enumerate(self._watched("reading", "train", lines), start=1):
                held_out = self.spec.hold_out and number % self.spec.hold_out == 0
                split = "valid" if held_out else "train"
                try:
                    pair = decode(raw)
                except BadPair as error:
                    self.dropped[split][str(error)] += 1
                    continue
                write[split](Pair(source(pair.source), target(pair.target)))
        expected = self.spec.training_pairs
        prepared.require_count(self.spec.title, "training pairs", number, expected)

    def _segment(self) -> None:
        """Learns the subword model and cuts all splits into pieces."""
        training = self.tokenised["train"]
        model = self.folder / self.kind.file
        self.kind.learn(chain(training.lines(0), training.lines(1)), self.pieces, model)
        cut = [self.kind(model, language).segment for language in self.languages]
        for split, entry in self.splits.items():
            limits = None if entry else self.spec.limits
            longest = self.max_length if split == "train" else None
            pairs = iter(self._watched("segmenting", split, self.tokenised[split]))
            kept = 0
            with self.segmented[split].writing() as write:
                while batch := list(islice(pairs, BATCH)):
                    sides = zip(*batch, strict=True)
                    pieces = [segment(list(side)) for segment, side in zip(cut, sides, strict=True)]
                    for pair in zip(*pieces, strict=True):
                        if reason := unfit(*map(len, pair), limits, longest):
                            self.dropped[split][reason] += 1
                        else:
                            kept += 1
                            write(Pair(*map(" ".join, pair)))
            if longest and not kept:
                raise InputError(
                    f"--max-length is {longest}, but every training pair of {self.spec.title} has "
                    "a side of more subwords; take a larger one."
                )
            if entry and self.dropped[split]:
                raise InputError(
                    f"{entry.name} has {self.dropped[split].total()} sentences of which the "
                    "subword model keeps nothing; replace its file with an unchanged copy."
                )

    def _binarise(self) -> dict[str, Any]:
        """Writes dictionaries and data sets; returns their counts."""
        counts = [
            Counter(chain.from_iterable(self.segmented["train"].pieces(side))) for side in (0, 1)
        ]
        if self.spec.joined:
            counts = [counts[0] + counts[1]] * 2
        dictionaries = [self.folder / f"dict.{language}.txt" for language in self.languages]
        source_types, types = map(write_dictionary, counts, dictionaries)
        written = {
            split: [
                write_dataset(
                    self._watched("binarising", split, bitext.pieces(side)),
                    dictionaries[side],
                    self.folder / data_name(self.spec, split, language),
                )
                for side, language in enumerate(self.languages)
            ]
            for split, bitext in self.segmented.items()
        }

        def counted(side: int, what: str) -> dict[str, int]:
            return {split: sides[side][what] for split, sides in written.items()}

        return {
            "pairs": counted(1, "sentences"),
            "tokens": counted(1, "tokens"),
            "source_tokens": counted(0, "tokens"),
            "types": types,
            "source_types": source_types,
            "unknown": {
                split: {"source": source["unknown"], "target": target["unknown"]}
                for split, (source, target) in written.items()
            },
        }

    @staticmethod
    def _describe(entry: EvaluationSet, sets: Mapping[str, list[Pair]]) -> dict[str, Any]:
        """The facts about an evaluation set for meta.json."""
        pairs = sets[entry.name]
        facts = {"set": entry.name, "split": entry.split, "sentences": len(pairs)}
        if entry.within is None:
            return facts
        lines = find_lines(entry, pairs, sets[entry.within])
        return {**facts, "within": entry.within, "lines": lines}


def unfit(
    source: int, target: int, limits: Limits | None, longest: int | None = None
) -> str | None:
    """Why a pair with so many pieces is not trained on; None if it is.

    Without limits, a pair only needs pieces on both sides. `longest` is the user's own limit.
    """
    if not source or not target:
        return "empty"
    limits = limits or Limits(longest=10**9, ratio=float("inf"))
    if max(source, target) > min(longest or limits.longest, limits.longest):
        return "too long"
    if max(source, target) > limits.ratio * min(source, target):
        return "lengths too different"
    return None


def find_lines(entry: EvaluationSet, part: list[Pair], whole: list[Pair]) -> list[int]:
    """Where the pairs of `part`, in order, are in `whole`; lines are counted from 0.

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
