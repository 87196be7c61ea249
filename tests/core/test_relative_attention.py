"""Relative attention: encodings, masks, the shift, a loop over the paper's formula, kernels."""

import contextlib
import itertools

import pytest
import slow_reference as reference
import torch

from define.core import relative_attention
from define.core.relative_attention import (
    RelativeAttention,
    attention_mask,
    relative_shift,
    sinusoids,
)

CPU = torch.device("cpu")
DIM, HEADS, HEAD_DIM = 10, 3, 7


@pytest.mark.parametrize("clamp", [-1, 0, 1, 4, 100])
def test_sinusoids(clamp):
    num_keys = 9
    encodings = sinusoids(num_keys, DIM, clamp, torch.float64, CPU)
    assert encodings.shape == (num_keys + 1, DIM)
    for row in range(num_keys):
        expected = reference.sinusoid(num_keys - 1 - row, DIM, clamp)
        torch.testing.assert_close(encodings[row], expected)


def test_long_distances_are_told_apart_in_low_precision():
    rows = sinusoids(800, DIM, 0, torch.bfloat16, CPU)
    exact = sinusoids(800, DIM, 0, torch.float64, CPU)
    assert rows.dtype == torch.bfloat16
    torch.testing.assert_close(rows.double(), exact, rtol=0, atol=2**-8)


@pytest.mark.parametrize("window", [None, 1, 2, 5, 100])
@pytest.mark.parametrize("num_queries, memory", [(1, 0), (1, 4), (5, 0), (5, 2), (3, 7)])
def test_a_query_sees_itself_and_what_came_before_within_its_window(num_queries, memory, window):
    num_keys = memory + num_queries
    mask = attention_mask(num_queries, num_keys, window, torch.float64, CPU)
    for i, j in itertools.product(range(num_queries), range(num_keys)):
        distance = memory + i - j
        seen = 0 <= distance and (window is None or distance < window)
        assert mask[i, j] == (0.0 if seen else -torch.inf)


@pytest.mark.parametrize("num_queries, memory", [(1, 0), (1, 4), (5, 0), (5, 2), (3, 7)])
def test_the_shift_puts_distances_under_their_keys_without_a_copy(num_queries, memory):
    num_keys = memory + num_queries
    scores = torch.randn(2, 3, num_queries, num_keys + 1)
    shifted = relative_shift(scores)
    assert shifted.shape == (2, 3, num_queries, num_keys)
    assert shifted.untyped_storage().data_ptr() == scores.untyped_storage().data_ptr()
    for i in range(num_queries):
        for j in range(memory + i + 1):
            distance = memory + i - j
            assert torch.equal(shifted[..., i, j], scores[..., i, num_keys - 1 - distance])


def make_attention(kernel: str, dropout: float = 0.0) -> RelativeAttention:
    torch.manual_seed(1)
    attention = RelativeAttention(DIM, HEADS, HEAD_DIM, dropout, kernel).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return attention


def make_inputs(num_queries: int, memory: int, batch_size: int) -> list[torch.Tensor]:
    """x, memory, u, v; u and v large enough to matter."""
    torch.manual_seed(2)
    shapes = [(num_queries, batch_size, DIM), (memory, batch_size, DIM)] + 2 * [(HEADS, HEAD_DIM)]
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def run(attention, x, memory, u, v, clamp=0, window=None):
    num_keys = len(memory) + len(x)
    positions = sinusoids(num_keys, DIM, clamp, x.dtype, CPU)
    mask = attention_mask(len(x), num_keys, window, x.dtype, CPU)
    return attention(x, memory, positions, mask, u, v)


@pytest.mark.parametrize("kernel", ["fused", "plain"])
@pytest.mark.parametrize("clamp, window", [(0, None), (3, None), (0, 4), (2, 3), (0, 1)])
@pytest.mark.parametrize("num_queries, memory", [(5, 0), (5, 3), (1, 4), (3, 6)])
def test_outputs_and_gradients_are_those_of_the_formula(kernel, clamp, window, num_queries, memory):
    attention = make_attention(kernel)
    x, memory, u, v = inputs = make_inputs(num_queries, memory, batch_size=2)
    y = run(attention, *inputs, clamp, window)
    parameters = dict(attention.named_parameters())
    streams = [
        reference.relative_attention(x[:, b], memory[:, b], parameters, u, v, clamp, window)
        for b in range(2)
    ]
    expected = torch.stack(streams, dim=1)
    torch.testing.assert_close(y, expected)

    upstream = torch.randn_like(y)
    leaves = [*inputs, *attention.parameters()]
    options = {"allow_unused": True, "materialize_grads": True}
    torch.testing.assert_close(
        torch.autograd.grad(y, leaves, upstream, **options),
        torch.autograd.grad(expected, leaves, upstream, **options),
    )


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("autocast", [False, True])
def test_the_kernels_agree(window, autocast):
    inputs = [part.detach().float().requires_grad_() for part in make_inputs(7, 5, batch_size=3)]
    outputs, gradients = [], []
    for kernel in ("fused", "plain"):
        attention = make_attention(kernel).float()
        low = torch.autocast("cpu", torch.bfloat16) if autocast else contextlib.nullcontext()
        with low:
            outputs.append(run(attention, *inputs, window=window).float())
        leaves = [*inputs, *attention.parameters()]
        gradients.append(torch.autograd.grad(outputs[-1].square().mean(), leaves))
    for one, other in [outputs, *zip(*gradients, strict=True)]:
        error = (one - other).norm() / other.norm()
        assert error < (3e-2 if autocast else 1e-5)


def test_auto_is_fused_where_no_gradient_flows(monkeypatch):
    calls = []
    fused = relative_attention.F.scaled_dot_product_attention
    monkeypatch.setattr(
        relative_attention.F,
        "scaled_dot_product_attention",
        lambda *args, **kwargs: calls.append("fused") or fused(*args, **kwargs),
    )
    attention, inputs = make_attention("auto"), make_inputs(3, 2, 1)
    run(attention, *inputs)
    assert calls == []
    with torch.no_grad():
        run(attention, *inputs)
    assert calls == ["fused"]


@pytest.mark.parametrize("kernel", ["fused", "plain"])
def test_dropout_falls_on_the_probabilities_in_training_only(kernel):
    attention, inputs = make_attention(kernel, dropout=0.5), make_inputs(1, 0, batch_size=400)
    with torch.no_grad():
        # One query and one key: each head's probability, 1, becomes 0 or 2.
        whole = run(attention.eval(), *inputs)
        assert torch.equal(whole, run(attention, *inputs))
        attention.out = torch.nn.Identity()
        whole = run(attention, *inputs).unflatten(-1, (HEADS, HEAD_DIM))
        factors = run(attention.train(), *inputs).unflatten(-1, (HEADS, HEAD_DIM)) / whole
    per_head = factors[..., :1].round()
    torch.testing.assert_close(factors, per_head.expand_as(factors))
    assert set(per_head.unique().tolist()) == {0.0, 2.0}
    assert 0.4 < (per_head == 0).double().mean() < 0.6


def test_masked_places_get_no_gradient_and_no_nan():
    attention, inputs = make_attention("plain"), make_inputs(4, 3, batch_size=1)
    x, memory, *_ = inputs
    y = run(attention, *inputs, window=2)
    grad_x, grad_memory = torch.autograd.grad(y[1].sum(), [x, memory])
    assert (grad_x[:2] != 0).any(-1).all()
    assert (grad_x[2:] == 0).all() and (grad_memory == 0).all()
