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

from define.data.parallel import steps
from define.data.parallel.bitext import Pair, Parallel, Side
from define.data.parallel.pairs import PAIRS, EvaluationSet, Limits, PairSpec, load
from define.data.parallel.prepare import prepare_pairs
from define.data.parallel.steps import find_lines, unfit
from define.data.parallel.subwords import SentencePiece
from define.data.prepared import META
from define.data.source import PublishedFile
from define.errors import InputError

EN = ["a house", "the house", "a mouse", "the mouse", "houses", "a mouse house", "runs", "it runs"]
DE = "ein Haus,das Haus,eine Maus,die Maus,Häuser,ein Haus Maus,läuft,es läuft".split(",")
LANGUAGES = ("en", "de")


def sentences(count: int, seed: int) -> list[Pair]:
    generator = random.Random(seed)
    pairs = []
    for _ in range(count):
        chosen = generator.choices(range(len(EN)), k=generator.randint(1, 3))
        pairs.append(Pair(*(" ".join(side[i] for i in chosen) for side in (EN, DE))))
    return pairs


TEXTS = {"train": sentences(120, 0), "dev": sentences(7, 1), "test2020": sentences(5, 2)}
SPLITS = {"train": "train", "valid": "dev", "test": "test2020"}


def side(text: list[Pair], which: int) -> bytes:
    return "".join(f"{pair[which]}\n" for pair in text).encode()


def parallel(name: str) -> Parallel:
    return Parallel(Side(f"{name}.en"), Side(f"{name}.de"))


