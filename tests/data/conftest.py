"""A toy corpus of three files."""

import dataclasses
import hashlib
from pathlib import Path

import pytest

from define.data import corpora

TOY_TEXT = {
    "toy.train.txt": "a b a c\n b  a \nc c d\n",
    "toy.valid.txt": "a d\n",
    "toy.test.txt": "b b\nd\n",
}


@pytest.fixture
def toy(monkeypatch) -> corpora.CorpusSpec:
    """Registers the corpus "toy": 12 + 3 + 5 tokens, 5 types."""
    spec = corpora.CorpusSpec(
        name="toy",
        title="Toy",
        licence="None.",
        files={split: f"toy.{split}.txt" for split in corpora.SPLITS},
        sha256={name: hashlib.sha256(text.encode()).hexdigest() for name, text in TOY_TEXT.items()},
        tokens={"train": 12, "valid": 3, "test": 5},
        types=5,
        download_note="Name a folder with --source.",
    )
    monkeypatch.setitem(corpora.REGISTRY, "toy", spec)
    return spec


@pytest.fixture
def change_toy(toy, monkeypatch):
    """Registers the toy corpus again, with other fields."""

    def change(**fields):
        monkeypatch.setitem(corpora.REGISTRY, "toy", dataclasses.replace(toy, **fields))

    return change


@pytest.fixture
def toy_source(tmp_path) -> Path:
    """A folder with the files of the toy corpus."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name, text in TOY_TEXT.items():
        (folder / name).write_bytes(text.encode())
    return folder
