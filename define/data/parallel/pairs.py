"""The parallel corpora that `define prepare` knows, and opening them once they are prepared.

Longer than other modules because it lists every corpus.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from define.data.parallel import grammar, multi30k, wmt
from define.data.parallel.binarise import read_dictionaries
from define.data.parallel.bitext import Parallel, read_lines
from define.data.prepared import chosen, identity, opened
from define.data.source import PublishedFile

if TYPE_CHECKING:
    from define.data.parallel.subwords import Subwords

REFERENCES = "references"


@dataclass(frozen=True)
class EvaluationSet:
    """Sentences that translations are scored on, under their public name.

    Attributes:
        split: fairseq's name of the split that it belongs to; the first set of a split is the
            split's text.
        text: where its sentences are; None in a corpus that is generated.
        within: a larger set that has its sentences in the same order.
        sentences: how many there are; None where it is not fixed.
    """

    name: str
    split: str
    text: Parallel | None = None
    within: str | None = None
    sentences: int | None = None


@dataclass(frozen=True)
class Limits:
    """Which training pairs are kept, by their numbers of pieces; as Moses' clean-corpus-n.perl."""

    longest: int
    ratio: float
    """The longer side's pieces over the shorter side's, at most."""


@dataclass(frozen=True)
class PairSpec:
    """What is known about a parallel corpus before it is prepared.

    It is either read from `files` or made by `generate`.
    """

    name: str
    title: str
    licence: str
    source: str
    target: str
    """Two-letter codes of the languages."""
    sets: tuple[EvaluationSet, ...]
    subwords: str
    """Kind of the subword model, learnt on both sides of the training split together."""
    pieces: int
    """How many pieces (sentencepiece) or merges (moses_bpe) it learns."""
    joined: bool = False
    """Whether both languages share one dictionary, of the types of both."""
    files: tuple[PublishedFile, ...] = ()
    folder: str = ""
    """Subfolder of --source, and of the downloads, where the files are looked for."""
    training: tuple[Parallel, ...] = ()
    """The texts of the training split, one after the other."""
    training_pairs: int | None = None
    """Pairs in them, the dropped ones included; None where it is not fixed."""
    hold_out: int | None = None
    """N: every N-th training pair is of the validation split instead."""
    limits: Limits | None = None
    types: Mapping[str, int] | None = None
    """Nominal sizes of both dictionaries, {"source": ..., "target": ...}, to count parameters."""
    download_note: str = ""
    """What to do when no mirror answers."""
    generate: Callable[[], Mapping[str, Iterable[tuple[str, str]]]] | None = None
    """Returns split -> pairs, the same ones for each call."""


def _multi30k(name: str, source: str, target: str) -> PairSpec:
    types = {"en": 3_401, "de": 4_200}
    text = partial(multi30k.text, source=source, target=target)
    return PairSpec(
        name=name,
        title=f"Multi30k task 1, {source} to {target} (Elliott et al. 2016)",
        licence=multi30k.LICENCE,
        source=source,
        target=target,
        sets=(
            EvaluationSet("val", "valid", text("val"), sentences=1_014),
            EvaluationSet("test_2016_flickr", "test", text("test_2016_flickr"), sentences=1_000),
        ),
        subwords="sentencepiece",
        pieces=6_000,
        files=multi30k.FILES,
        folder="multi30k",
        training=(text("train"),),
        training_pairs=29_000,
        types={"source": types[source], "target": types[target]},
        download_note=(
            "The same files are in data/task1/raw of github.com/multi30k/dataset; put them in a "
            "folder and name it with --source."
        ),
    )


Published = tuple[PublishedFile, Parallel]


def _wmt14(
    name: str,
    title: str,
    tests: tuple[tuple[str, Published], ...],
    training: tuple[Published, ...],
    **fields: Any,
) -> PairSpec:
    """English to German with some of the published texts.

    Args:
        tests: splits and their test sets; the first set of a split is its text.
    """
    sets = {
        # The filtered set is sacreBLEU's `wmt14`, the full one its `wmt14/full`.
        wmt.NEWSTEST_2014: ("newstest2014", "newstest2014_full", 2_737),
        wmt.NEWSTEST_2014_FULL: ("newstest2014_full", None, 3_003),
        wmt.NEWSTEST_2017: ("newstest2017", None, 3_004),
    }
    return PairSpec(
        name=name,
        title=f"WMT'14, English to German, {title}",
        licence=wmt.LICENCE,
        source="en",
        target="de",
        files=tuple(file for file, _ in (*training, *(published for _, published in tests))),
        folder="wmt14",
        training=tuple(text for _, text in training),
        sets=tuple(
            EvaluationSet(sets[published][0], split, published[1], *sets[published][1:])
            for split, published in tests
        ),
        download_note=(
            "Put the file in a folder, fetched from anywhere, and name the folder with --source."
        ),
        **fields,
    )