@pytest.fixture
def source(tmp_path) -> Path:
    """A folder with the texts of the corpus "tiny"."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name, text in TEXTS.items():
        for which, language in enumerate(LANGUAGES):
            (folder / f"{name}.{language}").write_bytes(side(text, which))
    return folder


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
        files=tuple(PublishedFile(f"{name}.{lang}", ()) for name in TEXTS for lang in LANGUAGES),
        folder="tiny",
        training=(parallel("train"),),
        training_pairs=120,
    )
    monkeypatch.setitem(PAIRS, "tiny", spec)
    return spec


@pytest.fixture
def change_tiny(monkeypatch):
    """Registers the corpus "tiny" with other fields."""

    def change(**fields) -> None:
        monkeypatch.setitem(PAIRS, "tiny", dataclasses.replace(PAIRS["tiny"], **fields))

    return change


@pytest.fixture
def prepare(source, tmp_path):
    """Prepares the corpus "tiny" from `source`."""

    def run(**options):
        options = {"source": source, "quiet": True} | options
        return prepare_pairs("tiny", tmp_path / "data" / "tiny", **options)

    return run


@pytest.fixture
def change_line(source):
    """(file, line number, new content): replaces a line of a text."""

    def change(name: str, number: int, content: bytes) -> None:
        lines = (source / name).read_bytes().splitlines(keepends=True)
        lines[number] = content
        (source / name).write_bytes(b"".join(lines))

    return change


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


def decoded(corpus, split: str, language: str) -> list[str]:
    decode = corpus.subwords(language).decode
    return [decode(line.split(" ")) for line in pieces(corpus, split, language)]


def test_every_sentence_comes_back_and_meta_describes_the_files(prepare, source):
    corpus = prepare()
    meta = corpus.meta
    for split, name in SPLITS.items():
        for which, language in enumerate(LANGUAGES):
            assert decoded(corpus, split, language) == [pair[which] for pair in TEXTS[name]]
            field = ("source_tokens", "tokens")[which]
            assert meta[field][split] == sum(map(len, ids(corpus, split, language)))
            if split != "train":
                text = (corpus.folder / "references" / f"{name}.{language}").read_bytes()
                assert text == side(TEXTS[name], which)
    assert meta["pairs"] == {"train": 120, "valid": 7, "test": 5} and meta["dropped"] == {}
    assert corpus.types == len(dictionary(corpus, "de")) != corpus.source_types
    assert corpus.source_types == len(dictionary(corpus, "en"))
    assert meta["sets"] == [
        {"set": "dev", "split": "valid", "sentences": 7},
        {"set": "test2020", "split": "test", "sentences": 5},
    ]
    assert (meta["subwords"]["kind"], meta["subwords"]["pieces"]) == ("sentencepiece", 60)
    assert set(meta["source_sha256"]) == set(names(source)) and "python" not in meta
    on_disk = {path for path in corpus.folder.rglob("*") if path.is_file()}
    assert {corpus.folder / name for name in [*meta["sha256"], META]} == on_disk


@pytest.mark.parametrize("joined", [False, True])
def test_dictionaries_and_data_sets_are_those_of_fairseq_preprocess(
    prepare, change_tiny, tmp_path, joined
):
    change_tiny(joined=joined)
    corpus = prepare()
    text, made = tmp_path / "text", tmp_path / "bin"
    text.mkdir()
    arguments = ["--source-lang", "en", "--target-lang", "de", "--destdir", str(made)]
    for split, name in SPLITS.items():
        for which, language in enumerate(LANGUAGES):
            encode = corpus.subwords(language).encode
            lines = [" ".join(encode(pair[which])) + "\n" for pair in TEXTS[name]]
            (text / f"{split}.{language}").write_text("".join(lines), encoding="utf-8")
        arguments += [f"--{split}pref", str(text / split)]
    arguments += ["--padding-factor", "1", *(["--joined-dictionary"] if joined else [])]
    preprocess.main(preprocess.options.get_preprocessing_parser().parse_args(arguments))
    files = set(names(made)) - {"preprocess.log"}
    assert len(files) == 2 + 3 * 2 * 2
    for name in files:
        assert (corpus.folder / name).read_bytes() == (made / name).read_bytes(), name
    assert (dictionary(corpus, "en") == dictionary(corpus, "de")) == joined


def test_bad_training_pairs_are_left_out_as_pairs(prepare, change_tiny, source):
    bad = [(b"\n", b"x\n"), (b"x\n", b" \t\n"), (b"caf\xe9\n", b"x\n"), (b"\x01\n", b"x\n")]
    for which, language in enumerate(LANGUAGES):
        lines = side(TEXTS["train"], which).splitlines(keepends=True)
        for at, pair in enumerate(bad):
            lines.insert(17 * at, pair[which])
        (source / f"train.{language}").write_bytes(b"".join(lines))
    with pytest.raises(InputError, match=r"124 training pairs were counted but 120 are published"):
        prepare()
    change_tiny(training_pairs=124)
    corpus = prepare()
    assert corpus.meta["dropped"] == {"train": {"empty": 3, "not UTF-8": 1}}
    for which, language in enumerate(LANGUAGES):
        assert decoded(corpus, "train", language) == [pair[which] for pair in TEXTS["train"]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\n", "dev, sentence 4: a side is empty"),
        (b"\xff\n", "dev, sentence 4: a side is not UTF-8"),
        (b"\x01\x02\n", "dev has 1 sentences of which the subword model keeps nothing"),
        (b"", r"dev\.en has 7 lines but .*dev\.de has 6"),
    ],
)
def test_no_sentence_of_an_evaluation_set_is_left_out(prepare, change_line, tmp_path, line, reason):
    change_line("dev.de", 3, line)
    with pytest.raises(InputError, match=reason):
        prepare()
    assert names(tmp_path / "data") == []
    change_line("dev.en", 3, line)
    if not line:
        with pytest.raises(InputError, match="6 sentences of dev were counted but 7 are published"):
            prepare()


def test_pieces_that_training_lacks_become_unknown(prepare, change_line):
    change_line("dev.en", 0, "a house ☃☃\n".encode())
    corpus = prepare()
    assert corpus.meta["unknown"]["train"] == {"source": 0, "target": 0}
    unknown = dictionary(corpus, "en").unk()
    found = sum(line.count(unknown) for line in ids(corpus, "valid", "en"))
    assert corpus.meta["unknown"]["valid"] == {"source": found, "target": 0} and found


@pytest.fixture
def held_out(change_tiny):
    """Makes every tenth training pair one of the validation split."""
    change_tiny(
        sets=(PAIRS["tiny"].sets[1],),
        files=tuple(f for f in PAIRS["tiny"].files if not f.name.startswith("dev")),
        hold_out=10,
    )


def test_held_out_pairs_and_limits(prepare, change_tiny, held_out):
    change_tiny(limits=Limits(longest=12, ratio=1.2))
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
                for language, line in zip(LANGUAGES, pair, strict=True)
            ]
            if max(lengths) <= 12 and max(lengths) / min(lengths) <= 1.2:
                kept.append(pair.target)
        assert decoded(corpus, split, "de") == kept
        assert 0 < len(kept) < len(pairs)
        assert sum(corpus.meta["dropped"][split].values()) == len(pairs) - len(kept)
    assert set(corpus.meta["dropped"]["train"]) == {"too long", "lengths too different"}
    assert [entry["split"] for entry in corpus.sets] == ["test"]


@pytest.mark.parametrize(
    ("lengths", "longest", "reason"),
    [
        ((1, 1), None, None),
        ((10, 15), None, None),
        ((16, 10), None, "lengths too different"),
        ((10, 16), None, "lengths too different"),
        ((250, 251), None, "too long"),
        ((250, 250), None, None),
        ((9, 8), 8, "too long"),
        ((8, 8), 8, None),
        ((0, 3), None, "empty"),
    ],
)
def test_limits(lengths, longest, reason):
    assert unfit(*lengths, Limits(longest=250, ratio=1.5), longest) == reason
    own = reason if reason == "empty" or longest else None
    assert unfit(*lengths, None, longest) == own


def test_training_pairs_of_up_to_max_length_are_kept(prepare, held_out, tmp_path):
    corpus = prepare(pieces=40)
    assert corpus.meta["max_length"] is None
    whole = {(s, lang): pieces(corpus, s, lang) for s in SPLITS for lang in LANGUAGES}
    pairs = zip(whole["train", "en"], whole["train", "de"], strict=True)
    longest = [max(len(line.split(" ")) for line in pair) for pair in pairs]
    assert {8, 9} <= set(longest)  # a limit off by one would show
    assert max(len(line.split(" ")) for line in whole["valid", "de"]) > 8
    corpus = prepare(pieces=40, max_length=8)
    for (split, language), lines in whole.items():
        if split == "train":
            lines = [line for line, length in zip(lines, longest, strict=True) if length <= 8]
        assert pieces(corpus, split, language) == lines
    assert corpus.meta["dropped"] == {"train": {"too long": sum(n > 8 for n in longest)}}
    assert corpus.meta["max_length"] == 8
    with pytest.raises(InputError, match="--max-length is 1, but every training pair of Tiny"):
        prepare(pieces=40, max_length=1)
    assert load(tmp_path / "data" / "tiny").meta == corpus.meta


def test_a_set_within_another(prepare, change_tiny, source):
    within = EvaluationSet("part", "test", parallel("part"), "test2020", 3)
    for which, language in enumerate(LANGUAGES):
        part = [TEXTS["test2020"][i] for i in (0, 2, 4)]
        (source / f"part.{language}").write_bytes(side(part, which))
    files = (PublishedFile("part.en", ()), PublishedFile("part.de", ()))
    change_tiny(sets=(*PAIRS["tiny"].sets, within), files=(*PAIRS["tiny"].files, *files))
    corpus = prepare()
    facts = {"set": "part", "split": "test", "sentences": 3, "within": "test2020"}
    assert corpus.sets[-1] == {**facts, "lines": [0, 2, 4]}
    assert corpus.reference("part") == [corpus.reference("test2020")[i] for i in (0, 2, 4)]
    assert corpus.meta["pairs"]["test"] == 5


def test_lines_of_a_part():
    whole = [Pair(*pair) for pair in ("aA", "bB", "aA", "bC", "cC")]
    entry = EvaluationSet("part", "test", None, "whole")
    assert find_lines(entry, [whole[0], whole[2], whole[4]], whole) == [0, 2, 4]
    assert find_lines(entry, [Pair("b", "C")], whole) == [3]
    for part in ([Pair("b", "A")], [whole[4], whole[0]], [whole[0]] * 3):
        with pytest.raises(InputError, match=r"^Sentence \d of part, '.', does not follow in who"):
            find_lines(entry, part, whole)


def test_an_intact_corpus_is_kept_and_another_is_prepared_again(prepare, change_tiny, source):
    first = prepare(max_length=20)
    path = first.folder / META
    written = path.stat().st_mtime_ns
    assert prepare(source=source / "nowhere", pieces=60, max_length=20).meta == first.meta
    assert path.stat().st_mtime_ns == written
    assert prepare(max_length=20, force=True).meta == first.meta
    assert path.stat().st_mtime_ns != written
    assert prepare().meta["max_length"] is None
    meta = json.loads(path.read_text(encoding="utf-8"))
    del meta["max_length"]  # as corpora were prepared before there was a limit
    path.write_text(json.dumps(meta), encoding="utf-8")
    assert "max_length" not in prepare().meta
    assert prepare(pieces=50).subwords()._processor.get_piece_size() == 50
    files = PAIRS["tiny"].files
    changed = [dataclasses.replace(file, checksums=("sha256:" + "0" * 64,)) for file in files]
    change_tiny(files=tuple(changed))
    with pytest.raises(InputError, match="is not the published file"):
        prepare(pieces=50)


@pytest.mark.parametrize("failing", [(SentencePiece, "learn"), (steps, "write_dataset")])
def test_a_failed_preparation_leaves_nothing(prepare, monkeypatch, tmp_path, failing):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*failing, fail)
    with pytest.raises(InputError, match="make room"):
        prepare()
    assert names(tmp_path / "data") == []


def test_texts_may_be_gzipped(prepare, change_tiny, source):
    plain = prepare()
    files = PAIRS["tiny"].files
    change_tiny(files=tuple(dataclasses.replace(f, gzip_checksum="sha256:0") for f in files))
    for path in list(source.iterdir()):
        (source / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert prepare(force=True).meta == plain.meta
    (source / "train.de.gz").write_bytes((source / "train.de.gz").read_bytes()[:-20])
    with pytest.raises(InputError, match=r"train\.de\.gz is damaged"):
        prepare(force=True)


def test_missing_files(prepare, source, tmp_path):
    (source / "dev.de").unlink()
    with pytest.raises(InputError, match=r"subfolder tiny holds dev\.de; .*--source"):
        prepare()
    with pytest.raises(InputError, match=r"raw/tiny does not hold train\.en, and downloads are"):
        prepare(source=None, download=False)
    assert not (tmp_path / "data").exists()


class Repeated:
    """`count` pairs, made anew each time."""

    def __init__(self, count: int):
        self._count = count

    def __iter__(self):
        return (TEXTS["train"][n % 120] for n in range(self._count))


def test_memory_does_not_grow_with_the_corpus(change_tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "BATCH", 100)
    monkeypatch.setattr("define.data.parallel.subwords.SAMPLE_LINES", 200)
    sets = tuple(dataclasses.replace(s, text=None, sentences=None) for s in PAIRS["tiny"].sets)

    def peak(pairs: int) -> int:
        texts = {"train": Repeated(pairs), "valid": Repeated(5), "test": Repeated(5)}
        change_tiny(files=(), training=(), training_pairs=pairs, sets=sets, generate=lambda: texts)
        tracemalloc.start()
        try:
            corpus = prepare_pairs("tiny", tmp_path / f"{pairs}" / "tiny", quiet=True)
            assert corpus.meta["python"]
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # fairseq's builder keeps the length of every sentence, an integer of a list each.
    assert peak(2_500) < peak(1_000) + 1_500 * 2 * 60


def test_multi30k_has_the_published_counts(tmp_path):
    folder = os.environ.get("DEFINE_DATA_SOURCE")
    if not folder or not Path(folder, "multi30k").is_dir():
        pytest.skip("needs Multi30k: set DEFINE_DATA_SOURCE to a folder with multi30k/train.en ...")
    corpus = prepare_pairs("multi30k", tmp_path / "multi30k", source=folder, quiet=True)
    assert corpus.meta["pairs"] == {"train": 29_000, "valid": 1_014, "test": 1_000}
    assert corpus.meta["dropped"] == {}
    references = (corpus.folder / "references" / "val.de").read_bytes()
    assert references == Path(folder, "multi30k", "val.de").read_bytes()
    assert decoded(corpus, "test", "de")[0] == corpus.reference("test_2016_flickr")[0]
    # What the published runs were trained on.
    if corpus.meta["subwords"]["sentencepiece"] == "0.2.3":
        assert corpus.meta["sha256"]["train.en-de.de.bin"].startswith("215534c372613aa7")
