"""The DeFINE unit: expand e_i by a hierarchical group transformation, reduce to e_o."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from define.core.group_linear import GroupLinear, require_divisible, shuffle_features
from define.core.schedule import WIDTH_MULTIPLE, expansion_widths, hierarchical_groups
from define.errors import InputError

TRANSFORMATIONS = ("linear", "glt", "glt_shuffle", "hgt")
CONNECTIONS = ("mixer", "concat", "residual", "none")
NORMS = ("none", "layer", "layer_no_affine")
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
        N: number of layers between e_i and the reduce step.
        g_max: groups of the first layer (hgt), of every layer (glt); ignored by linear.
        transformation: the rows of Table 4a: "linear" (one group everywhere), "glt" (g_max groups
            everywhere, the reduce step included), "glt_shuffle" (with a feature shuffle between
            layers), "hgt" (g_max, g_max / 2, ..., 1 groups).
        connection: how e_i enters the layers after the first (Tables 4b and 6a): "mixer" (chunk j
            of e_i beside chunk j of the previous output), "concat" (both vectors whole, the groups
            fall where they fall), "residual" (every layer k / 2 wide, its input added), "none".
        reduce: the linear step k -> m; without it e_o is the last layer's output (Table 6b).
        norm, activation, dropout: after each layer, in this order. The paper's text names none;
            "layer" (over each group's features) and "gelu" are what the authors' later code has;
            "layer_no_affine" is the same without learnt scale and bias, so without parameters.
        bias: of all layers, the reduce step included.
        width_multiple: see `define.core.schedule.expansion_widths`.
        reduce_gain: factor on the reduce step's Xavier bound, which sets the size of e_o at step 0.
    """

    n: int
    k: int
    m: int
    N: int
    g_max: int
    transformation: str = "hgt"
    connection: str = "mixer"
    reduce: bool = True
    norm: str = "layer"
    activation: str = "gelu"
    dropout: float = 0.0
    bias: bool = False
    width_multiple: int = WIDTH_MULTIPLE
    reduce_gain: float = 1.0

    def __post_init__(self) -> None:
        for name in ("n", "k", "m", "N", "g_max", "width_multiple"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name)} must be at least 1")
        require_choice("transformation", self.transformation, TRANSFORMATIONS)
        require_choice("connection", self.connection, CONNECTIONS)
        require_choice("norm", self.norm, NORMS)
        require_choice("activation", self.activation, ACTIVATIONS)
        if not 0 <= self.dropout < 1:
            raise InputError(f"unit dropout = {self.dropout} must lie in [0, 1)")
        if not self.reduce_gain > 0:
            raise InputError(f"reduce_gain = {self.reduce_gain} must be greater than 0")
        if self.k < self.n:
            raise InputError(
                f"k = {self.k} is smaller than n = {self.n}: the unit expands; take k >= n"
            )
        if self.connection == "residual" and self.k % 2:
            raise InputError(
                f"k = {self.k} is odd, but residual layers are k / 2 wide; take an even k"
            )
        expanded = "k / 2" if self.connection == "residual" else "k"
        for layer, (n_in, n_out, g) in enumerate(self.layer_shapes(), start=1):
            require_divisible(expanded, n_out, g)  # widths before k are multiples already
            if layer == 1 or self.connection == "mixer":
                require_divisible("n", self.n, g)
            else:
                require_divisible(f"input width of layer {layer}", n_in, g)
        if self.reduce:
            require_divisible("m", self.m, self.reduce_groups)

    @property
    def groups(self) -> list[int]:
        """Groups of each of the N layers."""
        if self.transformation == "linear":
            return [1] * self.N
        if self.transformation == "hgt":
            return hierarchical_groups(self.N, self.g_max)
        return [self.g_max] * self.N

    @property
    def reduce_groups(self) -> int:
        """Groups of the reduce step: a plain GLT keeps its groups there (Table 4a's count)."""
        return self.g_max if self.transformation in ("glt", "glt_shuffle") else 1

    @property
    def expanded_dim(self) -> int:
        """Width of the last layer's output."""
        return self.k // 2 if self.connection == "residual" else self.k

    @property
    def output_dim(self) -> int:
        """Width of e_o."""
        return self.m if self.reduce else self.expanded_dim

    def layer_shapes(self) -> list[tuple[int, int, int]]:
        """(input width, output width, groups) of each layer, before the reduce step."""
        groups = self.groups
        if self.connection == "residual":
            widths = [self.expanded_dim] * self.N
        else:
            widths = expansion_widths(self.n, self.k, groups, self.width_multiple)
        skip = self.n if self.connection in ("mixer", "concat") else 0
        inputs = [self.n] + [width + skip for width in widths[:-1]]
        return list(zip(inputs, widths, groups, strict=True))

    def num_parameters(self) -> int:
        """Closed form of the unit's size, without building it."""
        total = 0
        for n_in, n_out, g in self.layer_shapes():
            total += n_in * n_out // g + self.bias * n_out
            total += 2 * (n_out // g) if self.norm == "layer" else 0
        if self.reduce:
            total += self.expanded_dim * self.m // self.reduce_groups + self.bias * self.m
        return total


class GroupLayer(nn.Module):
    """A group linear transformation, then norm over each group's features, activation, dropout.

    The norm's weight and bias are shared by the groups (as in the authors' later code).
    """

    def __init__(self, in_features: int, out_features: int, groups: int, config: UnitConfig):
        super().__init__()
        self.linear = GroupLinear(in_features, out_features, groups, config.bias)
        self.norm = None
        if config.norm != "none":
            affine = config.norm == "layer"
            self.norm = nn.LayerNorm(out_features // groups, elementwise_affine=affine)
        self.activation = ACTIVATIONS[config.activation]()
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        if self.norm is not None:
            grouped = x.unflatten(-1, (self.linear.groups, -1))
            x = self.norm(grouped).reshape(x.shape)
        return self.dropout(self.activation(x))


class DefineUnit(nn.Module):
    """Expand and reduce: e_i (..., n) -> e_o (..., m); (..., k) without the reduce step.

    e_o depends on e_i alone, so the whole unit can be folded into a table after training
    (`define.core.embedding.DefineEmbedding.cache`).

    Raises:
        InputError: the dimensions do not fit together; the sentence says which rule is broken.
    """

    def __init__(self, config: UnitConfig):
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(
            GroupLayer(n_in, n_out, g, config) for n_in, n_out, g in config.layer_shapes()
        )
        self.reduce = None
        if config.reduce:
            self.reduce = GroupLinear(
                config.expanded_dim, config.m, config.reduce_groups, config.bias
            )
            self.reduce.reset_parameters(config.reduce_gain)

    def forward(self, e_i: Tensor) -> Tensor:
        x = self.layers[0](e_i)
        for layer in self.layers[1:]:
            x = self._connect(layer, e_i, x)
        if self.reduce is None:
            return x
        return self.reduce(self._shuffle(x, self.reduce.groups))

    def _connect(self, layer: GroupLayer, e_i: Tensor, x: Tensor) -> Tensor:
        g = layer.linear.groups
        x = self._shuffle(x, g)
        connection = self.config.connection
        if connection == "mixer":
            return layer(mix(e_i, x, g))
        if connection == "concat":
            return layer(torch.cat([e_i, x], dim=-1))
        if connection == "residual":
            return layer(x) + x
        return layer(x)

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
