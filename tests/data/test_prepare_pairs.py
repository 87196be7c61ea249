"""Preparation of parallel text: what fairseq reads, what is left out, whole or nothing."""

import dataclasses
import gzip
import json
import os
import random
import tracemalloc
from pathlib import Path

import pytest
import torch
from fairseq.data import Dictionary, data_utils
from fairseq_cli import preprocess

from define.data import prepare_pairs as module
from define.data.bitext import Pair
from define.data.corpora import META
from define.data.pairs import PAIRS, EvaluationSet, Limits, PairSpec, load
from define.data.prepare_pairs import find_lines, prepare_pairs, unfit
from define.data.source import Parallel, PublishedFile, Side
from define.data.subwords import MosesBPE, SentencePiece
from define.errors import InputError

EN = ["a house", "the house", "a mouse", "the mouse", "houses", "a mouse house", "runs", "it runs"]
DE = [
    "ein Haus",
    "das Haus",
    "eine Maus",
    "die Maus",
    "Häuser",
    "ein Haus Maus",
    "läuft",
    "es läuft",
]


def sentences(count: int, seed: int) -> list[Pair]:
    generator = random.Random(seed)
    pairs = []
    for _ in range(count):
        chosen = generator.choices(range(len(EN)), k=generator.randint(1, 3))
        pairs.append(Pair(*(" ".join(side[i] for i in chosen) for side in (EN, DE))))
    return pairs


TEXTS = {"train": sentences(120, 0), "dev": sentences(7, 1), "test2020": sentences(5, 2)}


def side(text: list[Pair], which: int) -> bytes:
    return "".join(f"{pair[which]}\n" for pair in text).encode()


