"""Preparation from a folder or an archive: counts, checksums, whole or nothing."""

import hashlib
import itertools
import json
import os
import tracemalloc

import numpy as np
import pytest

from define.data import prepared
from define.data.source import TextFile
from define.data.text import vocabulary as vocabulary_module
from define.data.text.corpora import REGISTRY, SPLITS, Archive, load
from define.data.text.prepare import prepare
from define.data.text.vocabulary import Vocabulary
from define.errors import InputError


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def checksum(content: bytes, algorithm: str) -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


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


# Split -> lines of the text file.
LINES = {
    "ptb": {"train": 42_068, "valid": 3_370, "test": 3_761},
    "wikitext-2": {"train": 36_718, "valid": 3_760, "test": 4_358},
}
# What the published runs were trained on.
PREPARED = {
    "ptb": {
        "dict.txt": "a5eb27b6cd9e3ae7a6b0efe81664e8446e057cf371e447430a4441c74cb2d578",
        "test.npy": "6cc95d728c8f870112344d8924750f61da4b079dcfdbe55dba68fbd947652a02",
        "train.npy": "c40a044d75bd46bc1cb9fdbb9e08fece499b1bfc5495a0783a4cca71bdb25f3f",
        "valid.npy": "7f98721a7d9b0486062d3bd0ba1c4a89a0c0724cacdc5694e21f0236b4872ea7",
    },
    "wikitext-2": {
        "dict.txt": "4adec6e27fc0be36bfe4c54fc2b4e6669d0f720cd2039a2d73f389635c7f88b1",
        "test.npy": "3a31e5e4ff6eabd349f213125ddb8b98df4cfa8fdcc6e54c558054f74326b728",
        "train.npy": "7453dbe22b34cc3bc6fec8206afa5b40b5ef9a5f962d3879c51ea09d47d8fbc4",
        "valid.npy": "3abcfc9bfc624069f13b79fe34c807111cb95b47282c6a6a17c5026c72006951",
    },
}


@pytest.mark.parametrize("name", PREPARED)
def test_the_published_texts(name, tmp_path):
    source = os.environ.get("DEFINE_DATA_SOURCE")
    if not source:
        pytest.skip("needs the text files: set DEFINE_DATA_SOURCE to a folder with ptb/, ...")
    corpus = prepare(name, tmp_path / name, source=source, quiet=True)
    spec = REGISTRY[name]
    assert {split: len(array) for split, array in corpus.tokens.items()} == spec.tokens
    ends = {split: int((array == corpus.eos).sum()) for split, array in corpus.tokens.items()}
    assert ends == LINES[name]
    assert corpus.types == spec.types
    counts = np.bincount(corpus.tokens["train"])
    assert counts.tolist() == corpus.vocabulary.counts and (np.diff(counts) <= 0).all()
    with open(f"{source}/{name}/{spec.files['valid']}", encoding="utf-8", newline="\n") as stream:
        text = [word for line in stream for word in [*line.split(), "<eos>"]]
    assert [corpus.vocabulary.types[i] for i in corpus.tokens["valid"]] == text
    assert corpus.meta["sha256"] == PREPARED[name]


def test_an_intact_corpus_is_kept(toy, toy_source, tmp_path):
    first = prepare("toy", tmp_path / "toy", source=toy_source)
    stamps = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    assert prepare("toy", tmp_path / "toy", source=tmp_path / "nowhere").meta == first.meta
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


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"tokens": {"train": 13}}, "12 train tokens were counted but 13"),
        ({"types": 6}, "5 types were counted but 6"),
        ({"lines": {"test": 3}}, "2 test lines were counted but 3"),
        ({"checksums": {f"toy.{split}.txt": ("sha256:0",) for split in SPLITS}}, "published"),
    ],
)
def test_what_does_not_fit_the_registry_leaves_nothing_and_is_never_reused(
    toy, change_toy, toy_source, tmp_path, fields, what
):
    prepare("toy", tmp_path / "old" / "toy", source=toy_source)
    change_toy(**fields)
    for folder in ("data", "old") if "lines" not in fields else ("data",):
        with pytest.raises(InputError, match=what):
            prepare("toy", tmp_path / folder / "toy", source=toy_source)
    assert not any((tmp_path / "data").rglob("*"))


