"""A toy corpus of three files."""

import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from define.data.parallel.pairs import PAIRS, EvaluationSet, PairSpec
from define.data.text import corpora

TOY_TEXT = {
    "toy.train.txt": "a b a c\n b  a \nc c d\n",
    "toy.valid.txt": "a d\n",
    "toy.test.txt": "b b\nd\n",
}


def checksum(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


@pytest.fixture
def toy(monkeypatch) -> corpora.CorpusSpec:
    """Registers the corpus "toy": 12 + 3 + 5 tokens, 5 types."""
    spec = corpora.CorpusSpec(
        name="toy",
        title="Toy",
        licence="None.",
        files={split: f"toy.{split}.txt" for split in corpora.SPLITS},
        checksums={name: (checksum(text.encode()),) for name, text in TOY_TEXT.items()},
        lines={"train": 3, "valid": 1, "test": 2},
        tokens={"train": 12, "valid": 3, "test": 5},
        types=5,
        download_note="Name a folder with --source.",
    )
    monkeypatch.setitem(corpora.REGISTRY, "toy", spec)
    return spec


@pytest.fixture
def change_toy(toy, monkeypatch):
    """Registers the toy corpus as it is now, with other fields."""

    def change(**fields):
        changed = dataclasses.replace(corpora.REGISTRY["toy"], **fields)
        monkeypatch.setitem(corpora.REGISTRY, "toy", changed)

    return change


@pytest.fixture
def register_pairs(monkeypatch) -> Callable[..., PairSpec]:
    """Registers a parallel corpus with the evaluation sets NAME_valid and NAME_test.

    (name, split -> sentence pairs, pieces of its subwords) -> what is known about it.
    """

    def register(name: str, texts: dict[str, list[tuple[str, str]]], pieces: int) -> PairSpec:
        spec = PairSpec(
            name=name,
            title=name.capitalize().replace("-", " "),
            licence="None.",
            source="xa",
            target="xb",
            sets=tuple(EvaluationSet(f"{name}_{split}", split) for split in ("valid", "test")),
            subwords="sentencepiece",
            pieces=pieces,
            generate=lambda: texts,
        )
        monkeypatch.setitem(PAIRS, name, spec)
        return spec

    return register


@pytest.fixture
def toy_source(tmp_path) -> Path:
    """A folder with the files of the toy corpus."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name, text in TOY_TEXT.items():
        (folder / name).write_bytes(text.encode())
    return folder


@pytest.fixture
def zipped():
    """Makes a zip archive, compressed, of a mapping from names to texts."""

    def make(files: dict[str, str]) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, text in files.items():
                archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
        return stream.getvalue()

    return make


@pytest.fixture
def toy_zip(change_toy, zipped) -> bytes:
    """Registers the toy corpus as one that comes in toy.zip; returns the archive."""
    content = zipped(
        {"toy/README": "x", **{f"toy/{name}": text for name, text in TOY_TEXT.items()}}
    )
    change_toy(archive=corpora.Archive("toy.zip", checksum(content, "md5"), "toy"))
    return content
