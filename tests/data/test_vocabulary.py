"""Frequency order, lookup and encoding against counts made by hand."""

import numpy as np
import pytest

from define.data import vocabulary as vocabulary_module
from define.data.vocabulary import EOS, UNK, Vocabulary
from define.errors import InputError

LINES = ["b a b\n", "\n", " c b  a d\n"]


def test_types_are_in_frequency_order_ties_by_first_occurrence():
    vocabulary = Vocabulary.build(LINES)
    # b and <eos> both occur three times, and b comes first in the text.
    assert vocabulary.types == ["b", EOS, "a", "c", "d"]
    assert vocabulary.counts == [3, 3, 2, 1, 1]
    assert vocabulary.eos == 1


def test_encoding_closes_every_line_the_empty_one_too():
    (ids,) = Vocabulary.build(LINES).encode(LINES)
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids, [0, 2, 0, 1, 1, 3, 0, 2, 4, 1])


@pytest.mark.parametrize(("size", "pieces"), [(1, 3), (3, 2), (5, 2), (6, 1), (10, 1), (99, 1)])
def test_encoding_in_pieces_of_whole_lines(monkeypatch, size, pieces):
    monkeypatch.setattr(vocabulary_module, "TOKENS_PER_CHUNK", size)
    chunks = list(Vocabulary.build(LINES).encode(iter(LINES)))
    assert len(chunks) == pieces
    assert all(chunk[-1] == 1 for chunk in chunks)
    np.testing.assert_array_equal(np.concatenate(chunks), [0, 2, 0, 1, 1, 3, 0, 2, 4, 1])


def test_no_lines_encode_to_nothing():
    assert list(Vocabulary.build(LINES).encode([])) == []


def test_dictionary_file_keeps_everything(tmp_path):
    vocabulary = Vocabulary.build([*LINES, "é <unk>"])
    vocabulary.save(tmp_path / "dict.txt")
    assert (tmp_path / "dict.txt").read_text(encoding="utf-8").startswith("<eos> 4\nb 3\n")
    again = Vocabulary.load(tmp_path / "dict.txt")
    assert (again.types, again.counts) == (vocabulary.types, vocabulary.counts)
    assert len(again) == 7


def test_unknown_word():
    with pytest.raises(InputError, match="'zebra'"):
        list(Vocabulary.build(LINES).encode(["a zebra"]))
    vocabulary = Vocabulary.build([*LINES, UNK])
    assert vocabulary.index("zebra") == vocabulary.types.index(UNK)
    (ids,) = vocabulary.encode(["a zebra"])
    assert ids.tolist() == [vocabulary.types.index(word) for word in ("a", UNK, EOS)]
    assert "zebra" not in vocabulary
    assert "b" in vocabulary


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("a 3\nb\n", "line 2"),
        ("a 3\n\n<eos> 1\n", "line 2"),
        ("a 3\na 2\n<eos> 1\n", "'a' twice"),
        ("a 3\n<eos> 3\nc 1\nd 2\n", r"line 4: 'd' occurs 2 times, .* 'c'"),
        ("a 1\n<eos> 2\n", "line 2.*frequency order"),
        ("a 3\n", "lacks <eos>"),
    ],
)
def test_broken_dictionaries_are_refused(tmp_path, content, named):
    (tmp_path / "dict.txt").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=named):
        Vocabulary.load(tmp_path / "dict.txt")
