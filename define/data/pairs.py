"""The parallel corpora that `define prepare` knows, and reading them once they are prepared."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from define.data import grammar, wmt
from define.data.corpora import chosen, explained, read_meta
from define.data.source import Parallel, PublishedFile, Side
from define.errors import InputError

if TYPE_CHECKING:
    from define.data.subwords import Subwords

SPLITS = ("train", "valid", "test")
REFERENCES = "references"


@dataclass(frozen=True)
class EvaluationSet:
    """Sentences that translations are scored on, under the name by which the public knows them.

    Attributes:
        split: fairseq's name of the split that it lies in; of several sets that name a split, the
            first is its text.
        text: where its sentences lie; None in a corpus that is generated.
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
    """Returns split -> pairs, which can be read more than once and are the same every time."""


MULTI30K_FILES = {
    "train.en": (
        "sha256:460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
        "sha256:d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    ),
    "train.de": (
        "sha256:2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
        "sha256:726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    ),
    "val.en": (
        "sha256:1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
        "sha256:14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    ),
    "val.de": (
        "sha256:660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
        "sha256:f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    ),
    "test_2016_flickr.en": (
        "sha256:399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
        "sha256:611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    ),
    "test_2016_flickr.de": (
        "sha256:4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
        "sha256:9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    ),
}
"""Name -> checksums of the text and of its gzip file."""
MULTI30K_TYPES = {"en": 3_401, "de": 4_200}


def _multi30k(name: str, source: str, target: str) -> PairSpec:
    mirrors = ("https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/",)

    def text(stem: str) -> Parallel:
        return Parallel(Side(f"{stem}.{source}"), Side(f"{stem}.{target}"))

    return PairSpec(
        name=name,
        title=f"Multi30k task 1, {source} to {target} (Elliott et al. 2016)",
        licence=(
            "Captions of Flickr30k's images and their translations, provided for non-commercial "
            "research and education under the Flickr Terms of Use: name the authors."
        ),
        source=source,
        target=target,
        sets=(
            EvaluationSet("val", "valid", text("val"), sentences=1_014),
            EvaluationSet("test_2016_flickr", "test", text("test_2016_flickr"), sentences=1_000),
        ),
        subwords="sentencepiece",
        pieces=6_000,
        files=tuple(
            PublishedFile(file, mirrors, (text_sum,), gzip_sum)
            for file, (text_sum, gzip_sum) in MULTI30K_FILES.items()
        ),
        folder="multi30k",
        training=(text("train"),),
        training_pairs=29_000,
        types={"source": MULTI30K_TYPES[source], "target": MULTI30K_TYPES[target]},
        download_note=(
            "The same files are in data/task1/raw of github.com/multi30k/dataset; put them in a "
            "folder and name it with --source."
        ),
    )


WMT_NOTE = "Put the file in a folder, fetched from anywhere, and name the folder with --source."
NEWSTEST_2014_SENTENCES = 2_737
NEWSTEST_2014_FULL_SENTENCES = 3_003


def _newstest2014(split: str) -> EvaluationSet:
    """The filtered set, which is sacreBLEU's `wmt14`; the full one is its `wmt14/full`."""
    text = wmt.NEWSTEST_2014[1]
    return EvaluationSet("newstest2014", split, text, "newstest2014_full", NEWSTEST_2014_SENTENCES)


def _newstest2014_full(split: str) -> EvaluationSet:
    text = wmt.NEWSTEST_2014_FULL[1]
    return EvaluationSet("newstest2014_full", split, text, None, NEWSTEST_2014_FULL_SENTENCES)


def _wmt14(name: str, title: str, tests: tuple[PublishedFile, ...], **fields: Any) -> PairSpec:
    training = fields.pop("training")
    return PairSpec(
        name=name,
        title=f"WMT'14, English to German, {title}",
        licence=wmt.LICENCE,
        source="en",
        target="de",
        files=(*(file for file, _ in training), *tests),
        folder="wmt14",
        training=tuple(text for _, text in training),
        download_note=WMT_NOTE,
        **fields,
    )


WMT14 = _wmt14(
    "wmt14-en-de",
    "the choice of OpenNMT-py, which the paper's authors trained with",
    tests=(wmt.NEWSTEST_2014[0], wmt.NEWSTEST_2017[0], wmt.NEWSTEST_2014_FULL[0]),
    training=(wmt.COMMON_CRAWL, wmt.EUROPARL_7, wmt.NEWS_COMMENTARY_11),
    sets=(
        _newstest2014("valid"),
        EvaluationSet("newstest2017", "test", wmt.NEWSTEST_2017[1], sentences=3_004),
        _newstest2014_full("full"),
    ),
    subwords="sentencepiece",
    pieces=32_000,
    # Known once it is prepared; the published 92 M leave about 31,000 for each of three tables.
    types={"source": 31_000, "target": 31_000},
)

WMT14_FAIRSEQ = _wmt14(
    "wmt14-en-de-fairseq",
    "the choice of fairseq's prepare-wmt14en2de.sh --icml17",
    tests=(wmt.NEWSTEST_2014_FULL[0], wmt.NEWSTEST_2014[0]),
    training=(wmt.EUROPARL_7, wmt.COMMON_CRAWL, wmt.NEWS_COMMENTARY_9),
    sets=(_newstest2014_full("test"), _newstest2014("test")),
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


GRAMMAR = _grammar(
    "grammar",
    "Synthetic pair of languages",
    {"train": 20_000, "valid": 500, "test": 500},
    pieces=2_000,
    types={"source": 942, "target": 1_176},
)
GRAMMAR_4_5M = _grammar(
    "grammar-4.5m",
    "Synthetic pair of languages, of WMT'14's size",
    {"train": 4_500_000, "valid": 3_000, "test": 3_000},
    pieces=32_000,
    types={"source": 13_707, "target": 17_636},
)

PAIRS: dict[str, PairSpec] = {
    spec.name: spec
    for spec in (
        _multi30k("multi30k", "en", "de"),
        _multi30k("multi30k-de-en", "de", "en"),
        WMT14,
        WMT14_FAIRSEQ,
        GRAMMAR,
        GRAMMAR_4_5M,
    )
}


def get_pairs(name: str) -> PairSpec:
    """The registered parallel corpus `name`.

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
        from define.data.subwords import KINDS

        kind = KINDS[self.meta["subwords"]["kind"]]
        return kind(self.folder / kind.file, language or self.target)

    def _text(self, set_name: str, language: str) -> list[str]:
        known = [entry["set"] for entry in self.sets]
        if set_name not in known:
            raise InputError(
                f"{self.folder} has no evaluation set {set_name!r}; choose one of "
                f"{', '.join(known)}."
            )
        path = self.folder / REFERENCES / f"{set_name}.{language}"
        # Only "\n" ends a sentence.
        with open(path, encoding="utf-8", newline="\n") as stream:
            return [line.removesuffix("\n") for line in stream]


def load(folder: str | Path) -> PairCorpus:
    """Opens a prepared parallel corpus, after checking its files against the sums in meta.json.

    Raises:
        InputError: the folder or a file is missing, or does not agree with meta.json.
    """
    folder = Path(folder)
    with explained(folder) as fix:
        meta = read_meta(folder, fix)
        return PairCorpus(meta["name"], folder, meta["source"], meta["target"], meta)
