"""From a config to an input layer: a table alone, or followed by a linear map, an MLP or DeFINE."""

from dataclasses import dataclass, field

from torch import nn

from define.core.embedding import DefineEmbedding
from define.core.group_linear import GroupLinear
from define.core.schedule import WIDTH_MULTIPLE
from define.core.unit import ACTIVATIONS, DefineUnit, UnitConfig, require_choice
from define.errors import InputError

INPUTS = ("table", "linear", "mlp", "define")


def option(default, help: str):
    """A dataclass field with the help text that command lines print."""
    return field(default=default, metadata={"help": help})


@dataclass
class InputConfig:
    """The input layer of a model; long names of the paper's symbols."""

    input: str = option("define", "input layer: table, linear (n -> m), mlp (n -> k -> m), define")
    map_dim: int = option(128, "n, dimension of the token's row in the table")
    expand_dim: int = option(1024, "k, width of the last layer of the expansion")
    reduce_dim: int = option(400, "m, dimension that the context model reads")
    depth: int = option(7, "N, layers of the expansion")
    max_groups: int = option(64, "g_max, groups of the first layer")
    transformation: str = option("hgt", "linear, glt, glt_shuffle or hgt (Table 4a)")
    connection: str = option("mixer", "mixer, concat, residual or none (Tables 4b, 6a)")
    without_reduce: bool = option(False, "leave the reduce step out (Table 6b)")
    unit_norm: str = option("layer", "none or layer (over each group's features)")
    unit_activation: str = option("gelu", "none, gelu, relu or swish")
    unit_dropout: float = option(0.0, "dropout after each layer of the unit")
    unit_bias: bool = option(False, "biases in the unit's layers")
    width_multiple: int = option(
        WIDTH_MULTIPLE, "multiple that the unit's widths are rounded up to"
    )
    reduce_gain: float = option(1.0, "factor on the reduce step's Xavier bound")
    per_position: bool = option(False, "run the unit per position, not per distinct token")

    def unit_config(self) -> UnitConfig:
        """The DeFINE unit's config, in the paper's symbols."""
        return UnitConfig(
            n=self.map_dim,
            k=self.expand_dim,
            m=self.reduce_dim,
            N=self.depth,
            g_max=self.max_groups,
            transformation=self.transformation,
            connection=self.connection,
            reduce=not self.without_reduce,
            norm=self.unit_norm,
            activation=self.unit_activation,
            dropout=self.unit_dropout,
            bias=self.unit_bias,
            width_multiple=self.width_multiple,
            reduce_gain=self.reduce_gain,
        )

    @property
    def input_dim(self) -> int:
        """Dimension of what the input layer passes on."""
        if self.input == "table":
            return self.map_dim
        return self.unit_config().output_dim if self.input == "define" else self.reduce_dim


def build_unit(config: InputConfig) -> nn.Module | None:
    """What stands between the table and the context model.

    Raises:
        InputError: unknown input, or dimensions that do not fit.
    """
    require_choice("input", config.input, INPUTS)
    if config.input == "define":
        return DefineUnit(config.unit_config())
    if config.input == "linear":
        return GroupLinear(config.map_dim, config.reduce_dim)
    if config.input == "mlp":
        require_choice("unit_activation", config.unit_activation, ACTIVATIONS)
        if not 0 <= config.unit_dropout < 1:
            raise InputError(f"unit_dropout = {config.unit_dropout} must lie in [0, 1)")
        return nn.Sequential(
            GroupLinear(config.map_dim, config.expand_dim, bias=config.unit_bias),
            ACTIVATIONS[config.unit_activation](),
            nn.Dropout(config.unit_dropout),
            GroupLinear(config.expand_dim, config.reduce_dim, bias=config.unit_bias),
        )
    return None


def build_input(config: InputConfig, num_types: int) -> DefineEmbedding:
    """An input layer over a V x n table; the table's initial values are the model's to set.

    Raises:
        InputError: as `build_unit`, or a table without rows or columns.
    """
    if num_types < 1 or config.map_dim < 1:
        raise InputError(
            f"a table of {num_types} types x {config.map_dim} dimensions is empty; "
            f"both must be at least 1"
        )
    table = nn.Embedding(num_types, config.map_dim)
    return DefineEmbedding(table, build_unit(config), config.input_dim, config.per_position)
