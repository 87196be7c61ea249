"""Preparation from a folder: counts, checksums, whole or nothing."""

import hashlib
import itertools
import json
import tracemalloc

import numpy as np
import pytest

from define.data import corpora
from define.data import prepare as prepare_module
from define.data import vocabulary as vocabulary_module
from define.data.corpora import load
from define.data.prepare import prepare
from define.data.vocabulary import Vocabulary
from define.errors import InputError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_toy_corpus_by_hand(toy, toy_source, tmp_path):
    corpus = prepare("toy", tmp_path / "data" / "toy", source=toy_source)
    assert corpus.vocabulary.types == ["a", "c", "<eos>", "b", "d"]
    assert (corpus.name, corpus.types, corpus.eos) == ("toy", 5, 2)
    np.testing.assert_array_equal(corpus.tokens["train"], [0, 3, 0, 1, 2, 3, 0, 2, 1, 1, 4, 2])
    np.testing.assert_array_equal(corpus.tokens["valid"], [0, 4, 2])
    np.testing.assert_array_equal(corpus.tokens["test"], [3, 3, 2, 4, 2])
    assert all(array.dtype == np.int32 for array in corpus.tokens.values())
    assert corpus.meta["tokens"] == {"train": 12, "valid": 3, "test": 5}
    found = {name: (f"sha256:{digest}",) for name, digest in corpus.meta["source_sha256"].items()}
    assert found == toy.checksums
    assert names(tmp_path / "data") == ["toy"]
    assert names(corpus.folder) == ["dict.txt", "meta.json", "test.npy", "train.npy", "valid.npy"]


def test_ptb_has_the_published_counts(ptb_source, tmp_path):
    corpus = prepare("ptb", tmp_path / "ptb", source=ptb_source, quiet=True)
    lengths = {split: len(array) for split, array in corpus.tokens.items()}
    assert lengths == {"train": 929_589, "valid": 73_760, "test": 82_430}
    assert corpus.types == 10_000
    assert corpus.vocabulary.types[:4] == ["the", "<unk>", "<eos>", "N"]
    assert int((corpus.tokens["train"] == corpus.eos).sum()) == 42_068
    assert max(int(array.max()) for array in corpus.tokens.values()) == 9_999
    with open(ptb_source / "ptb" / "ptb.test.txt", encoding="utf-8") as stream:
        text = [word for line in stream for word in [*line.split(), "<eos>"]]
    assert [corpus.vocabulary.types[i] for i in corpus.tokens["test"]] == text


def test_files_may_lie_in_a_subfolder_named_like_the_corpus(toy, toy_source, tmp_path):
    (tmp_path / "all").mkdir()
    toy_source.rename(tmp_path / "all" / "toy")
    assert prepare("toy", tmp_path / "toy", source=tmp_path / "all").types == 5


def test_a_second_call_returns_at_once(toy, toy_source, tmp_path, monkeypatch):
    first = prepare("toy", tmp_path / "toy", source=toy_source)
    stamps = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(prepare_module, "_write", None)
        again = prepare("toy", tmp_path / "toy", source=tmp_path / "nowhere")
    assert again.meta == first.meta
    assert stamps == {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    prepare("toy", tmp_path / "toy", source=toy_source, force=True)
    assert stamps != {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}


@pytest.mark.parametrize("name", ["train.npy", "dict.txt", "meta.json"])
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_damaged_output_is_refused_by_load_and_mended_by_prepare(
    toy, toy_source, tmp_path, name, damage
):
    folder = prepare("toy", tmp_path / "toy", source=toy_source).folder
    if damage == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes((folder / name).read_bytes()[:-4])
    with pytest.raises(InputError, match=rf"{name}.*`define prepare toy "):
        load(folder)
    assert prepare("toy", folder, source=toy_source).types == 5
    assert names(tmp_path) == ["source", "toy"]


def test_load_compares_the_counts(toy, toy_source, tmp_path):
    folder = prepare("toy", tmp_path / "toy", source=toy_source).folder
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    for field, wrong in (("types", 6), ("eos", 0), ("tokens", {**meta["tokens"], "train": 13})):
        (folder / "meta.json").write_text(json.dumps(meta | {field: wrong}), encoding="utf-8")
        with pytest.raises(InputError, match="holds .* but meta.json says"):
            load(folder)


def test_load_without_a_corpus_names_the_fix(tmp_path):
    with pytest.raises(InputError, match="`define prepare ptb "):
        load(tmp_path / "ptb")


def test_corrupted_source_leaves_nothing(toy, toy_source, tmp_path):
    file = toy_source / "toy.valid.txt"
    file.write_bytes(b"a c\n")
    with pytest.raises(InputError) as raised:
        prepare("toy", tmp_path / "data" / "toy", source=toy_source)
    message = str(raised.value)
    assert str(file) in message
    assert toy.checksums["toy.valid.txt"][0] in message
    assert hashlib.sha256(b"a c\n").hexdigest() in message
    assert message.count(". ") == 0
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "fields", [{"tokens": {"train": 13}}, {"types": 6}, {"lines": {"test": 3}}]
)
def test_wrong_counts_leave_nothing(toy, change_toy, toy_source, tmp_path, fields):
    change_toy(**fields)
    with pytest.raises(InputError, match="published"):
        prepare("toy", tmp_path / "data" / "toy", source=toy_source)
    assert names(tmp_path / "data") == []


