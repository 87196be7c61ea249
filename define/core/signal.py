"""Measures an input layer before training: magnitudes, gradients, similarity, skip share.

Shapes: T distinct tokens; e_i (T, n) is the unit's input (the map's scaled row), e_o (T, m).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from define.core.embedding import DefineEmbedding
from define.core.group_linear import GroupLinear
from define.core.unit import DefineUnit, GroupLayer, mix


@dataclass(frozen=True)
class InputSignal:
    """Measurements of an input layer; None or empty where one does not apply.

    Attributes:
        sizes: root mean square of "e_i"; of "entrance", the output of the released unit's first
            layer or of the LayerNorm of "ours", which replaces e_i; of "layer 1", "layer 2", ...;
            and of "e_o".
        min_group_features: see `UnitConfig.min_group_features`.
        skip_shares: `skip_share` of each layer that reads e_i again; "output" is the last layer of
            the released unit.
        grad_e_i: norm of the gradient at e_i for a random gradient of norm 1 at e_o, averaged over
            tokens. It is 1 for a rotation and without a unit. With LayerNorm and GELU in the
            paper's formula it is 12 to 17 for n 256, N 3 and groups of 8 features, but 40 to 90
            if a group of the first layer has a single feature (Table 1c, R5).
        cosine: mean cosine between e_o of two different tokens.
        effective_rank: `effective_rank` of e_o.
    """

    sizes: dict[str, float]
    min_group_features: int | None
    skip_shares: dict[str, float]
    grad_e_i: float
    cosine: float
    effective_rank: float

    @property
    def skip_share(self) -> float | None:
        """The smallest share of any layer."""
        return min(self.skip_shares.values(), default=None)

    def to_json(self) -> dict[str, Any]:
        """The fields plus `skip_share`."""
        return asdict(self) | {"skip_share": self.skip_share}


def sample_types(
    edges: Sequence[int], count: int, seed: int = 0, excluded: int | None = None
) -> Tensor:
    """Draws distinct types, the same number from every cluster that is large enough.

    Args:
        edges: the clusters' edges, `[0, V]` for one cluster.
        count: total number of types.
        excluded: a type to leave out, such as padding.
    Returns:
        types (T), in increasing order.
    """
    generator = torch.Generator().manual_seed(seed)
    each = count // (len(edges) - 1)
    parts = []
    for low, high in zip(edges, edges[1:], strict=False):
        own = low + torch.randperm(high - low, generator=generator)
        parts.append(own[own != (-1 if excluded is None else excluded)][:each])
    return torch.cat(parts).sort().values


def input_signal(embedding: DefineEmbedding, types: Tensor, seed: int = 0) -> InputSignal:
    """Measures an input layer in evaluation mode, without changing its mode or gradients.

    Args:
        types: distinct tokens (T), at least two; see `sample_types`.
        seed: for the gradient at e_o, which is Gaussian and scaled to norm 1.
    """
    unit, training = embedding.unit, embedding.training
    define = unit if isinstance(unit, DefineUnit) else None
    embedding.eval()
    with torch.no_grad():
        e_i = embedding.map(types) * embedding.scale
    e_i.requires_grad_()
    with _recorded(_stages(unit)) as (inputs, outputs):
        e_o = e_i if unit is None else unit(e_i)
    embedding.train(training)

    upstream = torch.randn(e_o.shape, generator=torch.Generator().manual_seed(seed)).to(e_o)
    upstream = nn.functional.normalize(upstream, dim=-1)
    (gradient,) = torch.autograd.grad(e_o, e_i, upstream)
    e_i, e_o = e_i.detach(), e_o.detach()
    measured = {"e_i": e_i} | outputs
    measured.pop("output", None)  # the same as e_o
    return InputSignal(
        sizes={name: x.square().mean().sqrt().item() for name, x in measured.items()}
        | {"e_o": e_o.square().mean().sqrt().item()},
        min_group_features=define.config.min_group_features if define else None,
        skip_shares=_skip_shares(define, inputs) if define else {},
        grad_e_i=gradient.norm(dim=-1).mean().item(),
        cosine=mean_cosine(e_o),
        effective_rank=effective_rank(e_o),
    )


def _stages(unit: nn.Module | None) -> dict[str, nn.Module]:
    """The stages of a unit, in order, under the names of `InputSignal`."""
    if isinstance(unit, nn.Sequential):
        return {"layer 1": unit[1]}  # the activation of an MLP
    if not isinstance(unit, DefineUnit):
        return {}
    stages: dict[str, nn.Module] = {}
    if not isinstance(unit.input, nn.Identity):
        stages["entrance"] = unit.input
    stages |= {f"layer {number}": layer for number, layer in enumerate(unit.layers, start=1)}
    if isinstance(unit.reduce, GroupLayer):
        stages["output"] = unit.reduce
    return stages


@contextmanager
def _recorded(
    stages: Mapping[str, nn.Module],
) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Records the inputs and outputs of modules inside the block, by name."""
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            inputs[name], outputs[name] = args[0].detach(), output.detach()

        return hook

    handles = [module.register_forward_hook(record(name)) for name, module in stages.items()]
    try:
        yield inputs, outputs
    finally:
        for handle in handles:
            handle.remove()


def _skip_shares(unit: DefineUnit, inputs: Mapping[str, Tensor]) -> dict[str, float]:
    config, stages = unit.config, _stages(unit)
    if not config.skip_dim:
        return {}
    shares = {}
    for name, layer in stages.items():
        if name in ("entrance", "layer 1") or not isinstance(layer, GroupLayer):
            continue
        x = inputs[name]
        rest = torch.zeros(x.shape[-1] - config.skip_dim, dtype=torch.bool)
        groups = layer.groups if config.connection == "mixer" else 1
        from_e_i = mix(torch.ones(config.skip_dim, dtype=torch.bool), rest, groups)
        shares[name] = skip_share(layer.linear, x, from_e_i)
    return shares


@torch.no_grad()
def skip_share(linear: GroupLinear, x: Tensor, from_e_i: Tensor) -> float:
    """The share of e_i in the variance of W x = W_e e_i + W_x h, over tokens and outputs.

    It is var(W_e e_i) / (var(W_e e_i) + var(W_x h)); the bias is excluded.

    Args:
        x: the layer's input (T, d).
        from_e_i: booleans (d), true for the features that come from e_i.
    """
    bias = linear(torch.zeros_like(x[:1]))
    of_e_i = (linear(x * from_e_i) - bias).var().item()
    of_rest = (linear(x * ~from_e_i) - bias).var().item()
    return of_e_i / (of_e_i + of_rest)


def mean_cosine(x: Tensor) -> float:
    """Mean cosine between two different rows of x (T, d), T at least 2."""
    unit = nn.functional.normalize(x.double(), dim=-1)
    count = len(unit)
    return ((unit.sum(0).square().sum() - count) / (count * (count - 1))).item()


def effective_rank(x: Tensor) -> float:
    """exp of the entropy of the normalised singular values of x (T, d) minus its mean row.

    Source: Roy and Vetterli (2007), "The effective rank".
    """
    values = torch.linalg.svdvals(x.double() - x.double().mean(0))
    p = values / values.sum()
    return torch.special.entr(p).sum().exp().item()
