"""Locked dropout and word dropout: where their masks repeat, their scale and their rate."""

import pytest
import torch

from define.core.dropout import locked_dropout, word_dropout_mask


def test_the_mask_is_the_same_at_every_time_step():
    x = torch.randn(6, 4, 50)
    y = locked_dropout(x, 0.4, training=True)
    dropped = y == 0
    assert 0 < dropped.sum() < dropped.numel()
    assert torch.equal(dropped, dropped[:1].expand_as(dropped))


def test_the_mask_differs_over_streams_and_calls():
    x = torch.ones(1, 2, 100)
    first, second = locked_dropout(x, 0.5, training=True), locked_dropout(x, 0.5, training=True)
    assert not torch.equal(first[:, 0], first[:, 1])
    assert not torch.equal(first, second)


def test_what_is_kept_is_scaled_and_the_rate_is_p():
    x = torch.randn(2, 30, 1000)
    y = locked_dropout(x, 0.4, training=True)
    kept = y != 0
    torch.testing.assert_close(y[kept], x[kept] / 0.6)
    assert kept.float().mean() == pytest.approx(0.6, abs=0.01)


def test_the_gradient_is_the_mask():
    x = torch.randn(3, 2, 8, requires_grad=True)
    y = locked_dropout(x, 0.4, training=True)
    y.sum().backward()
    torch.testing.assert_close(x.grad * x.detach(), y.detach())


@pytest.mark.parametrize("p, training", [(0.4, False), (0.0, True)])
def test_locked_dropout_is_off(p, training):
    x = torch.randn(3, 2, 8)
    assert torch.equal(locked_dropout(x, p, training), x)


def test_all_places_of_a_word_are_dropped_together():
    tokens = torch.randint(50, (40, 10))
    factor = word_dropout_mask(tokens, 50, 0.3)
    assert factor.shape == (40, 10, 1)
    for word in range(50):
        values = factor[tokens == word].unique()
        assert len(values) == 1
        assert values.item() in (0, pytest.approx(1 / 0.7))
    assert len(factor.unique()) == 2


def test_words_are_dropped_at_the_given_rate():
    factor = word_dropout_mask(torch.arange(20_000), 20_000, 0.1)
    assert (factor == 0).float().mean() == pytest.approx(0.1, abs=0.01)
    assert factor.mean() == pytest.approx(1, abs=0.01)


def test_words_dropped_differ_between_calls():
    tokens = torch.arange(200)
    assert not torch.equal(word_dropout_mask(tokens, 200, 0.5), word_dropout_mask(tokens, 200, 0.5))
