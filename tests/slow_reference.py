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


def groups_of_layers(transformation: str, N: int, g_max: int, released: bool) -> list[int]:
    """Groups of layers 1 to N."""
    if transformation == "linear":
        return [1] * N
    if transformation in ("glt", "glt_shuffle"):
        return [g_max] * N
    groups = []
    if released:
        g = 1
        while len(groups) < N:
            groups.insert(0, g)
            g = 1 if g * 2 > g_max else g * 2
        return groups
    for layer in range(1, N + 1):
        groups.append(max(math.floor(Fraction(g_max, 2 ** (layer - 1))), 1))
    return groups


def widths_of_layers(n: int, k: int, groups: list[int], multiple: int) -> list[int]:
    """The least legal width at or above each linear sample and all widths before; k is last.

    Samples are cut to whole numbers. Legal: a multiple of `multiple`, of the layer's own groups and
    of the next layer's.
    """
    N = len(groups)
    widths = []
    for layer in range(1, N):
        width = max([math.floor(n + Fraction((k - n) * layer, N)), *widths])
        while width % multiple or width % groups[layer - 1] or width % groups[layer]:
            width += 1
        widths.append(width)
    return [*widths, k]


def group_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """One vector through a group linear transformation.

    Shapes:
        x (in), weight (g, in / g, out / g), bias (out) -> (out); a weight (1, in / g, out / g)
        serves all groups.
    """
    matrices, width, _ = weight.shape
    outputs = []
    for group in range(len(x) // width):
        outputs.append(x[group * width : (group + 1) * width] @ weight[group % matrices])
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


def layer_norm(x: Tensor, g: int, weight: Tensor | float, bias: Tensor | float) -> Tensor:
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
    unit: str,
    transformation: str,
    connection: str,
    N: int,
    g_max: int,
    activation: str,
    norm: str,
) -> Tensor:
    """One token's e_i through the unit; biases and reduce step are there if their names are.

    Shapes:
        e_i (n) -> (m), or (k) without the reduce step, (k / 2) if residual too.
    """

    def layer(x: Tensor, g: int, own: Parameters) -> Tensor:
        x = group_linear(x, own["linear.weight"], own.get("linear.bias"))
        if norm != "none":
            x = layer_norm(x, g, own["norm.weight"], own["norm.bias"])
        return ACTIVATIONS[activation](x)

    def connected(x: Tensor, g: int) -> Tensor:
        if connection == "concat":
            return torch.cat([e_i, x])
        if connection != "mixer":
            return x
        mine, width, parts = len(e_i) // g, len(x) // g, []
        for j in range(g):
            parts.append(e_i[j * mine : (j + 1) * mine])
            parts.append(x[j * width : (j + 1) * width])
        return torch.cat(parts)

    if unit == "released":
        e_i = layer(e_i, 1, under(parameters, "input."))
    if unit == "ours":
        e_i = layer_norm(e_i, 1, 1.0, 0.0)
    x = e_i
    groups = groups_of_layers(transformation, N, g_max, unit == "released")
    for index, g in enumerate(groups):
        if index > 0 and transformation == "glt_shuffle":
            x = shuffle(x, g)
        before = x
        y = layer(connected(x, g) if index > 0 else x, g, under(parameters, f"layers.{index}."))
        add = index > 0 and connection == "residual" and len(y) == len(before)
        x = y + before if add else y
    if unit == "released" and "reduce.linear.weight" in parameters:
        y = layer(connected(x, 1), 1, under(parameters, "reduce."))
        return y + x if connection == "residual" else y
    if "reduce.weight" not in parameters:
        return x
    if transformation == "glt_shuffle":
        x = shuffle(x, g_max)
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
    embed: Callable[[int], Tensor],
    state: State,
) -> tuple[Tensor, State]:
    """One stream through AWD-LSTM in evaluation mode, up to what the output layer reads.

    Args:
        embed: token -> e_o (m).
        state: (h, c) of each layer.
    Shapes:
        tokens (T) -> features (T, d).
    """
    x = torch.stack([embed(token) for token in tokens_T])
    new_state = []
    for layer, (h, c) in enumerate(state):
        x, h, c = lstm(x, under(parameters, f"lstm.{layer}."), h, c)
        new_state.append((h, c))
    return x, new_state


def cluster_of(token: int, cutoffs: list[int]) -> tuple[int, int]:
    """The token's cluster, and its place in there; a cutoff is a cluster's first token."""
    cluster, first = 0, 0
    for cutoff in cutoffs:
        if token >= cutoff:
            cluster, first = cluster + 1, cutoff
    return cluster, token - first


def clustered_embedding(token: int, parameters: Parameters, cutoffs: list[int]) -> Tensor:
    """e_i of one token: its row of its cluster's table, projected where there is a projection."""
    cluster, place = cluster_of(token, cutoffs)
    row = parameters[f"tables.{cluster}"][place]
    projection = parameters.get(f"projections.{cluster}")
    if projection is None:
        return row
    return torch.stack([(weights * row).sum() for weights in projection])


