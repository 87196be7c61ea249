"""What the registry says about each corpus, and WikiText-2 from its real files."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from define.data.corpora import REGISTRY, SPLITS
from define.data.pairs import PAIRS
from define.data.prepare import prepare
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


def test_wikitext_103_is_the_published_one():
    spec = REGISTRY["wikitext-103"]
    assert spec.archive.checksum == "md5:9ddaacaf6af0710eda8c456decff7832"
    assert spec.tokens == {"train": 103_227_021, "valid": 217_646, "test": 245_569}
    assert spec.lines == {"train": 1_801_350, "valid": 3_760, "test": 4_358}
    assert spec.types == 267_735


@pytest.mark.parametrize("name", ["zipf", "zipf-103m"])
def test_the_synthetic_corpora_say_so_and_have_wikitext_103s_types(name):
    spec = REGISTRY[name]
    assert "Synthetic" in spec.title and "Synthetic" in spec.licence
    assert spec.types == REGISTRY["wikitext-103"].types
    lines = spec.generate()["train"]
    assert (lines.tokens, lines.words) == (spec.tokens["train"], spec.types - 1)
    assert lines.complete
    assert REGISTRY["zipf-103m"].tokens == REGISTRY["wikitext-103"].tokens


@pytest.mark.parametrize(
    "path", sorted((configs_folder() / "data").glob("*.yaml")), ids=lambda path: path.stem
)
def test_data_configs_name_a_corpus(path):
    text = path.read_text(encoding="utf-8")
    assert path.stem in REGISTRY | PAIRS
    assert f"corpus: {path.stem}\n" in text and f"data: ${{data_root}}/{path.stem}\n" in text


@pytest.fixture(scope="module")
def wikitext_2(tmp_path_factory):
    """WikiText-2, prepared, and the folder of its text files; or a skip."""
    source = os.environ.get("DEFINE_DATA_SOURCE")
    if not source:
        pytest.skip("needs WikiText-2: set DEFINE_DATA_SOURCE to a folder with wikitext-2/")
    output = tmp_path_factory.mktemp("data") / "wikitext-2"
    return prepare("wikitext-2", output, source=source, quiet=True), Path(source, "wikitext-2")


def test_wikitext_2_has_the_published_counts(wikitext_2):
    corpus, _ = wikitext_2
    lengths = {split: len(array) for split, array in corpus.tokens.items()}
    assert lengths == {"train": 2_088_628, "valid": 217_646, "test": 245_569}
    ends = {split: int((array == corpus.eos).sum()) for split, array in corpus.tokens.items()}
    assert ends == {"train": 36_718, "valid": 3_760, "test": 4_358}
    assert corpus.types == 33_278
    counts = np.bincount(corpus.tokens["train"])
    assert counts.tolist() == corpus.vocabulary.counts
    assert (np.diff(counts) <= 0).all()


def test_empty_lines_of_wikitext_2_are_tokens_too(wikitext_2):
    corpus, source = wikitext_2
    lines = (source / "wiki.valid.tokens").read_text(encoding="utf-8").split("\n")[:-1]
    text = [word for line in lines for word in [*line.split(), "<eos>"]]
    assert [corpus.vocabulary.types[i] for i in corpus.tokens["valid"]] == text
    assert sum(not line.strip() for line in lines) == 1_299
    # What the download note says about rows whose blank lines were emptied.
    rows = [line + "\n" if line.strip() else "" for line in lines]
    again = "".join(row or " \n" for row in rows).encode()
    digest = hashlib.sha256(again).hexdigest()
    assert (f"sha256:{digest}",) == REGISTRY["wikitext-2"].checksums["wiki.valid.tokens"]
