"""Subword models: what they learn, pieces and back, and what Moses does to text."""

import io
import itertools
import random

import pytest
from subword_nmt.apply_bpe import BPE
from subword_nmt.learn_bpe import learn_bpe

from define.data.parallel import subwords
from define.data.parallel.subwords import MosesBPE, SentencePiece, printable, sample
from define.errors import InputError

WORDS = ["house", "houses", "mouse", "der", "Straßenbahn", "Bahn", "läuft", "running", "runs"]


def text(lines: int, seed: int = 0) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=generator.randint(2, 9))) for _ in range(lines)]


@pytest.fixture
def learnt(tmp_path):
    """Learns a model of a kind from lines and opens it."""

    def learn(kind, lines, pieces, language="de"):
        path = tmp_path / kind.file
        kind.learn(iter(lines), pieces, path)
        return kind(path, language)

    return learn


@pytest.mark.parametrize(("kind", "pieces"), [(SentencePiece, 60), (MosesBPE, 30)])
def test_pieces_and_back(learnt, kind, pieces):
    model = learnt(kind, text(200), pieces)
    for line in [*text(20, seed=1), "houseboat läuft", "Zug"]:
        found = model.encode(line)
        assert len(found) >= len(line.split())
        assert all(piece and " " not in piece for piece in found)
        assert model.decode(found) == line
    assert len(model.encode("houses")) < len("houses")
    assert model.segment(["runs Bahn", "der"]) == [model.encode("runs Bahn"), model.encode("der")]


@pytest.mark.parametrize(("kind", "pieces"), [(SentencePiece, 60), (MosesBPE, 30)])
def test_the_same_text_gives_the_same_model(learnt, tmp_path, kind, pieces):
    learnt(kind, text(200), pieces)
    first = (tmp_path / kind.file).read_bytes()
    learnt(kind, text(200), pieces)
    assert (tmp_path / kind.file).read_bytes() == first


def test_sentencepiece_has_as_many_pieces_as_asked_for_and_every_character(learnt):
    model = learnt(SentencePiece, [*text(200), "der☃"], 60)
    assert model._processor.get_piece_size() == 60
    assert "☃" in model.encode("Bahn☃")
    assert model._processor.piece_to_id("☃") != model._processor.unk_id()


def test_control_characters_are_left_to_the_model(learnt):
    model = learnt(SentencePiece, text(200), 60)
    assert model.encode("der\rBahn\u2028runs\x0c") == model.encode("der Bahn runs")
    assert model.encode("\x01\u200b") == []


def test_too_little_text_for_so_many_pieces(learnt, tmp_path):
    with pytest.raises(InputError, match=r"cannot learn 5000 pieces.*--subwords") as raised:
        learnt(SentencePiece, text(10), 5000)
    assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match=r"cannot learn 5000 merges.*--subwords"):
        learnt(MosesBPE, text(10), 5000)
    assert list(tmp_path.iterdir()) == []


def test_merges_are_those_of_subword_nmt(learnt, tmp_path):
    lines = text(300)
    expected = io.StringIO()
    learn_bpe(io.StringIO("\n".join(lines)), expected, 25)
    model = learnt(MosesBPE, lines, 25)
    assert (tmp_path / "codes").read_text(encoding="utf-8") == expected.getvalue()
    bpe = BPE(io.StringIO(expected.getvalue()))
    unseen = "mousehouse lief Straße"
    assert " ".join(model.encode(unseen)) == bpe.process_line(unseen)


def test_merges_are_learnt_from_the_most_frequent_words(learnt, tmp_path, monkeypatch):
    frequent = ["aaaa bbbb"] * 5
    learnt(MosesBPE, frequent, 4)
    expected = (tmp_path / "codes").read_bytes()
    monkeypatch.setattr(subwords, "MOST_WORDS", 2)
    learnt(MosesBPE, [*frequent, "cdcdcdcdcd", "cdcdcd"], 4)
    assert (tmp_path / "codes").read_bytes() == expected


@pytest.mark.parametrize(
    ("language", "training", "line", "tokens"),
    [
        ("en", False, "It's a well-known fact, Mr. X.", "It 's a well @-@ known fact , Mr. X."),
        ("de", False, "Das ist z.B. 3,5 % (mehr).", "Das ist z.B. 3,5 % ( mehr ) ."),
        # The test set's punctuation stays, but for one apostrophe.
        ("en", False, "the “cat’s”", "the “ cat 's ”"),
        ("en", True, "the “cat” sat", 'the " cat " sat'),
        ("de", True, "die „Katze“,\xa0ja", 'die " Katze " , ja'),
        ("de", True, "„die Katze,“ sagt", '" die Katze " , sagt'),
        ("en", True, "a\x07b\u200bc", "a b c"),
        ("en", False, "a & b | [c]", "a & b | [ c ]"),
    ],
)
def test_moses(language, training, line, tokens):
    escapes = {
        "&": "&amp;",
        "|": "&#124;",
        "'": "&apos;",
        '"': "&quot;",
        "[": "&#91;",
        "]": "&#93;",
    }
    expected = "".join(escapes.get(c, c) for c in tokens)
    assert MosesBPE.tokeniser(language, training)(line) == expected


@pytest.mark.parametrize(
    "line",
    ["It's a well-known fact, isn't it?", 'He said: "No & yes" (twice).', "[1] costs $5 | £3"],
)
def test_detokenised_text_is_the_raw_one(learnt, line):
    model = learnt(MosesBPE, [MosesBPE.tokeniser("en")(line)] * 3, 10, "en")
    assert model.decode(model.encode(line)) == line


def test_a_hypothesis_that_ends_within_a_word(learnt):
    model = learnt(MosesBPE, text(100), 5)
    assert model.decode(["hou@@", "se", "run@@"]) == "house run"
    assert model.decode([]) == ""


def test_printable():
    assert printable("a\tb\x00c\u200dd\ue000e") == "a b c d e"
    assert printable("üñ – 漢 \xa0") == "üñ – 漢 \xa0"


def test_a_sample_is_drawn_evenly_and_always_the_same():
    lines = [str(n) for n in range(2_000)]
    assert sample(iter(lines), 2_000) == lines
    assert sample(iter(lines), 5_000) == lines
    drawn = sample(iter(lines), 500)
    assert drawn == sample(iter(lines), 500)
    assert len(set(drawn)) == 500 and set(drawn) <= set(lines)
    # In each quarter 125 +- 8.4 (the deviation of the hypergeometric law) are expected.
    quarters = [sum(int(line) // 500 == quarter for line in drawn) for quarter in range(4)]
    assert all(abs(count - 125) < 4 * 8.4 for count in quarters)


def test_memory_is_bounded_by_the_sample(monkeypatch, learnt):
    monkeypatch.setattr(subwords, "SAMPLE_LINES", 100)
    endless = itertools.cycle(text(200))
    model = learnt(SentencePiece, itertools.islice(endless, 20_000), 60)
    assert model.decode(model.encode("der mouse")) == "der mouse"
