"""The DeFINE unit: expand e_i by a hierarchical group transformation, reduce to e_o."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from define.core.dropout import Dropout
from define.core.group_linear import GroupLinear, require_divisible, shuffle_features
from define.core.schedule import cyclic_groups, expansion_widths, hierarchical_groups
from define.errors import InputError

UNITS: dict[str, dict[str, Any]] = {
    "released": {"norm": "layer", "activation": "gelu", "dropout": 0.1, "width_multiple": 8},
    "text": {"norm": "none", "activation": "none", "dropout": 0.0, "width_multiple": 32},
    "ours": {"norm": "layer", "activation": "gelu", "dropout": 0.0, "width_multiple": 32},
}
"""The forms of the unit, and what each has where a config leaves it open.

released: the authors' public code with its option for this paper (sacmehta/delight,
    fairseq/delight_modules/dextra_unit.py, is_iclr_version). A dense layer maps e_i to p
    dimensions; its output takes e_i's place everywhere. Of the N group layers the last gives m
    dimensions, the one before it k; an output layer reads [projected e_i, that]. Every layer has a
    bias, norm, activation and dropout. Groups are 1, 2, 4, ..., g_max and again from 1, in reverse.
text: the paper's formula (section 3, appendix A.1) and nothing else: no bias, norm or activation,
    so that the whole unit is a linear map of e_i.
ours: the paper's formula with e_i normalised (to mean 0 and variance 1, nothing learnt) before the
    first layer and the mixer, and norm and activation after each layer; the reduce step is linear.