@pytest.fixture
def source(tmp_path) -> Path:
    """A folder with the texts of the corpus "tiny"."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / f"{name}.en").write_bytes(side(text, 0))
        (folder / f"{name}.de").write_bytes(side(text, 1))
    return folder


@pytest.fixture
def change_tiny(monkeypatch):
    """Registers the corpus "tiny" with other fields."""

    def change(**fields) -> PairSpec:
        spec = dataclasses.replace(PAIRS["tiny"], **fields)
        monkeypatch.setitem(PAIRS, "tiny", spec)
        return spec

    return change


def parallel(name: str) -> Parallel:
    return Parallel(Side(f"{name}.en"), Side(f"{name}.de"))


@pytest.fixture(autouse=True)
def tiny(monkeypatch) -> PairSpec:
    """Registers the corpus "tiny"."""
    spec = PairSpec(
        name="tiny",
        title="Tiny",
        licence="None.",
        source="en",
        target="de",
        sets=(
            EvaluationSet("dev", "valid", parallel("dev"), sentences=7),
            EvaluationSet("test2020", "test", parallel("test2020"), sentences=5),
        ),
        subwords="sentencepiece",
        pieces=60,
        files=tuple(
            PublishedFile(f"{name}.{language}", ("https://here.example/",))
            for name in TEXTS
            for language in ("en", "de")
        ),
        folder="tiny",
        training=(parallel("train"),),
        training_pairs=120,
        download_note="Name a folder.",
    )
    monkeypatch.setitem(PAIRS, "tiny", spec)
    return spec


@pytest.fixture
def prepare(source, tmp_path):
    """Prepares the corpus "tiny" from `source`."""

    def run(**options):
        options = {"source": source, "quiet": True} | options
        return prepare_pairs("tiny", tmp_path / "data" / "tiny", **options)

    return run


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def ids(corpus, split: str, language: str) -> list[list[int]]:
    stem = corpus.folder / f"{split}.{corpus.source}-{corpus.target}.{language}"
    dataset = data_utils.load_indexed_dataset(str(stem), None)
    return [dataset[i].tolist() for i in range(len(dataset))]


def dictionary(corpus, language: str) -> Dictionary:
    return Dictionary.load(str(corpus.folder / f"dict.{language}.txt"))


def pieces(corpus, split: str, language: str) -> list[str]:
    """The data set as text."""
    symbols = dictionary(corpus, language)
    return [symbols.string(torch.tensor(line)) for line in ids(corpus, split, language)]


def test_every_sentence_comes_back(prepare):
    corpus = prepare()
    for split, name in (("train", "train"), ("valid", "dev"), ("test", "test2020")):
        for which, language in enumerate(("en", "de")):
            decode = corpus.subwords(language).decode
            found = [decode(line.split(" ")) for line in pieces(corpus, split, language)]
            assert found == [pair[which] for pair in TEXTS[name]]


def test_meta(prepare, source):
    corpus = prepare()
    meta = corpus.meta
    assert meta["pairs"] == {"train": 120, "valid": 7, "test": 5}
    for field, language in (("tokens", "de"), ("source_tokens", "en")):
        assert meta[field] == {
            split: sum(map(len, ids(corpus, split, language)))
            for split in ("train", "valid", "test")
        }
    assert corpus.types == len(dictionary(corpus, "de")) != corpus.source_types
    assert corpus.source_types == len(dictionary(corpus, "en"))
    assert meta["dropped"] == {}
    assert meta["sets"] == [
        {"set": "dev", "split": "valid", "sentences": 7},
        {"set": "test2020", "split": "test", "sentences": 5},
    ]
    assert {key: meta["subwords"][key] for key in ("kind", "pieces")} == {
        "kind": "sentencepiece",
        "pieces": 60,
    }
    assert set(meta["source_sha256"]) == set(names(source))
    assert "python" not in meta
    on_disk = {path for path in corpus.folder.rglob("*") if path.is_file()}
    assert {corpus.folder / name for name in meta["sha256"]} == on_disk - {
        corpus.folder / "meta.json"
    }
    for name in ("dev", "test2020"):
        assert (corpus.folder / "references" / f"{name}.de").read_bytes() == side(TEXTS[name], 1)
        assert (corpus.folder / "references" / f"{name}.en").read_bytes() == side(TEXTS[name], 0)


@pytest.mark.parametrize("joined", [False, True])
def test_dictionaries_and_data_sets_are_those_of_fairseq_preprocess(
    prepare, change_tiny, tmp_path, joined, monkeypatch
):
    change_tiny(joined=joined)
    corpus = prepare()
    text = tmp_path / "text"
    text.mkdir()
    for split, name in (("train", "train"), ("valid", "dev"), ("test", "test2020")):
        for which, language in enumerate(("en", "de")):
            encode = corpus.subwords(language).encode
            lines = [" ".join(encode(pair[which])) + "\n" for pair in TEXTS[name]]
            (text / f"{split}.{language}").write_text("".join(lines), encoding="utf-8")
    arguments = ["--source-lang", "en", "--target-lang", "de", "--destdir", str(tmp_path / "bin")]
    for split in ("train", "valid", "test"):
        arguments += [f"--{split}pref", str(text / split)]
    arguments += ["--padding-factor", "1", *(["--joined-dictionary"] if joined else [])]
    preprocess.main(preprocess.options.get_preprocessing_parser().parse_args(arguments))
    made = {path.name for path in (tmp_path / "bin").iterdir()} - {"preprocess.log"}
    assert len(made) == 2 + 3 * 2 * 2
    for name in made:
        assert (corpus.folder / name).read_bytes() == (tmp_path / "bin" / name).read_bytes(), name
    same = (corpus.folder / "dict.en.txt").read_bytes() == (
        corpus.folder / "dict.de.txt"
    ).read_bytes()
    assert same == joined


def test_bad_training_pairs_are_left_out_as_pairs(prepare, change_tiny, source):
    bad = [(b"", b"x\n"), (b"x\n", b" \t\n"), (b"caf\xe9\n", b"x\n"), (b"\x01\n", b"x\n")]
    for which, language in enumerate(("en", "de")):
        lines = side(TEXTS["train"], which).splitlines(keepends=True)
        for at, pair in enumerate(bad):
            lines.insert(17 * at, pair[which] or b"\n")
        (source / f"train.{language}").write_bytes(b"".join(lines))
    with pytest.raises(InputError, match=r"124 training pairs were counted but 120 are published"):
        prepare()
    change_tiny(training_pairs=124)
    corpus = prepare()
    assert corpus.meta["dropped"] == {"train": {"empty": 3, "not UTF-8": 1}}
    assert corpus.meta["pairs"]["train"] == 120
    for which, language in enumerate(("en", "de")):
        decode = corpus.subwords(language).decode
        found = [decode(line.split(" ")) for line in pieces(corpus, "train", language)]
        assert found == [pair[which] for pair in TEXTS["train"]]


def test_sides_of_different_length_leave_nothing(prepare, source, tmp_path):
    (source / "train.de").write_bytes(side(TEXTS["train"], 1) + b"mehr\n")
    with pytest.raises(InputError, match=r"train\.en has 120 lines but .*train\.de has 121"):
        prepare()
    assert names(tmp_path / "data") == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [(b"\n", "is empty"), (b"\xff\n", "is not UTF-8"), (b"\x01\x02\n", "keeps nothing")],
)
def test_no_sentence_of_an_evaluation_set_is_left_out(prepare, source, tmp_path, line, reason):
    lines = side(TEXTS["dev"], 1).splitlines(keepends=True)
    lines[3] = line
    (source / "dev.de").write_bytes(b"".join(lines))
    with pytest.raises(InputError, match=rf"^dev.*{reason}"):
        prepare()
    assert names(tmp_path / "data") == []


def test_the_counts_of_sets_are_checked(prepare, source):
    for language in ("en", "de"):
        content = (source / f"dev.{language}").read_bytes().splitlines(keepends=True)
        (source / f"dev.{language}").write_bytes(b"".join(content[:-1]))
    with pytest.raises(InputError, match="6 sentences of dev were counted but 7 are published"):
        prepare()


def test_pieces_that_training_lacks_become_unknown(prepare, source):
    (source / "dev.en").write_bytes(side(TEXTS["dev"], 0).replace(b"\n", " ☃☃\n".encode(), 2))
    corpus = prepare()
    assert corpus.meta["unknown"]["train"] == {"source": 0, "target": 0}
    unknown = dictionary(corpus, "en").unk()
    found = sum(line.count(unknown) for line in ids(corpus, "valid", "en"))
    assert corpus.meta["unknown"]["valid"] == {"source": found, "target": 0}
    assert found == 2


def test_held_out_pairs_and_limits(prepare, change_tiny):
    change_tiny(
        sets=(PAIRS["tiny"].sets[1],),
        files=tuple(f for f in PAIRS["tiny"].files if not f.name.startswith("dev")),
        hold_out=10,
        limits=Limits(longest=12, ratio=1.2),
    )
    corpus = prepare(pieces=40)
    splits = {
        "train": [pair for n, pair in enumerate(TEXTS["train"], start=1) if n % 10],
        "valid": TEXTS["train"][9::10],
    }
    for split, pairs in splits.items():
        kept = []
        for pair in pairs:
            lengths = [
                len(corpus.subwords(language).encode(line))
                for language, line in zip(("en", "de"), pair, strict=True)
            ]
            if max(lengths) <= 12 and max(lengths) / min(lengths) <= 1.2:
                kept.append(pair.target)
        decode = corpus.subwords().decode
        assert [decode(line.split(" ")) for line in pieces(corpus, split, "de")] == kept
        assert 0 < len(kept) < len(pairs)
        assert sum(corpus.meta["dropped"][split].values()) == len(pairs) - len(kept)
    assert set(corpus.meta["dropped"]["train"]) == {"too long", "lengths too different"}
    assert corpus.meta["pairs"]["test"] == 5
    assert "valid" not in {entry["split"] for entry in corpus.sets}


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        (1, 1, None),
        (10, 15, None),
        (16, 10, "lengths too different"),
        (10, 16, "lengths too different"),
        (250, 251, "too long"),
        (250, 250, None),
        (0, 3, "empty"),
    ],
)
def test_limits(source, target, reason):
    assert unfit(source, target, Limits(longest=250, ratio=1.5)) == reason
    assert unfit(source, target, None) == ("empty" if reason == "empty" else None)


def test_training_pairs_of_up_to_max_length_are_kept(prepare, change_tiny):
    change_tiny(
        sets=(PAIRS["tiny"].sets[1],),
        files=tuple(f for f in PAIRS["tiny"].files if not f.name.startswith("dev")),
        hold_out=10,
    )
    corpus = prepare(pieces=40)
    assert corpus.meta["max_length"] is None
    whole = {
        (split, language): pieces(corpus, split, language)
        for split in ("train", "valid", "test")
        for language in ("en", "de")
    }
    pairs = zip(whole["train", "en"], whole["train", "de"], strict=True)
    longest = [max(len(line.split(" ")) for line in pair) for pair in pairs]
    assert {8, 9} <= set(longest)  # a limit off by one would show
    assert (
        max(len(line.split(" ")) for line in whole["valid", "de"]) > 8
    )  # one on held-out pairs too
    corpus = prepare(pieces=40, max_length=8)
    for (split, language), lines in whole.items():
        if split == "train":
            lines = [line for line, length in zip(lines, longest, strict=True) if length <= 8]
        assert pieces(corpus, split, language) == lines
    assert corpus.meta["dropped"] == {"train": {"too long": sum(n > 8 for n in longest)}}
    assert corpus.meta["max_length"] == 8


def test_a_corpus_with_another_max_length_is_prepared_again(prepare):
    short = prepare(max_length=9)
    written = (short.folder / META).stat().st_mtime_ns
    assert prepare(max_length=9).meta["max_length"] == 9
    assert (short.folder / META).stat().st_mtime_ns == written
    assert prepare().meta["max_length"] is None
    meta = json.loads((short.folder / META).read_text(encoding="utf-8"))
    del meta["max_length"]  # as corpora were prepared before there was a limit
    (short.folder / META).write_text(json.dumps(meta), encoding="utf-8")
    assert "max_length" not in prepare().meta


def test_a_max_length_that_leaves_no_training_pair_is_refused(prepare, tmp_path):
    with pytest.raises(InputError, match="--max-length is 1, but every training pair of Tiny"):
        prepare(pieces=40, max_length=1)
    assert names(tmp_path / "data") == []


def test_a_set_within_another(prepare, change_tiny, source):
    within = EvaluationSet("part", "test", parallel("part"), "test2020", 3)
    for which, language in enumerate(("en", "de")):
        part = [TEXTS["test2020"][i] for i in (0, 2, 4)]
        (source / f"part.{language}").write_bytes(side(part, which))
    change_tiny(
        sets=(*PAIRS["tiny"].sets, within),
        files=(*PAIRS["tiny"].files, PublishedFile("part.en", ()), PublishedFile("part.de", ())),
    )
    corpus = prepare()
    assert corpus.sets[-1] == {
        "set": "part",
        "split": "test",
        "sentences": 3,
        "within": "test2020",
        "lines": [0, 2, 4],
    }
    assert corpus.reference("part") == [corpus.reference("test2020")[i] for i in (0, 2, 4)]
    assert corpus.meta["pairs"]["test"] == 5


def test_lines_of_a_part():
    whole = [Pair(*pair) for pair in ("aA", "bB", "aA", "bC", "cC")]
    entry = EvaluationSet("part", "test", None, "whole")
    assert find_lines(entry, [whole[0], whole[2], whole[4]], whole) == [0, 2, 4]
    assert find_lines(entry, [Pair("b", "C")], whole) == [3]
    for part in ([Pair("b", "A")], [whole[4], whole[0]], [whole[0]] * 3):
        with pytest.raises(
            InputError, match=r"^Sentence \d of part, '.', does not follow in whole"
        ):
            find_lines(entry, part, whole)


def test_a_second_call_returns_at_once(prepare, monkeypatch, source):
    first = prepare()
    stamps = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    with monkeypatch.context() as patch:
        patch.setattr(module, "_Preparation", None)
        assert prepare(source=source / "nowhere").meta == first.meta
        assert prepare(pieces=60).meta == first.meta
    assert stamps == {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    assert prepare(force=True).meta == first.meta
    assert stamps != {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}


def test_what_was_prepared_otherwise_is_prepared_again(prepare, change_tiny):
    prepare()
    corpus = prepare(pieces=50)
    assert corpus.meta["subwords"]["pieces"] == 50
    assert corpus.subwords()._processor.get_piece_size() == 50
    files = tuple(
        dataclasses.replace(file, checksums=("sha256:" + "0" * 64,)) for file in PAIRS["tiny"].files
    )
    change_tiny(files=files)
    with pytest.raises(InputError, match="is not the published file"):
        prepare(pieces=50)


@pytest.mark.parametrize("name", ["references/dev.de", "train.en-de.de.idx", "meta.json"])
def test_damage_is_mended(prepare, name):
    corpus = prepare()
    (corpus.folder / name).write_bytes(b"?")
    with pytest.raises(InputError):
        load(corpus.folder)
    assert prepare().meta == corpus.meta


@pytest.mark.parametrize(
    "failing", [(SentencePiece, "learn"), (SentencePiece, "segment"), (module, "write_dataset")]
)
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_preparation_leaves_what_was_there(
    prepare, monkeypatch, tmp_path, failing, error
):
    def fail(*_):
        raise error

    for expected in ([], ["tiny"]):
        with monkeypatch.context() as patch:
            patch.setattr(*failing, fail)
            with pytest.raises(error):
                prepare(force=True)
        assert names(tmp_path / "data") == expected
        prepare()


def test_a_folder_with_other_things_is_never_replaced(prepare, tmp_path):
    (tmp_path / "data" / "tiny").mkdir(parents=True)
    (tmp_path / "data" / "tiny" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="thesis.tex"):
        prepare(force=True)
    assert names(tmp_path / "data" / "tiny") == ["thesis.tex"]


def test_a_full_disk_is_one_sentence(prepare, monkeypatch, tmp_path):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_dataset", fail)
    with pytest.raises(InputError, match="could not be prepared.*No space left.*make room"):
        prepare()
    assert names(tmp_path / "data") == []


def test_texts_may_be_gzipped(prepare, change_tiny, source):
    plain = prepare()
    files = tuple(
        dataclasses.replace(file, gzip_checksum="sha256:0") for file in PAIRS["tiny"].files
    )
    change_tiny(files=files)
    for path in list(source.iterdir()):
        (source / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert prepare(force=True).meta == plain.meta
    truncated = (source / "train.de.gz").read_bytes()[:-20]
    (source / "train.de.gz").write_bytes(truncated)
    with pytest.raises(InputError, match=r"train\.de\.gz is damaged"):
        prepare(force=True)


def test_missing_files(prepare, source, tmp_path):
    (source / "dev.de").unlink()
    with pytest.raises(InputError, match=r"subfolder tiny holds dev\.de; .*--source"):
        prepare()
    with pytest.raises(InputError, match=r"raw/tiny does not hold train\.en, and downloads are"):
        prepare(source=None, download=False)
    assert not (tmp_path / "data").exists()


def test_moses_bpe_in_whole(prepare, change_tiny):
    change_tiny(subwords="moses_bpe", pieces=20)
    corpus = prepare()
    assert {"sacremoses", "subword-nmt"} <= set(corpus.meta["subwords"])
    assert isinstance(corpus.subwords(), MosesBPE)
    for language, which in (("en", 0), ("de", 1)):
        decode = corpus.subwords(language).decode
        found = [decode(line.split(" ")) for line in pieces(corpus, "test", language)]
        assert found == [pair[which] for pair in TEXTS["test2020"]]
    assert any("@@ " in line for line in pieces(corpus, "train", "de"))


class Repeated:
    """`count` pairs, made anew each time."""

    def __init__(self, count: int):
        self._count = count

    def __iter__(self):
        return (TEXTS["train"][n % 120] for n in range(self._count))


def test_memory_does_not_grow_with_the_corpus(change_tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 100)
    monkeypatch.setattr("define.data.subwords.SAMPLE_LINES", 500)

    def peak(pairs: int) -> int:
        change_tiny(
            files=(),
            training=(),
            training_pairs=pairs,
            sets=tuple(dataclasses.replace(s, text=None, sentences=None) for s in SETS),
            generate=lambda: {"train": Repeated(pairs), "valid": Repeated(5), "test": Repeated(5)},
        )
        tracemalloc.start()
        try:
            corpus = prepare_pairs("tiny", tmp_path / f"{pairs}" / "tiny", quiet=True)
            assert corpus.meta["python"]
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    SETS = PAIRS["tiny"].sets
    # fairseq's builder keeps the length of every sentence, an integer of a list each.
    assert peak(6_000) < peak(2_000) + 4_000 * 2 * 60


@pytest.fixture
def multi30k_source() -> Path:
    """The folder with Multi30k, or a skip."""
    folder = os.environ.get("DEFINE_DATA_SOURCE")
    if not folder or not Path(folder, "multi30k").is_dir():
        pytest.skip("needs Multi30k: set DEFINE_DATA_SOURCE to a folder with multi30k/train.en ...")
    return Path(folder)


def test_multi30k_has_the_published_counts(tmp_path, multi30k_source):
    corpus = prepare_pairs("multi30k", tmp_path / "multi30k", source=multi30k_source, quiet=True)
    assert corpus.meta["pairs"] == {"train": 29_000, "valid": 1_014, "test": 1_000}
    assert corpus.meta["dropped"] == {}
    assert len(corpus.reference("test_2016_flickr")) == 1_000
    references = (corpus.folder / "references" / "val.de").read_bytes()
    assert references == (multi30k_source / "multi30k" / "val.de").read_bytes()
    # Both sides of one sentence, read back from the binary files.
    assert (
        corpus.subwords().decode(pieces(corpus, "test", "de")[0].split(" "))
        == (corpus.reference("test_2016_flickr")[0])
    )
    again = json.loads((corpus.folder / "meta.json").read_text(encoding="utf-8"))
    assert again == corpus.meta