WMT14 = _wmt14(
    "wmt14-en-de",
    "the choice of OpenNMT-py, which the paper's authors trained with",
    tests=(
        ("valid", wmt.NEWSTEST_2014),
        ("test", wmt.NEWSTEST_2017),
        ("full", wmt.NEWSTEST_2014_FULL),
    ),
    training=(wmt.COMMON_CRAWL, wmt.EUROPARL_7, wmt.NEWS_COMMENTARY_11),
    subwords="sentencepiece",
    pieces=32_000,
    # Known once it is prepared; the published 92 M leave about 31,000 for each of three tables.
    types={"source": 31_000, "target": 31_000},
)

WMT14_FAIRSEQ = _wmt14(
    "wmt14-en-de-fairseq",
    "the choice of fairseq's prepare-wmt14en2de.sh --icml17",
    tests=(("test", wmt.NEWSTEST_2014_FULL), ("test", wmt.NEWSTEST_2014)),
    training=(wmt.EUROPARL_7, wmt.COMMON_CRAWL, wmt.NEWS_COMMENTARY_9),
    subwords="moses_bpe",
    pieces=40_000,
    joined=True,
    # Known once it is prepared.
    types={"source": 40_000, "target": 40_000},
    hold_out=100,
    limits=Limits(longest=250, ratio=1.5),
)


def _grammar(
    name: str, title: str, pairs: dict[str, int], pieces: int, types: dict[str, int]
) -> PairSpec:
    return PairSpec(
        name=name,
        title=f"{title}: made-up sentences and their translation by rule",
        licence="Synthetic: generated by this program, free of any licence, and without meaning.",
        source="xa",
        target="xb",
        sets=tuple(
            EvaluationSet(f"grammar_{split}", split, sentences=pairs[split])
            for split in ("valid", "test")
        ),
        subwords="sentencepiece",
        pieces=pieces,
        training_pairs=pairs["train"],
        types=types,
        generate=partial(grammar.build, pairs),
    )


PAIRS: dict[str, PairSpec] = {
    spec.name: spec
    for spec in (
        _multi30k("multi30k", "en", "de"),
        _multi30k("multi30k-de-en", "de", "en"),
        WMT14,
        WMT14_FAIRSEQ,
        _grammar(
            "grammar",
            "Synthetic pair of languages",
            {"train": 20_000, "valid": 500, "test": 500},
            pieces=2_000,
            types={"source": 890, "target": 1_088},
        ),
        _grammar(
            "grammar-4.5m",
            "Synthetic pair of languages, of WMT'14's size",
            {"train": 4_500_000, "valid": 3_000, "test": 3_000},
            pieces=32_000,
            types={"source": 13_123, "target": 18_555},
        ),
    )
}


def get_pairs(name: str) -> PairSpec:
    """The known parallel corpus `name`.

    Raises:
        InputError: no parallel corpus has that name.
    """
    return chosen(name, PAIRS, "parallel corpus")


@dataclass(frozen=True)
class PairCorpus:
    """A prepared parallel corpus.

    Attributes:
        source: two-letter code of the language that is translated from; `target`: into.
        meta: the content of meta.json (counts, sets, checksums, licence, version).
    """

    name: str
    folder: Path
    source: str
    target: str
    meta: dict[str, Any]

    @property
    def types(self) -> int:
        """Types of the target dictionary, fairseq's special symbols included."""
        return self.meta["types"]

    @property
    def source_types(self) -> int:
        """Types of the source dictionary, fairseq's special symbols included."""
        return self.meta["source_types"]

    @property
    def identity(self) -> dict[str, Any]:
        """See `define.data.prepared.identity`."""
        pieces = read_dictionaries(self.folder, self.source, self.target)
        return identity(self.name, self.meta["sha256"], pieces)

    @property
    def sets(self) -> list[dict[str, Any]]:
        """The evaluation sets: "set", "split", "sentences", and perhaps "within" and "lines"."""
        return self.meta["sets"]

    def reference(self, set_name: str) -> list[str]:
        """The raw target sentences of an evaluation set."""
        return self._text(set_name, self.target)

    def source_text(self, set_name: str) -> list[str]:
        """The raw source sentences of an evaluation set."""
        return self._text(set_name, self.source)

    def subwords(self, language: str | None = None) -> "Subwords":
        """The subword model, for text of `language`; of the target language by default."""
        # The libraries of subword models are not needed to train.
        from define.data.parallel.subwords import KINDS

        kind = KINDS[self.meta["subwords"]["kind"]]
        return kind(self.folder / kind.file, language or self.target)

    def _text(self, set_name: str, language: str) -> list[str]:
        sets = {entry["set"]: entry for entry in self.sets}
        chosen(set_name, sets, f"evaluation set in {self.folder} named")
        return list(read_lines(self.folder / REFERENCES / f"{set_name}.{language}"))


def load(folder: str | Path) -> PairCorpus:
    """Opens a prepared parallel corpus, after checking its files against those of meta.json.

    Raises:
        InputError: the folder or a file is missing, or does not agree with meta.json.
    """
    folder = Path(folder)
    with opened(folder) as meta:
        return PairCorpus(meta["name"], folder, meta["source"], meta["target"], meta)
