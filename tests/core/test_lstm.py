"""WeightDropLSTM against torch.nn.LSTM and a loop over time; what broke the classic weight drop."""

import copy
import math
import warnings

import pytest
import slow_reference as reference
import torch
from torch import nn

from define.core.dropout import dropout
from define.core.lstm import WeightDropLSTM

T, B, INPUT, HIDDEN = 5, 3, 4, 6
NAMES = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]


def layer_and_inputs(p: float) -> tuple[WeightDropLSTM, torch.Tensor, tuple]:
    layer = WeightDropLSTM(INPUT, HIDDEN, p).double()
    x = torch.randn(T, B, INPUT, dtype=torch.float64, requires_grad=True)
    h, c = (torch.randn(1, B, HIDDEN, dtype=torch.float64, requires_grad=True) for _ in "hc")
    return layer, x, (h, c)


def gradients(outputs: tuple, inputs: list) -> tuple:
    y, (h, c) = outputs
    loss = (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum() + h.sin().sum() + c.cos().sum()
    return torch.autograd.grad(loss, inputs)


@pytest.mark.parametrize("training", [False, True])
def test_without_dropout_it_is_torchs_lstm(training):
    layer, x, state = layer_and_inputs(0.0)
    lstm = nn.LSTM(INPUT, HIDDEN).double()
    with torch.no_grad():
        for name in NAMES:
            getattr(lstm, f"{name}_l0").copy_(getattr(layer, name))
    layer.train(training)
    ours, theirs = layer(x, state), lstm(x, state)
    torch.testing.assert_close(ours, theirs)
    own = [getattr(layer, name) for name in NAMES]
    other = [getattr(lstm, f"{name}_l0") for name in NAMES]
    torch.testing.assert_close(
        gradients(ours, [x, *state, *own]), gradients(theirs, [x, *state, *other])
    )


def test_with_dropout_it_is_the_loop_with_one_mask():
    layer, x, (h, c) = layer_and_inputs(0.4)
    torch.manual_seed(3)
    ours = layer(x, (h, c))
    torch.manual_seed(3)
    mask = dropout(torch.ones_like(layer.weight_hh), 0.4)
    assert 0 < (mask == 0).sum() < mask.numel()

    parameters = dict(layer.named_parameters())
    streams = [reference.lstm(x[:, b], parameters, h[0, b], c[0, b], mask=mask) for b in range(B)]
    y, h_end, c_end = (torch.stack(parts, dim=-2) for parts in zip(*streams, strict=True))
    expected = y, (h_end.unsqueeze(0), c_end.unsqueeze(0))
    torch.testing.assert_close(ours, expected)
    inputs = [x, h, c, *(parameters[name] for name in NAMES)]
    actual = gradients(ours, inputs)
    torch.testing.assert_close(actual, gradients(expected, inputs))
    assert (actual[4][mask == 0] == 0).all()


def test_a_training_step_after_an_evaluation_works():
    layer, x, state = layer_and_inputs(0.5)
    for _ in range(2):
        layer.eval()
        with torch.no_grad():
            layer(x, state)
        layer.train()
        layer.zero_grad()
        y, _ = layer(x, state)
        y.sum().backward()
        assert all(p.grad is not None and (p.grad != 0).any() for p in layer.parameters())
        torch.optim.SGD(layer.parameters(), lr=0.1).step()


def test_two_training_passes_drop_different_weights():
    layer, x, _ = layer_and_inputs(0.5)
    (first, _), (second, _) = (layer(x, layer.zero_state(B)) for _ in range(2))
    assert torch.equal(first[0], second[0])  # the first step has a zero h to drop from
    for t in range(1, T):
        assert not torch.allclose(first[t], second[t])


def test_evaluation_is_deterministic_and_uses_the_raw_weights():
    layer, x, state = layer_and_inputs(0.5)
    layer.eval()
    y, _ = layer(x, state)
    assert torch.equal(y, layer(x, state)[0])
    layer.weight_dropout = 0.0
    assert torch.equal(y, layer(x, state)[0])


def test_the_state_dict_holds_the_raw_weight_once():
    layer, x, state = layer_and_inputs(0.5)
    layer(x, state)
    assert list(layer.state_dict()) == NAMES == [name for name, _ in layer.named_parameters()]
    other = WeightDropLSTM(INPUT, HIDDEN, 0.5).double()
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(other.eval()(x, state), layer.eval()(x, state))


def test_no_warning_and_no_trace_on_the_module():
    layer, x, state = layer_and_inputs(0.5)
    attributes = set(vars(layer))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(x, state)[0].sum().backward()
        layer.eval()(x, state)
    assert set(vars(layer)) == attributes


def test_a_deep_copy_is_a_layer_of_its_own():
    layer, x, state = layer_and_inputs(0.5)
    layer(x, state)[0].sum().backward()
    twin = copy.deepcopy(layer).eval()
    y, _ = layer.eval()(x, state)
    assert torch.equal(twin(x, state)[0], y)
    with torch.no_grad():
        twin.weight_hh.zero_()
    assert torch.equal(layer(x, state)[0], y)


def test_a_pass_in_two_halves_is_the_whole():
    layer, x, state = layer_and_inputs(0.5)
    layer.eval()
    whole, end = layer(x, state)
    first, middle = layer(x[:2], state)
    second, end_of_halves = layer(x[2:], middle)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(end_of_halves, end)


def test_initial_weights_are_those_of_torchs_lstm():
    layer = WeightDropLSTM(150, 100)
    bound = 1 / math.sqrt(100)
    for parameter in (p.detach() for p in layer.parameters()):
        assert 0.98 * bound < parameter.abs().max() <= bound
        assert parameter.mean() == pytest.approx(0, abs=0.1 * bound)
        assert parameter.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_the_zero_state_has_the_layers_dtype_and_shape():
    layer, _, _ = layer_and_inputs(0.0)
    for part in layer.zero_state(7):
        assert part.shape == (1, 7, HIDDEN) and part.dtype == torch.float64 and (part == 0).all()