@pytest.mark.parametrize("failing", ["encode", "save"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_interrupted_preparation_leaves_nothing(
    toy, toy_source, tmp_path, monkeypatch, failing, error
):
    def fail(*_):
        raise error

    output = tmp_path / "data" / "toy"
    with monkeypatch.context() as patch:
        patch.setattr(Vocabulary, failing, fail)
        with pytest.raises(error):
            prepare("toy", output, source=toy_source)
    assert names(tmp_path / "data") == []

    prepare("toy", output, source=toy_source)
    with monkeypatch.context() as patch:
        patch.setattr(Vocabulary, failing, fail)
        with pytest.raises(error):
            prepare("toy", output, source=toy_source, force=True)
    assert names(tmp_path / "data") == ["toy"]
    assert load(output).types == 5


def test_failed_exchange_keeps_the_old_corpus(toy, toy_source, tmp_path, monkeypatch):
    output = prepare("toy", tmp_path / "data" / "toy", source=toy_source).folder
    rename = prepare_module.os.rename

    def fail(old, new):
        if str(old).endswith("built"):
            raise KeyboardInterrupt
        rename(old, new)

    monkeypatch.setattr(prepare_module.os, "rename", fail)
    with pytest.raises(KeyboardInterrupt):
        prepare("toy", output, source=toy_source, force=True)
    assert names(tmp_path / "data") == ["toy"]
    assert load(output).types == 5


def test_a_folder_with_other_things_is_never_replaced(toy, toy_source, tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="thesis.tex"):
        prepare("toy", tmp_path / "toy", source=toy_source, force=True)
    with pytest.raises(InputError, match="is a file"):
        prepare("toy", tmp_path / "toy" / "thesis.tex", source=toy_source)
    assert (tmp_path / "toy" / "thesis.tex").read_text() == "years of work"


def test_output_that_cannot_be_made_is_one_sentence(toy, toy_source, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="could not be prepared"):
        prepare("toy", tmp_path / "file" / "toy", source=toy_source)


def test_missing_source_names_both_places(toy, tmp_path):
    with pytest.raises(InputError, match=r"toy.train.txt.*--source"):
        prepare("toy", tmp_path / "toy", source=tmp_path)
    with pytest.raises(InputError, match=r"toy.train.txt.*switched off"):
        prepare("toy", tmp_path / "toy", download=False)
    with pytest.raises(InputError, match=r"'penn'; choose one of ptb"):
        prepare("penn", tmp_path / "penn")
    assert names(tmp_path) == []


def test_only_newlines_end_lines(toy, change_toy, toy_source, tmp_path):
    text = "a\rb c\r\nd\u2028a\n"
    (toy_source / "toy.train.txt").write_bytes(text.encode())
    checksums = {
        **toy.checksums,
        "toy.train.txt": ("sha256:" + hashlib.sha256(text.encode()).hexdigest(),),
    }
    change_toy(checksums=checksums, lines={}, tokens={}, types=None)
    corpus = prepare("toy", tmp_path / "toy", source=toy_source)
    assert int((corpus.tokens["train"] == corpus.eos).sum()) == 2


@pytest.mark.parametrize("pieces", [[], [[]], [[5]], [[1, 2], [], [3]], [range(1000), range(500)]])
def test_tokens_are_written_as_numpy_writes_them(tmp_path, pieces):
    pieces = [np.array(piece, dtype=np.int32) for piece in pieces]
    whole = np.concatenate([np.zeros(0, np.int32), *pieces])
    counted = prepare_module._save(tmp_path / "pieces.npy", iter(pieces), eos=2)
    np.save(tmp_path / "whole.npy", whole)
    assert (tmp_path / "pieces.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert counted == (len(whole), int((whole == 2).sum()))


def test_memory_does_not_grow_with_the_corpus(tmp_path, change_toy, monkeypatch):
    monkeypatch.setattr(vocabulary_module, "TOKENS_PER_CHUNK", 1 << 12)

    def peak(lines: int) -> int:
        text = " ".join(f"w{i}" for i in range(99)) + "\n"
        change_toy(
            files={},
            checksums={},
            lines={},
            tokens={"train": 100 * lines},
            types=100,
            generate=lambda: {"train": Repeated(text, lines), "valid": [text], "test": [text]},
        )
        tracemalloc.start()
        try:
            prepare("toy", tmp_path / f"{lines}" / "toy", quiet=True)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # 500,000 ids more are 2 MB. Files are read in pieces of 1 MiB, which both sizes exceed.
    assert peak(8_000) < peak(3_000) + 200_000


class Repeated:
    """`count` times the same line, without a list of them."""

    def __init__(self, line: str, count: int):
        self._line, self._count = line, count

    def __iter__(self):
        return itertools.repeat(self._line, self._count)


def test_a_dictionary_out_of_order_is_refused(toy, toy_source, tmp_path):
    folder = prepare("toy", tmp_path / "toy", source=toy_source).folder
    lines = (folder / "dict.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    assert lines[-1] == "d 1\n"
    lines[-1] = "d 9\n"
    (folder / "dict.txt").write_text("".join(lines), encoding="utf-8")
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    meta["sha256"]["dict.txt"] = corpora.sha256(folder / "dict.txt")
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    with pytest.raises(InputError, match=r"dict.txt, line 5: 'd' occurs 9 times.*frequency order"):
        load(folder)


@pytest.mark.parametrize("known", ["tokens", "types", "checksums"])
def test_what_does_not_fit_the_registry_is_prepared_again(
    toy, change_toy, toy_source, tmp_path, known
):
    prepare("toy", tmp_path / "toy", source=toy_source)
    changed = {
        "tokens": {"train": 13},
        "types": 6,
        "checksums": {**toy.checksums, "toy.test.txt": ("sha256:" + "0" * 64,)},
    }
    change_toy(**{known: changed[known]})
    with pytest.raises(InputError, match="published"):
        prepare("toy", tmp_path / "toy", source=toy_source)
