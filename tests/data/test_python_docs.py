"""The embedded corpus: the same in every process, split by document, large enough."""

import os
import subprocess
import sys

import pytest

from define.data.text import python_docs
from define.data.text.corpora import SPLITS, load
from define.errors import InputError

PREPARE = (
    "import sys; from define.data.text.prepare import prepare; prepare('python_docs', sys.argv[1])"
)


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    return python_docs.documents()


@pytest.fixture(scope="module")
def built(texts) -> dict[str, list[str]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(python_docs, "documents", lambda: texts)
        return python_docs.build()


def test_another_hash_seed_makes_the_same_files(built, tmp_path):
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    command = [sys.executable, "-c", PREPARE, str(tmp_path / "python_docs")]
    subprocess.run(command, env=environment, check=True, timeout=300)
    corpus = load(tmp_path / "python_docs")
    for split in SPLITS:
        text = [corpus.vocabulary.types[i] for i in corpus.tokens[split]]
        assert text == [word for line in built[split] for word in [*line.split(), "<eos>"]]
    assert corpus.meta["python"] == ".".join(map(str, sys.version_info[:3]))
    assert corpus.types == python_docs.TYPES


def test_size_and_vocabulary(built):
    sizes = {split: sum(len(line.split()) + 1 for line in built[split]) for split in SPLITS}
    total = sum(sizes.values())
    assert 300_000 < total < 1_000_000
    assert 0.86 < sizes["train"] / total < 0.92
    assert all(0.04 < sizes[split] / total < 0.08 for split in ("valid", "test"))
    words = [word for line in built["train"] for word in line.split()]
    assert len(set(words)) + 1 == python_docs.TYPES, "with <eos>"
    held_out = built["valid"] + built["test"]
    assert {word for line in held_out for word in line.split()} <= set(words)
    # <unk> must be learnable: it occurs in training too.
    assert 0.003 < words.count("<unk>") / len(words) < 0.05


def test_no_document_and_no_line_is_in_two_splits(texts):
    assigned = python_docs.assign(texts)
    assert assigned.keys() == texts.keys()
    assert set(assigned.values()) == set(SPLITS)
    lines = [line for text in texts.values() for line in text]
    assert len(lines) == len(set(lines))


def test_build_is_the_documents_by_split(built, texts):
    assigned = python_docs.assign(texts)
    for split in SPLITS:
        lines = [line for name, text in texts.items() if assigned[name] == split for line in text]
        assert len(lines) == len(built[split])
        for raw, line in zip(lines, built[split], strict=True):
            for before, after in zip(raw.split(), line.split(), strict=True):
                assert after in (before, "<unk>")


def test_tests_and_separately_packaged_modules_are_left_out(texts):
    modules = [name.removeprefix("module ") for name in texts if name.startswith("module ")]
    assert "argparse.py" in modules
    assert "email/message.py" in modules
    for name in modules:
        parts = name.removesuffix(".py").split("/")
        assert not {"test", "tests", "idlelib", "lib2to3", "site-packages", "tkinter"} & set(parts)


def test_lines_read_like_the_penn_treebank(built):
    for line in built["train"][:2000]:
        assert line == line.strip()
        assert line.replace("N", "n") == line.replace("N", "n").lower()
        assert ">>>" not in line
        assert not any(word[0].isdigit() for word in line.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Return 3 of the 1,024 items. Please don't panic!",
            ["return N of the N items .", "please don't panic !"],
        ),
        ("A line\nis joined, e.g. this one", ["a line is joined , e.g . this one"]),
        ("See os.path and `name`.", ["see os.path and name ."]),
        ("It is true.\n\n>>> it is not\nTrue", ["it is true ."]),
        ("x = f(a, b)[0]; y = g(x) + {1: 2}", []),
        ('stmt ::= "break" and so on', []),
        ("Too short", []),
    ],
)
def test_sentences(text, expected):
    assert list(python_docs.sentences(text)) == expected


def test_python_without_sources_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(python_docs.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(InputError, match="holds no Python sources"):
        python_docs.build()
