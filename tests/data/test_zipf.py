"""The synthetic corpus against the closed form of its law, and its exact sizes."""

from collections import Counter

import numpy as np
import pytest

from define.data.text import zipf
from define.data.text.corpora import REGISTRY
from define.data.text.prepare import prepare

TOKENS = {"train": 103_227, "valid": 1_000, "test": 58}


@pytest.fixture(scope="module")
def lines():
    """100 times smaller than WikiText-103's types, with an incomplete last line in two splits."""
    return zipf.build(TOKENS, 2_677)


def words(lines) -> list[str]:
    return [word for line in lines for word in line.split()]


@pytest.mark.parametrize("split", TOKENS)
def test_token_counts_are_exact(lines, split):
    texts = list(lines[split])
    assert len(words(texts)) + len(texts) == TOKENS[split]
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in texts)
    lengths = {len(line.split()) + 1 for line in texts[:-1]}
    assert lengths <= {zipf.TOKENS_PER_LINE}
    assert len(texts) == -(-TOKENS[split] // zipf.TOKENS_PER_LINE)


@pytest.mark.parametrize("tokens", [57 * 3, 57 * 3 + 1, 57 * 3 + 2, 57 * 4 - 1, 120])
def test_every_type_occurs_at_any_size(tokens):
    lines = list(zipf.build({"train": tokens}, 58)["train"])
    assert len(words(lines)) + len(lines) == tokens
    assert set(words(lines)) == {f"w{rank}" for rank in range(1, 58)}


def test_too_few_tokens_for_all_types():
    with pytest.raises(ValueError, match="too few"):
        zipf.build({"train": 100}, 58)


def test_all_types_and_no_others(lines):
    expected = {f"w{rank}" for rank in range(1, 2_677)}
    assert set(words(lines["train"])) == expected
    assert set(words(lines["valid"])) < expected


def test_the_same_every_time_and_different_in_each_split(lines):
    first = list(lines["train"])
    assert first == list(lines["train"]) == list(zipf.build(TOKENS, 2_677)["train"])
    assert words(first)[:900] != words(lines["valid"])[:900]


def test_the_text_does_not_depend_on_the_chunks(lines, monkeypatch):
    whole = list(lines["train"])
    monkeypatch.setattr(zipf, "LINES_PER_CHUNK", 7)
    assert list(lines["train"]) == whole


def test_shares_add_up_and_fall_as_the_law_says():
    ranks = np.arange(1, 267_735)
    shares = zipf.share(ranks, len(ranks))
    assert shares.sum() == pytest.approx(1, abs=1e-9)
    density = (ranks + 0.5 + zipf.SHIFT) ** -(4 / 3)
    np.testing.assert_allclose(shares / shares[-1], density / density[-1], rtol=5e-3)
    assert 0.05 < shares[0] < 0.07
    assert 3 < shares[-1] * 103_227_021 < 5


def test_drawn_frequencies_follow_the_law():
    count, kinds = 2_000_000, 500
    ranks = zipf.draw(np.random.default_rng(5), kinds, count)
    assert ranks.min() == 1 and ranks.max() == kinds
    expected = count * zipf.share(np.arange(1, kinds + 1), kinds)
    found = np.bincount(ranks, minlength=kinds + 1)[1:]
    # Chi-square with 499 degrees of freedom: mean 499, standard deviation 31.6.
    assert 499 - 5 * 31.6 < ((found - expected) ** 2 / expected).sum() < 499 + 5 * 31.6


def test_every_word_is_placed_once_and_the_rest_is_drawn(lines):
    counts = Counter(words(lines["train"]))
    drawn = sum(counts.values()) - 2_676
    shares = zipf.share(np.arange(1, 2_677), 2_676)
    for rank in (1, 2, 10, 100):
        expected = 1 + drawn * shares[rank - 1]
        assert abs(counts[f"w{rank}"] - expected) < 5 * expected**0.5


def test_prepared_in_frequency_order(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        small = zipf.build(TOKENS, 2_677)
        spec = REGISTRY["zipf"].__class__(
            "zipf", "Synthetic", "None.", tokens=TOKENS, types=2_677, generate=lambda: small
        )
        patch.setitem(REGISTRY, "zipf", spec)
        corpus = prepare("zipf", tmp_path / "zipf", quiet=True)
    counts = np.bincount(corpus.tokens["train"])
    assert counts.tolist() == corpus.vocabulary.counts
    assert (np.diff(counts) <= 0).all() and counts[-1] >= 1
    assert corpus.vocabulary.types[:3] == ["w1", "w2", "w3"]
    assert corpus.meta["tokens"] == TOKENS
