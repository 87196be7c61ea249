"""The registered parallel corpora hang together; prepared ones open checked."""

import json

import pytest

from define.data import pairs
from define.data.corpora import REGISTRY
from define.data.pairs import PAIRS, get_pairs, load
from define.data.prepare_pairs import prepare_pairs
from define.data.subwords import KINDS
from define.errors import InputError


@pytest.mark.parametrize("spec", PAIRS.values(), ids=PAIRS)
def test_a_corpus_hangs_together(spec):
    assert spec.name not in REGISTRY
    assert spec.source != spec.target
    assert spec.subwords in KINDS
    files = {file.name for file in spec.files}
    texts = [*spec.training, *(entry.text for entry in spec.sets if entry.text)]
    assert {side.file for text in texts for side in (text.source, text.target)} == files
    assert bool(files) != bool(spec.generate)
    by_name = {entry.name: entry for entry in spec.sets}
    assert len(by_name) == len(spec.sets)
    for entry in spec.sets:
        assert entry.within is None or by_name[entry.within].sentences > entry.sentences
        assert (entry.text is None) == (spec.generate is not None)
    splits = {entry.split for entry in spec.sets} | ({"valid"} if spec.hold_out else set())
    assert splits >= {"valid", "test"}


def test_the_reverse_direction_has_the_same_files():
    there, back = PAIRS["multi30k"], PAIRS["multi30k-de-en"]
    assert (there.source, there.target) == (back.target, back.source)
    assert there.files == back.files
    assert [text.source for text in there.training] == [text.target for text in back.training]


def test_wmt_sizes():
    sizes = {entry.name: (entry.split, entry.sentences) for entry in PAIRS["wmt14-en-de"].sets}
    assert sizes == {
        "newstest2014": ("valid", 2_737),
        "newstest2017": ("test", 3_004),
        "newstest2014_full": ("full", 3_003),
    }
    training = [side.source.member for side in PAIRS["wmt14-en-de"].training]
    assert training == [
        "commoncrawl.de-en.en",
        "training/europarl-v7.de-en.en",
        "training-parallel-nc-v11/news-commentary-v11.de-en.en",
    ]
    test_set = next(iter(PAIRS["wmt14-en-de-fairseq"].sets))
    assert (test_set.name, test_set.split) == ("newstest2014_full", "test")


def test_unknown_corpus():
    with pytest.raises(InputError, match=r"no parallel corpus 'wmt15'; choose one of multi30k, "):
        get_pairs("wmt15")


@pytest.fixture
def corpus(register_pairs, tmp_path):
    """A generated corpus, prepared."""
    text = [(f"a{n} b\rc", f"ä{n}\u2028 o") for n in range(50)]
    register_pairs("odd", {"train": text, "valid": text[:3], "test": text[3:5]}, pieces=40)
    return prepare_pairs("odd", tmp_path / "odd", quiet=True)


def test_texts_of_evaluation_sets(corpus):
    assert [entry["set"] for entry in corpus.sets] == ["odd_valid", "odd_test"]
    assert corpus.source_text("odd_test") == ["a3 b\rc", "a4 b\rc"]
    assert corpus.reference("odd_test") == ["ä3\u2028 o", "ä4\u2028 o"]
    with pytest.raises(InputError, match="no evaluation set 'test'; choose one of odd_valid, odd"):
        corpus.reference("test")


def test_the_model_speaks_the_target_language(corpus):
    assert corpus.subwords().language == "xb"
    assert corpus.subwords("xa").language == "xa"
    assert corpus.subwords().decode(corpus.subwords().encode("ä1 b")) == "ä1 b"


@pytest.mark.parametrize(
    "name", ["references/odd_test.xb", "train.xa-xb.xa.bin", "subwords.model", "dict.xb.txt"]
)
def test_load_notices_changes(corpus, name):
    content = (corpus.folder / name).read_bytes()
    (corpus.folder / name).write_bytes(content[:-1] + b"?")
    with pytest.raises(InputError, match=rf"{name} is not the file.*`define prepare odd --output"):
        load(corpus.folder)
    (corpus.folder / name).unlink()
    with pytest.raises(InputError, match=r"no prepared corpus in .*`define prepare odd "):
        load(corpus.folder)


def test_load_needs_a_parallel_corpus(corpus, tmp_path):
    meta = json.loads((corpus.folder / "meta.json").read_text(encoding="utf-8"))
    for wrong in ("[]", "{}", "{", json.dumps({"sha256": {}, "name": "odd"})):
        (corpus.folder / "meta.json").write_text(wrong, encoding="utf-8")
        with pytest.raises(InputError, match="meta.json is not readable"):
            load(corpus.folder)
    assert meta["types"] == corpus.types and meta["source_types"] == corpus.source_types
    assert pairs.REFERENCES == "references"
    with pytest.raises(InputError, match="`define prepare multi30k "):
        load(tmp_path / "multi30k")
