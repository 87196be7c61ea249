"""A prepared parallel corpus, opened and checked."""

import json

import pytest

from define.data.parallel.pairs import get_pairs, load
from define.data.parallel.prepare import prepare_pairs
from define.errors import InputError


@pytest.fixture
def corpus(register_pairs, tmp_path):
    """A generated corpus, prepared."""
    text = [(f"a{n} b\rc", f"ä{n}\u2028 o") for n in range(50)]
    register_pairs("odd", {"train": text, "valid": text[:3], "test": text[3:5]}, pieces=40)
    return prepare_pairs("odd", tmp_path / "odd", quiet=True)


def test_texts_and_subwords(corpus):
    assert [entry["set"] for entry in corpus.sets] == ["odd_valid", "odd_test"]
    assert corpus.source_text("odd_test") == ["a3 b\rc", "a4 b\rc"]
    assert corpus.reference("odd_test") == ["ä3\u2028 o", "ä4\u2028 o"]
    assert corpus.subwords().language == "xb" and corpus.subwords("xa").language == "xa"
    assert corpus.subwords().decode(corpus.subwords().encode("ä1 b")) == "ä1 b"
    with pytest.raises(InputError, match="odd named 'test'; choose one of odd_valid, odd_test"):
        corpus.reference("test")
    with pytest.raises(InputError, match=r"no parallel corpus 'wmt15'; choose one of multi30k, "):
        get_pairs("wmt15")


@pytest.mark.parametrize("name", ["references/odd_test.xb", "train.xa-xb.xa.bin", "dict.xb.txt"])
def test_load_notices_changes(corpus, name):
    content = (corpus.folder / name).read_bytes()
    (corpus.folder / name).write_bytes(content[:-1] + b"?")
    with pytest.raises(InputError, match=rf"{name} is not the file.*`define prepare odd --output"):
        load(corpus.folder)
    (corpus.folder / name).unlink()
    with pytest.raises(InputError, match=r"no prepared corpus in .*`define prepare odd "):
        load(corpus.folder)


@pytest.mark.parametrize("wrong", ["[]", "{}", "{", json.dumps({"sha256": {}, "name": "odd"})])
def test_load_needs_a_parallel_corpus(corpus, wrong):
    (corpus.folder / "meta.json").write_text(wrong, encoding="utf-8")
    with pytest.raises(InputError, match="meta.json is not readable"):
        load(corpus.folder)