"""

TRANSFORMATIONS = ("linear", "glt", "glt_shuffle", "hgt")
CONNECTIONS = ("mixer", "concat", "residual", "none")
NORMS = ("none", "layer")
ACTIVATIONS = {"none": nn.Identity, "gelu": nn.GELU, "relu": nn.ReLU, "swish": nn.SiLU}


def require_choice(name: str, value: str, choices) -> None:
    """Raises InputError unless `value` is one of `choices`."""
    if value not in choices:
        raise InputError(f"{name} = {value!r} is unknown; take one of {', '.join(choices)}")


@dataclass(frozen=True)
class UnitConfig:
    """Dimensions and variants of a DeFINE unit.

    Attributes:
        n, k, m: dimensions of e_i, of the widest layer and of e_o.
        N: number of group layers; the last one gives k dimensions (released: m).
        g_max: the most groups of a layer (hgt), the groups of every layer (glt); ignored by linear.
        unit: the form, a key of `UNITS`.
        transformation: the rows of Table 4a: "linear" (one group everywhere), "glt" (g_max groups
            everywhere, the linear reduce step included), "glt_shuffle" (with a feature shuffle
            between layers), "hgt" (g_max, g_max / 2, ..., 1 groups; released: see `UNITS`).
        connection: how e_i enters the layers after the first (Tables 4b and 6a): "mixer" (chunk j
            of e_i beside chunk j of the previous output), "concat" (both vectors whole, the groups
            fall where they fall), "residual" (every layer k / 2 wide, its input added), "none".
        reduce: the step k -> m; without it e_o is the last layer's output, k wide (Table 6b).
        norm, activation, dropout: after each layer, in this order; None for the form's own. The
            norm is over each group's features, its scale and shift are shared by the groups.
        width_multiple: see `define.core.schedule.expansion_widths`; None for the form's own.
        share_groups: one matrix for all groups of a layer, as appendix A.1 may be read.
        projection_dim: p, what the dense layer of "released" maps e_i to; 0 stands for n. The
            authors' embedding takes m / 2 (dextra_emb.py); the paper mixes n dimensions.
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
    norm: str | None = None
    activation: str | None = None
    dropout: float | None = None
    width_multiple: int | None = None
    share_groups: bool = False
    projection_dim: int = 0

    def __post_init__(self) -> None:
        require_choice("unit", self.unit, UNITS)
        for name, value in UNITS[self.unit].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name in ("n", "k", "m", "N", "g_max", "width_multiple"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name)} must be at least 1")
        require_choice("transformation", self.transformation, TRANSFORMATIONS)
        require_choice("connection", self.connection, CONNECTIONS)
        require_choice("norm", self.norm, NORMS)
        require_choice("activation", self.activation, ACTIVATIONS)
        if not 0 <= self.dropout < 1:
            raise InputError(f"unit dropout = {self.dropout} must lie in [0, 1)")
        if self.projection_dim < 0 or (self.projection_dim and not self.released):
            raise InputError(
                f"unit_projection_dim = {self.projection_dim} must be at least 0, and 0 unless "
                f"unit = released, which alone projects e_i"
            )
        if self.released and self.N < 2:
            raise InputError(f"N = {self.N} must be at least 2 for unit = released")
        if self.k < self.mixed_dim:
            name = "unit_projection_dim" if self.projection_dim else "n"
            raise InputError(
                f"k = {self.k} is smaller than {name} = {self.mixed_dim}: the unit expands; "
                f"take k >= {name}"
            )
        if self.connection == "residual" and self.k % 2:
            raise InputError(
                f"k = {self.k} is odd, but residual layers are k / 2 wide; take an even k"
            )
        self._require_groups()

    def _require_groups(self) -> None:
        expanded = "k / 2" if self.connection == "residual" else "k"
        mixed = "unit_projection_dim" if self.projection_dim else "n"
        for layer, (n_in, n_out, g) in enumerate(self.layer_shapes(), start=1):
            # Widths before k are multiples already.
            require_divisible("m" if layer == self.N and self.reduces_early else expanded, n_out, g)
            if layer == 1 or self.connection == "mixer":
                require_divisible(mixed, self.mixed_dim, g)
            else:
                require_divisible(f"input width of layer {layer}", n_in, g)
        if self.reduce:
            require_divisible("m", self.m, self.reduce_groups)

    @property
    def released(self) -> bool:
        """Whether this is the authors' public unit."""
        return self.unit == "released"

    @property
    def reduces_early(self) -> bool:
        """Whether the last of the N layers gives m dimensions already."""
        return self.released and self.reduce

    @property
    def mixed_dim(self) -> int:
        """Width of what stands for e_i behind the unit's entrance: p or n."""
        return self.projection_dim or self.n

    @property
    def groups(self) -> list[int]:
        """Groups of each of the N layers."""
        if self.transformation == "linear":
            return [1] * self.N
        if self.transformation == "hgt":
            return (cyclic_groups if self.released else hierarchical_groups)(self.N, self.g_max)
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
        """How much of e_i's stand-in each layer after the first reads: all of it, or nothing."""
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
        """The same of the step that gives e_o."""
        if self.released:
            return self.m + self.skip_dim, self.m, 1
        return self.expanded_dim, self.m, self.reduce_groups

    @property
    def min_group_features(self) -> int:
        """The fewest features of e_i, or of a layer's output, that any group reads or gives.

        A norm over a group of one feature passes on nothing, and of few features little.
        """
        found = [self.mixed_dim // self.groups[0]]
        for _, n_out, g in self.layer_shapes():
            found.append(n_out // g)
        for _, _, g in self.layer_shapes()[1:]:
            found += [self.mixed_dim // g] if self.connection == "mixer" else []
        return min(found)

    def num_parameters(self) -> int:
        """Closed form of the unit's size, without building it."""
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
    """A group linear transformation, then norm over each group's features, activation, dropout.

    The norm's weight and bias are shared by the groups (as in the authors' later code).
    """

    def __init__(self, in_features: int, out_features: int, groups: int, config: UnitConfig):
        super().__init__()
        self.linear = GroupLinear(
            in_features, out_features, groups, bias=config.released, share=config.share_groups
        )
        self.norm = nn.LayerNorm(out_features // groups) if config.norm == "layer" else None
        self.activation = ACTIVATIONS[config.activation]()
        self.dropout = Dropout(config.dropout)

    @property
    def groups(self) -> int:
        return self.linear.groups

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        if self.norm is not None:
            x = self.norm(x.unflatten(-1, (self.groups, -1))).flatten(-2)
        return self.dropout(self.activation(x))


class DefineUnit(nn.Module):
    """Expand and reduce: e_i (..., n) -> e_o (..., m); (..., k) without the reduce step.

    e_o depends on e_i alone, so the whole unit can be folded into a table after training
    (`define.core.embedding.DefineEmbedding.cache`).

    Initial values are Xavier-uniform in each group, biases zero. The authors' code draws a layer of
    several groups from a narrower range (it counts the groups as inputs); the norm takes that out.

    Raises:
        InputError: the dimensions do not fit together; the sentence says which rule is broken.
    """

    def __init__(self, config: UnitConfig):
        super().__init__()
        self.config = config
        self.input = nn.Identity()
        if config.released:
            self.input = GroupLayer(config.n, config.mixed_dim, 1, config)
        elif config.unit == "ours":
            self.input = nn.LayerNorm(config.n, elementwise_affine=False)
        self.layers = nn.ModuleList(GroupLayer(*shape, config) for shape in config.layer_shapes())
        self.reduce = None
        if config.reduce:
            shape = config.reduce_shape()
            self.reduce = (
                GroupLayer(*shape, config)
                if config.released
                else GroupLinear(*shape, share=config.share_groups)
            )

    def forward(self, e_i: Tensor) -> Tensor:
        e_i = self.input(e_i)
        x = self.layers[0](e_i)
        for layer in self.layers[1:]:
            x = self._connect(layer, e_i, x)
        if self.reduce is None:
            return x
        if self.config.released:
            return self._connect(self.reduce, e_i, x)
        return self.reduce(self._shuffle(x, self.reduce.groups))

    def _connect(self, layer: GroupLayer, e_i: Tensor, x: Tensor) -> Tensor:
        g = layer.groups
        x = self._shuffle(x, g)
        connection = self.config.connection
        if connection == "mixer":
            return layer(mix(e_i, x, g))
        if connection == "concat":
            return layer(torch.cat([e_i, x], dim=-1))
        y = layer(x)
        # Where the width changes, nothing can be added.
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