@pytest.mark.parametrize("failing", ["encode", "save", "rename"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_preparation_leaves_what_was_there(
    toy, toy_source, tmp_path, monkeypatch, failing, error
):
    rename = os.rename

    def fail(*arguments):
        if failing != "rename" or str(arguments[0]).endswith("built"):
            raise error
        rename(*arguments)

    output = tmp_path / "data" / "toy"
    for expected in ([], ["toy"]):
        with monkeypatch.context() as patch:
            patch.setattr(prepared.os if failing == "rename" else Vocabulary, failing, fail)
            with pytest.raises(error):
                prepare("toy", output, source=toy_source, force=True)
        assert names(tmp_path / "data") == expected
        prepare("toy", output, source=toy_source)
    assert load(output).types == 5


def test_a_folder_with_other_things_is_never_replaced(toy, toy_source, tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "thesis.tex").write_text("years of work")
    for output, named in (("toy", "thesis.tex"), ("toy/thesis.tex", "is a file")):
        with pytest.raises(InputError, match=named):
            prepare("toy", tmp_path / output, source=toy_source, force=True)
    with pytest.raises(InputError, match="could not be prepared"):
        prepare("toy", tmp_path / "toy" / "thesis.tex" / "toy", source=toy_source)
    assert (tmp_path / "toy" / "thesis.tex").read_text() == "years of work"


def test_missing_sources(toy, tmp_path):
    with pytest.raises(InputError, match=r"toy.train.txt.*--source"):
        prepare("toy", tmp_path / "toy", source=tmp_path)
    with pytest.raises(InputError, match=r"toy.train.txt.*switched off"):
        prepare("toy", tmp_path / "toy", download=False)
    with pytest.raises(InputError, match=r"'penn'; choose one of ptb"):
        prepare("penn", tmp_path / "penn")
    with pytest.raises(InputError, match="`define prepare ptb "):
        load(tmp_path / "ptb")
    assert names(tmp_path) == []


@pytest.mark.parametrize("subfolder", [".", "toy"])
@pytest.mark.parametrize("archive", [False, True])
def test_texts_may_lie_in_a_subfolder_and_in_an_archive(
    toy_source, toy_zip, tmp_path, subfolder, archive
):
    expected = prepare("toy", tmp_path / "plain" / "toy", source=toy_source)
    folder = tmp_path / "all" / subfolder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "toy.zip").write_bytes(toy_zip if archive else b"text files are preferred to it")
    if not archive:
        for path in toy_source.iterdir():
            path.rename(folder / path.name)
    corpus = prepare("toy", tmp_path / "data" / "toy", source=tmp_path / "all")
    assert corpus.meta == expected.meta and names(tmp_path / "data") == ["toy"]


def test_lines_end_at_newlines_only(zipped, tmp_path):
    text = " a \n \nb\rc\r\né\u2028d"
    (tmp_path / "x.zip").write_bytes(zipped({"in/x.txt": text}))
    (tmp_path / "x.txt").write_bytes(text.encode())
    packed, plain = TextFile(tmp_path / "x.zip", "in/x.txt"), TextFile(tmp_path / "x.txt")
    for _ in range(2):
        assert list(packed) == list(plain) == [" a \n", " \n", "b\rc\r\n", "é\u2028d"]
    assert packed.name == plain.name == "x.txt"


def test_any_accepted_checksum_will_do(toy, change_toy, toy_source, tmp_path):
    content = b"c c d\na b a c\nb a\n"
    (toy_source / "toy.train.txt").write_bytes(content)
    other = ("sha1:" + "0" * 40, checksum(content, "md5"))
    change_toy(checksums={**toy.checksums, "toy.train.txt": other})
    corpus = prepare("toy", tmp_path / "toy", source=toy_source)
    assert corpus.meta["source_sha256"]["toy.train.txt"] == hashlib.sha256(content).hexdigest()
    assert prepare("toy", tmp_path / "toy", source=tmp_path / "nowhere").meta == corpus.meta
    (toy_source / "toy.train.txt").write_bytes(content[:-1])
    with pytest.raises(InputError) as raised:
        prepare("toy", tmp_path / "data" / "other", source=toy_source)
    found = checksum(content[:-1], "sha1")
    assert f"expected {other[0]} or {other[1]}, found {found} and md5:" in str(raised.value)
    assert not (tmp_path / "data").exists()


def flipped(content: bytes) -> bytes:
    """The archive with a byte of a compressed text changed."""
    start = content.index(b"toy/toy.train.txt") + len("toy/toy.train.txt")
    return content[:start] + bytes([content[start] ^ 0xFF]) + content[start + 1 :]


@pytest.mark.parametrize(
    ("damage", "known", "named"),
    [
        (
            lambda content, _: content + b"x",
            False,
            "toy.zip is not the published file: expected md5",
        ),
        (lambda content, _: content[:-30], True, "toy.zip is damaged"),
        (lambda content, _: flipped(content), True, "toy.zip is damaged"),
        (lambda *_: b"<html>", True, "toy.zip is damaged"),
        (lambda _, zipped: zipped({"else": "x"}), True, "does not hold toy/toy.train.txt"),
        (
            lambda _, zipped: zipped(
                {f"toy/toy.{s}.txt": "a\n" for s in ("train", "valid", "test")}
            ),
            True,
            "toy.train.txt in ",
        ),
    ],
)
def test_damaged_archives(change_toy, toy_zip, zipped, tmp_path, damage, known, named):
    """Even with a checksum that is the published one."""
    content = damage(toy_zip, zipped)
    (tmp_path / "toy.zip").write_bytes(content)
    if known:
        change_toy(archive=Archive("toy.zip", checksum(content, "md5"), "toy"))
    with pytest.raises(InputError, match=named):
        prepare("toy", tmp_path / "data" / "toy", source=tmp_path)
    assert not (tmp_path / "data").exists()


class Repeated:
    """`count` times the same line, without a list of them."""

    def __init__(self, line: str, count: int):
        self._line, self._count = line, count

    def __iter__(self):
        return itertools.repeat(self._line, self._count)


def test_memory_does_not_grow_with_the_corpus(tmp_path, change_toy, monkeypatch):
    monkeypatch.setattr(vocabulary_module, "TOKENS_PER_CHUNK", 1 << 12)
    text = " ".join(f"w{i}" for i in range(99)) + "\n"

    def peak(lines: int) -> int:
        texts = {"train": Repeated(text, lines), "valid": [text], "test": [text]}
        fields = {"files": {}, "checksums": {}, "lines": {}, "generate": lambda: texts}
        change_toy(tokens={"train": 100 * lines}, types=100, **fields)
        tracemalloc.start()
        try:
            meta = prepare("toy", tmp_path / f"{lines}" / "toy", quiet=True).meta
            assert meta["python"] and json.loads(json.dumps(meta)) == meta
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # 250,000 ids more are 1 MB. Files are read in pieces of 1 MiB, which both sizes exceed.
    assert peak(5_200) < peak(2_700) + 200_000
