"""What measured updates read: its law, its lengths, its seed."""

import numpy as np
import pytest
import torch

from define.bench.generated import (
    MEAN_LENGTH,
    RATIO_DEVIATION,
    dictionary,
    generated_corpus,
    lengths,
    sentences,
)
from define.data.text import zipf


def assert_follows_the_law(ranks: np.ndarray, types: int) -> None:
    """Ranks from 1 to `types`, each as often as it should be."""
    assert ranks.min() >= 1 and ranks.max() <= types
    found = np.bincount(ranks, minlength=types + 1)[1:] / len(ranks)
    law = zipf.share(np.arange(1, types + 1), types)
    assert np.abs(found - law).max() < 5 * np.sqrt(law.max() / len(ranks))


def test_the_generated_text_follows_the_law_and_the_seed():
    types, count = 50, 200_000
    corpus = generated_corpus(types, count, seed=3)
    tokens = corpus.tokens["train"]
    assert corpus.types == types and corpus.eos == 0 and len(tokens) == count
    assert_follows_the_law(tokens + 1, types)
    again, other = (generated_corpus(types, 100, seed).tokens["train"] for seed in (3, 4))
    assert np.array_equal(again, generated_corpus(types, 100, 3).tokens["train"])
    assert not np.array_equal(again, other)


def test_lengths_have_their_mean_and_go_together():
    source, target = lengths(np.random.default_rng(1), 27 * 100_000, longest=1024)
    assert len(source) == len(target) == 100_000
    assert source.mean() == pytest.approx(MEAN_LENGTH, rel=0.01)
    assert source.std() == pytest.approx(MEAN_LENGTH / 2**0.5, rel=0.02)
    long = source > 20  # of shorter ones, rounding is much of the ratio
    ratio = np.log(target[long] / source[long])
    assert ratio.mean() == pytest.approx(0, abs=0.005)
    assert ratio.std() == pytest.approx(RATIO_DEVIATION, rel=0.02)
    assert min(source.min(), target.min()) == 2


@pytest.mark.parametrize("longest", [2, 9, 30])
def test_lengths_are_cut_and_still_sum_to_the_tokens_needed(longest):
    sides = lengths(np.random.default_rng(1), 10_000, longest)
    assert sides.max() == longest
    assert sides.sum(axis=1).min() > 0.6 * 10_000


def test_sentences_are_words_by_the_law_and_one_end():
    words = dictionary(54)
    sizes = np.random.default_rng(1).integers(2, 9, 10_000)
    made = sentences(np.random.default_rng(2), words, sizes)
    assert [len(tokens) for tokens in made] == sizes.tolist()
    assert {int(tokens[-1]) for tokens in made} == {words.eos()}
    inside = torch.cat([tokens[:-1] for tokens in made]).numpy()
    assert_follows_the_law(inside - words.nspecial + 1, 50)
    assert words[int(inside.max())] == "49"
    again = sentences(np.random.default_rng(2), words, sizes)
    assert all(a.equal(b) for a, b in zip(made, again, strict=True))
