"""The DeFINE unit: expand e_i by a hierarchical group transformation, reduce to e_o."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from define.core.dropout import Dropout
from define.core.group_linear import GroupLinear, require_divisible, shuffle_features
from define.core.layer_norm import LayerNorm
from define.core.schedule import cyclic_groups, expansion_widths, hierarchical_groups
from define.errors import InputError

UNITS: dict[str, dict[str, Any]] = {
    "released": {"norm": "layer", "activation": "gelu", "dropout": 0.1, "width_multiple": 8},
    "text": {"norm": "none", "activation": "none", "dropout": 0.0, "width_multiple": 32},
    "ours": {"norm": "layer", "activation": "gelu", "dropout": 0.0, "width_multiple": 32},
}
"""The forms of the unit, with the values that apply where a config sets none.

released: the authors' public code with its option for this paper (sacmehta/delight,
    fairseq/delight_modules/dextra_unit.py, is_iclr_version). A dense layer maps e_i to p
    dimensions, and its output replaces e_i everywhere. Of the N group layers, the last has m
    outputs and the one before it k; an output layer reads [projected e_i, last layer]. Every layer
    has a bias, norm, activation and dropout. The groups are 1, 2, 4, ..., g_max, then from 1 again,
    in reverse order.
text: the paper's formula (section 3, appendix A.1) without bias, norm or activation. The whole
    unit is then a linear map of e_i.
ours: the paper's formula with e_i normalised (mean 0, variance 1, nothing learned) before the
    first layer and the mixer, and a norm and activation after each layer; the reduce step is
    linear.
"""

TRANSFORMATIONS = ("linear", "glt", "glt_shuffle", "hgt")
CONNECTIONS = ("mixer", "concat", "residual", "none")
NORMS = ("none", "layer")
ACTIVATIONS = {"none": nn.Identity, "gelu": nn.GELU, "relu": nn.ReLU, "swish": nn.SiLU}


KEYS = {
    "n": "model.map_dim (n)",
    "k": "model.expand_dim (k)",
    "m": "model.reduce_dim (m)",
    "N": "model.depth (N)",
    "g_max": "model.max_groups (g_max)",
    "norm": "model.unit_norm",
    "activation": "model.unit_activation",
    "dropout": "model.unit_dropout",
    "projection_dim": "model.unit_projection_dim",
}
"""Field of `UnitConfig` -> the config key that sets it, for errors; others are `model.FIELD`."""

FORM_DEFAULT: Any = None
"""Stands for the value that the unit's form has."""


def require_probability(name: str, value: float) -> None:
    """Raises InputError unless 0 <= value < 1."""
    if not 0 <= value < 1:
        raise InputError(f"{name} = {value} must be at least 0 and below 1")


def require_choice(name: str, value: str, choices: Collection[str]) -> None:
    """Raises InputError unless `value` is one of `choices`."""
    if value not in choices:
        raise InputError(f"{name} = {value!r} is unknown; take one of {', '.join(choices)}")