def clustered_log_probs(
    x: Tensor, parameters: Parameters, cutoffs: list[int], num_types: int
) -> Tensor:
    """Log-probabilities of all types after one position; biases are there if their names are.

    log p(type) = log p(its cluster) + log p(type | its cluster); the first cluster's types and the
    other clusters compete in one softmax, the head.

    Shapes:
        x (d) -> (V).
    """

    def log_softmax(scores: list[Tensor]) -> list[Tensor]:
        total = sum(torch.exp(score) for score in scores)
        return [score - torch.log(total) for score in scores]

    def projected(cluster: int) -> Tensor:
        projection = parameters.get(f"projections.{cluster}")
        if projection is None:
            return x
        return torch.stack([(weights * x).sum() for weights in projection.t()])

    def score(token: int) -> Tensor:
        cluster, place = cluster_of(token, cutoffs)
        value = (parameters[f"tables.{cluster}"][place] * projected(cluster)).sum()
        return value + parameters["bias"][token] if "bias" in parameters else value

    edges = [0, *cutoffs, num_types]
    head = [score(token) for token in range(edges[1])]
    for cluster in range(len(cutoffs)):
        value = (parameters["cluster_weight"][cluster] * projected(0)).sum()
        if "cluster_bias" in parameters:
            value = value + parameters["cluster_bias"][cluster]
        head.append(value)
    head = log_softmax(head)
    log_probs = head[: edges[1]]
    for cluster in range(1, len(cutoffs) + 1):
        within = log_softmax([score(token) for token in range(edges[cluster], edges[cluster + 1])])
        log_probs += [head[edges[1] + cluster - 1] + value for value in within]
    return torch.stack(log_probs)


def nll(log_probs_V: Tensor, target: int) -> Tensor:
    """Loss in nats of one position; a negative target is not scored."""
    return -log_probs_V[target] if target >= 0 else log_probs_V.sum() * 0


def sinusoid(distance: int, d: int, clamp: int) -> Tensor:
    """A distance's encoding: d / 2 sines, then the cosines of the same angles."""
    if clamp > 0 and distance > clamp:
        distance = clamp
    angles = [distance / 10_000 ** (2 * p / d) for p in range(d // 2)]
    encoding = [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
    return torch.tensor(encoding, dtype=torch.float64)


def relative_attention(
    x_Td: Tensor,
    memory_Md: Tensor,
    parameters: Parameters,
    u: Tensor,
    v: Tensor,
    clamp: int,
    window: int | None,
) -> Tensor:
    """One stream through one layer's attention, as the paper writes it (Dai et al. 2019, 3.3).

    Args:
        clamp: longer distances look like this one; 0 or less for none.
        window: a query sees the keys less than this far away; None for no limit.
    Shapes:
        x (T, d), memory (M, d), u and v (H, D) -> (T, d).
    """
    heads, D = u.shape
    M, d = len(memory_Md), x_Td.shape[1]
    inputs = [*memory_Md, *x_Td]
    outputs = []
    for i in range(M, len(inputs)):
        results = []
        for h in range(heads):
            own = slice(h * D, (h + 1) * D)
            W_q, W_r = parameters["query.weight"][own], parameters["position.weight"][own]
            W_k, W_v = parameters["key_value.weight"].chunk(2)
            q = W_q @ inputs[i]
            scores, values = [], []
            for j in range(i + 1):
                if window is not None and i - j >= window:
                    continue
                k, R = W_k[own] @ inputs[j], sinusoid(i - j, d, clamp)
                a, b = torch.dot(q, k), torch.dot(q, W_r @ R)
                c, e = torch.dot(u[h], k), torch.dot(v[h], W_r @ R)
                scores.append((a + b + c + e) / math.sqrt(D))
                values.append(W_v[own] @ inputs[j])
            weights = [torch.exp(score) for score in scores]
            terms = [w * value for w, value in zip(weights, values, strict=True)]
            results.append(sum(terms) / sum(weights))
        outputs.append(parameters["out.weight"] @ torch.cat(results))
    return torch.stack(outputs)


def transformer_xl(
    x_Td: Tensor,
    parameters: Parameters,
    memories: list[Tensor],
    memory_length: int,
    clamp: int = 0,
    window: int | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """One embedded stream through Transformer-XL's layers in evaluation mode.

    Args:
        memories: each layer's inputs at earlier places, (M, d).
        memory_length: places to be kept for the next call.
    Shapes:
        x (T, d) -> features (T, d), memories.
    """
    new_memories = []
    for layer, memory in enumerate(memories):
        places = [*memory, *x_Td]
        kept = places[max(len(places) - memory_length, 0) :]
        new_memories.append(torch.stack(kept) if kept else memory[:0])
        own = under(parameters, f"layers.{layer}.")
        attended = relative_attention(
            x_Td,
            memory,
            under(own, "attention."),
            parameters["u"],
            parameters["v"],
            clamp,
            window,
        )
        outputs = []
        for x, y in zip(x_Td, attended, strict=True):
            norm = under(own, "attention_norm.")
            x = layer_norm(x + y, 1, norm["weight"], norm["bias"])
            ff = under(own, "feed_forward.")
            y = ACTIVATIONS["relu"](ff["0.weight"] @ x + ff["0.bias"])
            y = ff["3.weight"] @ y + ff["3.bias"]
            norm = under(own, "feed_forward_norm.")
            outputs.append(layer_norm(x + y, 1, norm["weight"], norm["bias"]))
        x_Td = torch.stack(outputs)
    return x_Td, new_memories
