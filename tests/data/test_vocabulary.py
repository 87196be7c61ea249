"""Frequency order, lookup and encoding against counts made by hand."""

import numpy as np
import pytest

from define.data.text import vocabulary as vocabulary_module
from define.data.text.vocabulary import EOS, UNK, Vocabulary
from define.errors import InputError

LINES = ["b a b\n", "\n", " c b  a d\n"]


def test_types_are_in_frequency_order_ties_by_first_occurrence(tmp_path):
    vocabulary = Vocabulary.build(LINES)
    # b and <eos> both occur three times, and b comes first in the text.
    assert vocabulary.types == ["b", EOS, "a", "c", "d"]
    assert vocabulary.counts == [3, 3, 2, 1, 1]
    assert vocabulary.eos == 1
    vocabulary.save(tmp_path / "dict.txt")
    assert (tmp_path / "dict.txt").read_text(encoding="utf-8") == "b 3\n<eos> 3\na 2\nc 1\nd 1\n"
    again = Vocabulary.load(tmp_path / "dict.txt")
    assert (again.types, again.counts, again.eos) == (vocabulary.types, vocabulary.counts, 1)


@pytest.mark.parametrize(("size", "pieces"), [(1, 3), (3, 2), (5, 2), (6, 1), (10, 1), (99, 1)])
def test_encoding_in_pieces_of_whole_lines(monkeypatch, size, pieces):
    monkeypatch.setattr(vocabulary_module, "TOKENS_PER_CHUNK", size)
    chunks = list(Vocabulary.build(LINES).encode(iter(LINES)))
    assert len(chunks) == pieces
    assert all(chunk[-1] == 1 and chunk.dtype == np.int32 for chunk in chunks)
    np.testing.assert_array_equal(np.concatenate(chunks), [0, 2, 0, 1, 1, 3, 0, 2, 4, 1])
    assert list(Vocabulary.build(LINES).encode([])) == []


def test_unknown_word():
    with pytest.raises(InputError, match="'zebra'"):
        list(Vocabulary.build(LINES).encode(["a zebra"]))
    vocabulary = Vocabulary.build([*LINES, UNK])
    (ids,) = vocabulary.encode(["a zebra"])
    assert ids.tolist() == [vocabulary.types.index(word) for word in ("a", UNK, EOS)]
