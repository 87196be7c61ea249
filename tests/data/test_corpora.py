"""What is known about each corpus."""

import hashlib

import pytest

from define.data.parallel.pairs import PAIRS
from define.data.parallel.subwords import KINDS
from define.data.text.corpora import REGISTRY, SPLITS
from define.train.compose import configs_folder


@pytest.mark.parametrize("spec", REGISTRY.values(), ids=list(REGISTRY))
def test_specs_are_complete(spec):
    assert spec.title and spec.licence
    assert bool(spec.files) != bool(spec.generate)
    assert spec.checksums.keys() == set(spec.files.values())
    accepted = [checksum for checksums in spec.checksums.values() for checksum in checksums]
    accepted += [spec.archive.checksum] if spec.archive else []
    for checksum in accepted:
        algorithm, digits = checksum.split(":")
        assert len(bytes.fromhex(digits)) == hashlib.new(algorithm).digest_size
    if spec.files:
        assert set(spec.files) == set(spec.tokens) == set(SPLITS) and spec.types
        assert spec.mirrors and all(url.startswith("https://") for url in spec.mirrors)
        assert all(url.endswith("/") for url in spec.mirrors) and "--source" in spec.download_note


@pytest.mark.parametrize("spec", PAIRS.values(), ids=PAIRS)
def test_parallel_specs_are_complete(spec):
    assert spec.name not in REGISTRY and spec.source != spec.target
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


@pytest.mark.parametrize(
    "path", sorted((configs_folder() / "data").glob("*.yaml")), ids=lambda path: path.stem
)
def test_data_configs_name_a_corpus(path):
    text = path.read_text(encoding="utf-8")
    assert path.stem in REGISTRY | PAIRS
    assert f"corpus: {path.stem}\n" in text and f"data: ${{data_root}}/{path.stem}\n" in text


def test_synthetic_corpora_have_the_types_of_wikitext_103_and_multi30k_goes_both_ways():
    for name in ("zipf", "zipf-103m"):
        synthetic, words = REGISTRY[name], REGISTRY["wikitext-103"].types - 1
        lines = synthetic.generate()["train"]
        assert (lines.tokens, lines.words) == (synthetic.tokens["train"], words)
    there, back = PAIRS["multi30k"], PAIRS["multi30k-de-en"]
    assert (there.source, there.target, there.files) == (back.target, back.source, back.files)
    assert [text.source for text in there.training] == [text.target for text in back.training]