@dataclass(frozen=True)
class UnitConfig:
    """Dimensions and variants of a DeFINE unit.

    Attributes:
        n, k, m: dimensions of e_i, of the widest layer and of e_o.
        N: number of group layers; the last one has k outputs (released: m).
        g_max: the largest number of groups in a layer (hgt) or the number in every layer (glt);
            unused with linear.
        unit: the form, a key of `UNITS`.
        transformation: the rows of Table 4a: "linear" (one group in every layer), "glt" (g_max
            groups in every layer, the linear reduce step included), "glt_shuffle" (glt with a
            feature shuffle between layers), "hgt" (g_max, g_max / 2, ..., 1 groups; released: see
            `UNITS`).
        connection: how e_i enters the layers after the first (Tables 4b and 6a): "mixer" (group j
            reads chunk j of e_i and chunk j of the previous output), "concat" (e_i and the previous
            output are concatenated, then split into groups), "residual" (every layer is k / 2 wide
            and its input is added to its output), "none".
        reduce: the step k -> m; without it, e_o is the last layer's output, k wide (Table 6b).
        norm, activation, dropout: applied after each layer, in this order. The norm is over each
            group's features; the groups share its scale and shift.
        width_multiple: see `define.core.schedule.expansion_widths`.
        share_groups: one matrix for all groups of a layer, one reading of appendix A.1.
        projection_dim: p, the width that the dense layer of "released" maps e_i to; 0 means n. The
            authors' embedding uses m / 2 (dextra_emb.py); the paper mixes n dimensions.
        n_key: the config key that sets n, named in errors.

    Raises:
        InputError: the values contradict each other; the message names the config keys.
    """

    n: int
    k: int
    m: int
    N: int
    g_max: int
    unit: str = "released"
    transformation: str = "hgt"
    connection: str = "mixer"
    reduce: bool = True
    norm: str = FORM_DEFAULT
    activation: str = FORM_DEFAULT
    dropout: float = FORM_DEFAULT
    width_multiple: int = FORM_DEFAULT
    share_groups: bool = False
    projection_dim: int = 0
    n_key: str = field(default=KEYS["n"], compare=False, repr=False)

    def __post_init__(self) -> None:
        require_choice("model.unit", self.unit, UNITS)
        for name, value in UNITS[self.unit].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name in ("n", "k", "m", "N", "g_max", "width_multiple"):
            if getattr(self, name) < 1:
                raise InputError(f"{self.key(name)} = {getattr(self, name)} must be at least 1")
        for name, choices in (
            ("transformation", TRANSFORMATIONS),
            ("connection", CONNECTIONS),
            ("norm", NORMS),
            ("activation", ACTIVATIONS),
        ):
            require_choice(self.key(name), getattr(self, name), choices)
        require_probability(self.key("dropout"), self.dropout)
        if self.projection_dim < 0 or (self.projection_dim and not self.released):
            raise InputError(
                f"model.unit_projection_dim = {self.projection_dim} must be at least 0, and must "
                f"be 0 unless model.unit = released, the only form that projects e_i"
            )
        if self.released and self.N < 2:
            raise InputError(
                f"model.depth (N) = {self.N} must be at least 2 with model.unit = released"
            )
        if self.k < self.mixed_dim:
            raise InputError(
                f"{self.key('k')} = {self.k} is smaller than {self.mixed_key} = {self.mixed_dim}, "
                f"but the unit expands; use a larger model.expand_dim"
            )
        if self.connection == "residual" and self.k % 2:
            raise InputError(
                f"{self.key('k')} = {self.k} is odd, but with model.connection = residual the "
                f"layers are k / 2 wide; use an even number"
            )
        self._require_groups()

    def _require_groups(self) -> None:
        groups_key = "model.max_groups"
        expanded = self.key("k") + (" / 2" if self.connection == "residual" else "")
        for layer, (n_in, n_out, g) in enumerate(self.layer_shapes(), start=1):
            # Widths before k are multiples already.
            name = self.key("m") if layer == self.N and self.reduces_early else expanded
            require_divisible(name, n_out, g, groups_key)
            if layer == 1 or self.connection == "mixer":
                require_divisible(self.mixed_key, self.mixed_dim, g, groups_key)
            else:
                require_divisible(f"input width of layer {layer}", n_in, g, groups_key)
        if self.reduce:
            require_divisible(self.key("m"), self.m, self.reduce_groups, groups_key)

    def key(self, name: str) -> str:
        """The config key of a field, with the paper's symbol, as errors name it."""
        return self.n_key if name == "n" else KEYS.get(name, f"model.{name}")

    @property
    def mixed_key(self) -> str:
        """The config key of `mixed_dim`."""
        return self.key("projection_dim" if self.projection_dim else "n")

    @property
    def released(self) -> bool:
        """Whether this is the authors' public unit."""
        return self.unit == "released"

    @property
    def reduces_early(self) -> bool:
        """Whether the last of the N layers already has m outputs."""
        return self.released and self.reduce

    @property
    def mixed_dim(self) -> int:
        """Width of e_i after the unit's input layer: p or n."""
        return self.projection_dim or self.n

    @property
    def groups(self) -> list[int]:
        """Groups of each of the N layers."""
        if self.transformation == "linear":
            return [1] * self.N
        if self.transformation == "hgt":
            schedule = cyclic_groups if self.released else hierarchical_groups
            return schedule(self.N, self.g_max)
        return [self.g_max] * self.N

    @property
    def reduce_groups(self) -> int:
        """Groups of the reduce step: a plain GLT keeps its groups there (Table 4a's count)."""
        glt = self.transformation in ("glt", "glt_shuffle")
        return self.g_max if glt and not self.released else 1

    @property
    def expanded_dim(self) -> int:
        """Width of the widest layer's output."""
        return self.k // 2 if self.connection == "residual" else self.k

    @property
    def output_dim(self) -> int:
        """Width of e_o."""
        return self.m if self.reduce else self.expanded_dim

    @property
    def skip_dim(self) -> int:
        """Features of the (projected) e_i that each layer after the first reads: all or none."""
        return self.mixed_dim if self.connection in ("mixer", "concat") else 0

    def layer_shapes(self) -> list[tuple[int, int, int]]:
        """(input width, output width, groups) of each of the N layers."""
        groups = self.groups
        expanding = groups[:-1] if self.reduces_early else groups
        if self.connection == "residual":
            widths = [self.expanded_dim] * len(expanding)
        else:
            widths = expansion_widths(self.mixed_dim, self.k, expanding, self.width_multiple)
        if self.reduces_early:
            widths = [*widths, self.m]
        inputs = [self.mixed_dim] + [width + self.skip_dim for width in widths[:-1]]
        return list(zip(inputs, widths, groups, strict=True))

    def reduce_shape(self) -> tuple[int, int, int]:
        """(input width, output width, groups) of the step that gives e_o."""
        if self.released:
            return self.m + self.skip_dim, self.m, 1
        return self.expanded_dim, self.m, self.reduce_groups

    @property
    def min_group_features(self) -> int:
        """The smallest number of features, of e_i or of a layer's output, in any group.

        A norm over a group of one feature removes all information, and over few features most.
        """
        found = [self.mixed_dim // self.groups[0]]
        for _, n_out, g in self.layer_shapes():
            found.append(n_out // g)
        for _, _, g in self.layer_shapes()[1:]:
            found += [self.mixed_dim // g] if self.connection == "mixer" else []
        return min(found)

    def num_parameters(self) -> int:
        """Parameters in closed form, without building the unit."""
        layers = self.layer_shapes()
        if self.released:
            layers = [(self.n, self.mixed_dim, 1), *layers]
        total = 0
        if self.reduce and self.released:
            layers.append(self.reduce_shape())
        elif self.reduce:
            total += self._products(*self.reduce_shape())
        for n_in, n_out, g in layers:
            total += self._products(n_in, n_out, g) + self.released * n_out
            total += 2 * (n_out // g) if self.norm == "layer" else 0
        return total

    def _products(self, n_in: int, n_out: int, g: int) -> int:
        return n_in * n_out // (g * g if self.share_groups else g)


class GroupLayer(nn.Module):
    """A group linear transformation, a norm over each group's features, activation and dropout.

    The groups share the norm's weight and bias, as in the authors' later code.

    Shapes:
        x (..., in_features) -> (..., out_features).
    """

    def __init__(self, in_features: int, out_features: int, groups: int, config: UnitConfig):
        super().__init__()
        self.linear = GroupLinear(
            in_features, out_features, groups, bias=config.released, share=config.share_groups
        )
        self.norm = LayerNorm(out_features // groups) if config.norm == "layer" else None
        self.activation = ACTIVATIONS[config.activation]()
        self.dropout = Dropout(config.dropout)

        self.groups, self.out_features = groups, out_features

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        if self.norm is not None:
            x = self.norm(x.unflatten(-1, (self.groups, -1))).flatten(-2)
        return self.dropout(self.activation(x))


class DefineUnit(nn.Module):
    """Expand and reduce: e_i (..., n) -> e_o (..., m); (..., k) without the reduce step.

    e_o depends on e_i alone, so the whole unit can be folded into a table after training
    (`define.core.embedding.DefineEmbedding.cache`).

    Weights are initialised Xavier-uniformly in each group, biases to zero. The authors' code uses a
    narrower range for a layer of several groups (it counts the groups as inputs); the norm cancels
    the difference.
    """

    def __init__(self, config: UnitConfig):
        super().__init__()
        self.config, self.out_features = config, config.output_dim
        self.input: nn.Module = nn.Identity()
        if config.released:
            self.input = GroupLayer(config.n, config.mixed_dim, 1, config)
        elif config.unit == "ours":
            self.input = LayerNorm(config.n, elementwise_affine=False)
        self.layers = nn.ModuleList(GroupLayer(*shape, config) for shape in config.layer_shapes())
        self.reduce: GroupLayer | GroupLinear | None = None
        if config.reduce and config.released:
            self.reduce = GroupLayer(*config.reduce_shape(), config)
        elif config.reduce:
            self.reduce = GroupLinear(*config.reduce_shape(), share=config.share_groups)

    def forward(self, e_i: Tensor) -> Tensor:
        e_i = self.input(e_i)
        x = self.layers[0](e_i)
        for layer, g in zip(self.layers[1:], self.config.groups[1:], strict=True):
            x = self._connect(layer, g, e_i, x)
        if self.reduce is None:
            return x
        if self.config.released:
            return self._connect(self.reduce, 1, e_i, x)
        return self.reduce(self._shuffle(x, self.reduce.groups))

    def _connect(self, layer: nn.Module, g: int, e_i: Tensor, x: Tensor) -> Tensor:
        x = self._shuffle(x, g)
        connection = self.config.connection
        if connection == "mixer":
            return layer(mix(e_i, x, g))
        if connection == "concat":
            return layer(torch.cat([e_i, x], dim=-1))
        y = layer(x)
        # The input cannot be added where the width changes.
        return y + x if connection == "residual" and y.shape == x.shape else y

    def _shuffle(self, x: Tensor, g: int) -> Tensor:
        return shuffle_features(x, g) if self.config.transformation == "glt_shuffle" else x


def mix(e_i: Tensor, x: Tensor, g: int) -> Tensor:
    """The mixer: group j of the result is [chunk j of e_i, chunk j of x].

    Shapes:
        e_i (..., n), x (..., d) -> (..., n + d).
    """
    if g == 1:
        return torch.cat([e_i, x], dim=-1)
    chunks = [part.unflatten(-1, (g, -1)) for part in (e_i, x)]
    return torch.cat(chunks, dim=-1).flatten(-2)
