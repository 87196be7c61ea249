"""Locked dropout and word dropout: where their masks repeat, their scale and their rate."""

import pytest
import torch

from define.core.dropout import Dropout, dropout, locked_dropout, word_dropout_mask


@pytest.mark.parametrize("p", [0.3, 0.5, 1e-5, 1 - 1e-6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_probability_is_exact_to_16_bits(p, dtype, monkeypatch):
    every_int16 = torch.arange(-(2**15), 2**15, dtype=torch.int16)

    def all_bits(bits: torch.Tensor, *bounds) -> torch.Tensor:
        assert bounds == (-(2**63), None)  # of 64 random bits, not of 63
        return bits.copy_(every_int16.view(torch.int64))

    monkeypatch.setattr(torch.Tensor, "random_", all_bits)
    y = dropout(torch.full((2**16,), 3.0, dtype=dtype), p)
    assert y.dtype == dtype
    assert (y == 0).double().mean().item() == pytest.approx(p, abs=2**-16)
    scale = (torch.ones((), dtype=dtype) * (1 / (1 - p))) * 3
    assert (y[y != 0] == scale).all()


def test_elements_are_dropped_independently_at_the_given_rate():
    rate, draws = 0.3, torch.ones(1_000_000)
    dropped = (dropout(draws, rate) == 0).double()
    sigma = (rate * (1 - rate)) ** 0.5
    assert dropped.mean().item() == pytest.approx(rate, abs=5 * sigma / 1e3)
    for lag in range(1, 9):  # four elements share one draw of 64 bits
        centred = dropped - dropped.mean()
        correlation = (centred[lag:] * centred[:-lag]).mean().item() / sigma**2
        assert abs(correlation) < 5 / 1e3
    for place in range(4):
        assert dropped[place::4].mean().item() == pytest.approx(rate, abs=10 * sigma / 1e3)


def test_masks_follow_torchs_generator():
    x = torch.randn(7, 11)
    torch.manual_seed(3)
    first = dropout(x, 0.4)
    state = torch.get_rng_state()
    second = dropout(x, 0.4)
    torch.set_rng_state(state)
    assert torch.equal(dropout(x, 0.4), second) and not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.4), first)


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (0, 4), (2, 3, 7)])
def test_dropout_of_any_shape_and_layout_is_a_mask_and_so_is_its_gradient(shape):
    x = torch.randn(shape).mT if len(shape) > 1 else torch.randn(shape)
    x.requires_grad_()
    y = dropout(x, 0.4)
    assert y.shape == x.shape
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient * x, y)
    assert torch.isin(gradient, torch.tensor([0, 1 / 0.6])).all()


def test_the_module_drops_in_training_only():
    module, x = Dropout(0.4), torch.randn(50)
    assert (module(x) == 0).any()
    assert module.eval()(x) is x
    module.train().p = 0.0
    state = torch.get_rng_state()
    assert torch.equal(module(x), x)
    assert torch.equal(torch.get_rng_state(), state)


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
