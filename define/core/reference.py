"""Slow, literal versions of the fast modules, for tests: a loop per token, group and time step.

They follow the paper's text and share no code with what they check: parameters come by name, as in
the checked module's `state_dict`, dimensions as plain numbers. Dropout is left out.
"""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

import torch
from torch import Tensor

Parameters = Mapping[str, Tensor]
Unit = Callable[[Tensor], Tensor]
State = list[tuple[Tensor, Tensor]]

LAYER_NORM_EPS = 1e-5

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "gelu": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "relu": lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
    "swish": lambda x: x / (1 + torch.exp(-x)),
}


def under(parameters: Parameters, prefix: str) -> dict[str, Tensor]:
    """The parameters whose names begin with `prefix`, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in parameters.items()
        if name.startswith(prefix)
    }


def groups_of_layers(transformation: str, N: int, g_max: int) -> list[int]:
    """Groups of layers 1 to N and of the reduce step."""
    if transformation == "linear":
        return [1] * (N + 1)
    if transformation in ("glt", "glt_shuffle"):
        return [g_max] * (N + 1)
    groups = []
    for layer in range(1, N + 1):
        groups.append(max(math.floor(Fraction(g_max, 2 ** (layer - 1))), 1))
    return [*groups, 1]


def widths_of_layers(n: int, k: int, groups: list[int], multiple: int) -> list[int]:
    """The least legal width at or above each linear sample and all widths before; k is last.

    Legal: a multiple of `multiple`, of the layer's own groups and of the next layer's.
    """
    N = len(groups)
    widths = []
    for layer in range(1, N):
        width = math.ceil(max([n + Fraction((k - n) * layer, N), *widths]))
        while width % multiple or width % groups[layer - 1] or width % groups[layer]:
            width += 1
        widths.append(width)
    return [*widths, k]


def group_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """One vector through a group linear transformation.

    Shapes:
        x (in), weight (g, in / g, out / g), bias (out) -> (out).
    """
    g, width, _ = weight.shape
    outputs = []
    for group in range(g):
        outputs.append(x[group * width : (group + 1) * width] @ weight[group])
    y = torch.cat(outputs)
    return y if bias is None else y + bias


def shuffle(x: Tensor, g: int) -> Tensor:
    """Feature j of group i goes to place i of run j."""
    width = len(x) // g
    places = [None] * len(x)
    for i in range(g):
        for j in range(width):
            places[j * g + i] = x[i * width + j]
    return torch.stack(places)


def layer_norm(x: Tensor, g: int, weight: Tensor, bias: Tensor) -> Tensor:
    """Each group's features to mean 0 and variance 1; scale and shift are shared by the groups."""
    width = len(x) // g
    outputs = []
    for group in range(g):
        part = x[group * width : (group + 1) * width]
        mean = part.sum() / width
        variance = ((part - mean) ** 2).sum() / width
        outputs.append((part - mean) / torch.sqrt(variance + LAYER_NORM_EPS) * weight + bias)
    return torch.cat(outputs)


def define_unit(
    e_i: Tensor,
    parameters: Parameters,
    transformation: str,
    connection: str,
    N: int,
    g_max: int,
    activation: str,
) -> Tensor:
    """One token's e_i through the unit; norm, biases and reduce step are there if their names are.

    Shapes:
        e_i (n) -> (m), or (k) without the reduce step, (k / 2) if residual too.
    """
    *groups, reduce_groups = groups_of_layers(transformation, N, g_max)
    n = len(e_i)
    x = e_i
    for layer, g in enumerate(groups):
        own = under(parameters, f"layers.{layer}.")
        before = x
        if layer > 0 and transformation == "glt_shuffle":
            before = x = shuffle(x, g)
        if layer > 0 and connection == "concat":
            x = torch.cat([e_i, x])
        if layer > 0 and connection == "mixer":
            width, parts = len(x) // g, []
            for j in range(g):
                parts.append(e_i[j * (n // g) : (j + 1) * (n // g)])
                parts.append(x[j * width : (j + 1) * width])
            x = torch.cat(parts)
        x = group_linear(x, own["linear.weight"], own.get("linear.bias"))
        if "norm.weight" in own:
            x = layer_norm(x, g, own["norm.weight"], own["norm.bias"])
        x = ACTIVATIONS[activation](x)
        if layer > 0 and connection == "residual":
            x = x + before
    if "reduce.weight" not in parameters:
        return x
    if transformation == "glt_shuffle":
        x = shuffle(x, reduce_groups)
    return group_linear(x, parameters["reduce.weight"], parameters.get("reduce.bias"))


def lstm(
    x_TI: Tensor,
    parameters: Parameters,
    h: Tensor,
    c: Tensor,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """One stream through one LSTM layer; the gates stand in the order i, f, g, o.

    Args:
        mask: (4 * hidden, hidden), multiplied into the hidden-to-hidden matrix at every step.
    Shapes:
        x (T, input), h and c (hidden) -> (T, hidden), h, c.
    """
    weight_hh = parameters["weight_hh"] if mask is None else parameters["weight_hh"] * mask
    outputs = []
    for x in x_TI:
        gates = (
            parameters["weight_ih"] @ x
            + parameters["bias_ih"]
            + weight_hh @ h
            + parameters["bias_hh"]
        )
        i, f, g, o = gates.chunk(4)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs), h, c


def awd_lstm(
    tokens_T: list[int],
    parameters: Parameters,
    unit: Unit,
    state: State,
) -> tuple[Tensor, State]:
    """One stream through AWD-LSTM in evaluation mode.

    Args:
        unit: e_i (n) -> e_o (m).
        state: (h, c) of each layer.
    Shapes:
        tokens (T) -> logits (T, V).
    """
    x = torch.stack([unit(parameters["embedding.map.weight"][token]) for token in tokens_T])
    new_state = []
    for layer, (h, c) in enumerate(state):
        x, h, c = lstm(x, under(parameters, f"lstm.{layer}."), h, c)
        new_state.append((h, c))
    logits = [parameters["output.weight"] @ y + parameters["output.bias"] for y in x]
    return torch.stack(logits), new_state
