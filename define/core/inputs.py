"""From a config to an input layer: a map, alone or followed by a linear map, an MLP or DeFINE."""

from dataclasses import dataclass, field
from typing import List, Optional  # noqa: UP035 - fairseq knows these types of a config's fields

from torch import nn

from define.core.clusters import ClusteredEmbedding, cluster_edges
from define.core.dropout import Dropout
from define.core.embedding import DefineEmbedding
from define.core.group_linear import GroupLinear
from define.core.unit import ACTIVATIONS, DefineUnit, UnitConfig, require_choice
from define.errors import InputError

INPUTS = ("table", "linear", "mlp", "define")
MAPS = ("standard", "adaptive", "projective")
"""Kinds of maps, and of output layers."""
PROJECTIONS = ("clusters", "one", "none")
"""How a projective map takes its rows of n dimensions to what the input layer reads.

clusters: a projection per cluster; with tie_projections the output layer has the same ones. Table
    2's counts ask for it.
one: one projection for all clusters; with tie_projections the output layer has it too, but for its
    first cluster, whose projection is its own (kimiyoung/transformer-xl: tie_projs = [False, True,
    True, True] in pytorch/train.py, div_val 1 in mem_transformer.py).
none: the rows are e_i, n wide, so the unit reads n dimensions and gives m itself. The output layer
    has projections of its own, as the input layer has none to share.
"""


def option(default, help: str):
    """A dataclass field with the help text that command lines print."""
    return field(default=default, metadata={"help": help})


@dataclass
class InputConfig:
    """The input layer of a model; long names of the paper's symbols."""

    map: str = option("standard", "tokens -> e_i: standard (a V x n table), adaptive, projective")
    input: str = option("define", "on the map: table (nothing), linear, mlp (n -> k -> m), define")
    map_dim: int = option(128, "n, dimension of the token's row in the (first) table")
    projected_dim: int = option(384, "what a projective map projects rows to")
    cutoffs: List[int] = field(  # noqa: UP006
        default_factory=list,
        metadata={"help": "first type of each cluster but the first; types by frequency"},
    )
    cluster_factor: int = option(4, "adaptive: by how much each next cluster's table is narrower")
    scale_embedding: bool = option(False, "multiply e_i by the root of its dimension")
    expand_dim: int = option(1024, "k, width of the last layer of the expansion")
    reduce_dim: int = option(400, "m, dimension that the context model reads")
    depth: int = option(7, "N, layers of the expansion")
    max_groups: int = option(16, "g_max, the most groups of a layer")
    unit: str = option("released", "form of the DeFINE unit: released, text or ours")
    transformation: str = option("hgt", "linear, glt, glt_shuffle or hgt (Table 4a)")
    connection: str = option("mixer", "mixer, concat, residual or none (Tables 4b, 6a)")
    without_reduce: bool = option(False, "leave the reduce step out (Table 6b)")
    unit_norm: Optional[str] = option(  # noqa: UP045
        None, "none or layer (over each group's features); by default the unit's own"
    )
    unit_activation: Optional[str] = option(  # noqa: UP045
        None, "none, gelu, relu or swish; by default the unit's own (of an mlp: gelu)"
    )
    unit_dropout: Optional[float] = option(  # noqa: UP045
        None, "dropout after each layer of the unit; by default the unit's own (of an mlp: 0)"
    )
    width_multiple: Optional[int] = option(  # noqa: UP045
        None, "multiple that the unit's widths are rounded up to; by default the unit's own"
    )
    share_groups: bool = option(False, "one matrix for all groups of a layer of the unit")
    unit_projection_dim: int = option(
        0, "p, what the first layer of the released unit maps e_i to; 0: n"
    )
    per_position: bool = option(False, "run the unit per position, not per distinct token")
    projections: str = option(
        "clusters", "of a projective map: clusters (one each), one (for all), none (e_i has n)"
    )

    def unit_config(self) -> UnitConfig:
        """The DeFINE unit's config, in the paper's symbols."""
        return UnitConfig(
            n=self.mapped_dim,
            k=self.expand_dim,
            m=self.reduce_dim,
            N=self.depth,
            g_max=self.max_groups,
            unit=self.unit,
            transformation=self.transformation,
            connection=self.connection,
            reduce=not self.without_reduce,
            norm=self.unit_norm,
            activation=self.unit_activation,
            dropout=self.unit_dropout,
            width_multiple=self.width_multiple,
            share_groups=self.share_groups,
            projection_dim=self.unit_projection_dim,
        )

    @property
    def mapped_dim(self) -> int:
        """Dimension of e_i."""
        projected = self.map == "projective" and self.projections != "none"
        return self.projected_dim if projected else self.map_dim

    @property
    def input_dim(self) -> int:
        """Dimension of what the input layer passes on."""
        if self.input == "table":
            return self.mapped_dim
        return self.unit_config().output_dim if self.input == "define" else self.reduce_dim


@dataclass
class InputOutputConfig(InputConfig):
    """The input layer, and an output layer of `define.core.outputs` that may share its parts."""

    output: str = option("standard", "output layer: standard, adaptive, projective")
    tie_tables: bool = option(True, "the output layer shares the map's tables")
    tie_projections: bool = option(True, "the output layer shares the map's projections")


def build_unit(config: InputConfig) -> nn.Module | None:
    """What stands between the table and the context model.

    Raises:
        InputError: unknown input, or dimensions that do not fit.
    """
    require_choice("input", config.input, INPUTS)
    if config.input == "define":
        return DefineUnit(config.unit_config())
    if config.input == "linear":
        return GroupLinear(config.mapped_dim, config.reduce_dim)
    if config.input == "mlp":
        activation = config.unit_activation or "gelu"
        require_choice("unit_activation", activation, ACTIVATIONS)
        dropout = config.unit_dropout or 0.0
        if not 0 <= dropout < 1:
            raise InputError(f"unit_dropout = {dropout} must lie in [0, 1)")
        return nn.Sequential(
            GroupLinear(config.mapped_dim, config.expand_dim),
            ACTIVATIONS[activation](),
            Dropout(dropout),
            GroupLinear(config.expand_dim, config.reduce_dim),
        )
    return None


def cluster_layout(config: InputConfig, kind: str, num_types: int) -> tuple[list[int], list[int]]:
    """Edges of the clusters in the vocabulary, and the width of each cluster's table.

    Raises:
        InputError: impossible cutoffs or factor.
    """
    edges = cluster_edges(num_types, [] if kind == "standard" else config.cutoffs)
    clusters = len(edges) - 1
    if kind != "adaptive":
        return edges, [config.map_dim] * clusters
    if config.cluster_factor < 1:
        raise InputError(f"cluster_factor = {config.cluster_factor} must be at least 1")
    widths = [config.map_dim // config.cluster_factor**i for i in range(clusters)]
    if widths[-1] < 1:
        raise InputError(
            f"map_dim = {config.map_dim} leaves nothing for cluster {clusters} of {clusters} at "
            f"cluster_factor = {config.cluster_factor}; make one larger or the other smaller"
        )
    return edges, widths


def build_map(config: InputConfig, num_types: int) -> nn.Embedding | ClusteredEmbedding:
    """Tokens -> e_i; a standard table's initial values are the model's to set.

    Raises:
        InputError: an unknown map, an empty table, or clusters that do not fit.
    """
    require_choice("map", config.map, MAPS)
    require_choice("projections", config.projections, PROJECTIONS)
    if config.projections != "clusters" and config.map != "projective":
        raise InputError(
            f"projections = {config.projections} is for map = projective, but map = {config.map}; "
            f"leave projections at clusters, or take map=projective"
        )
    if num_types < 1 or config.map_dim < 1:
        raise InputError(
            f"a table of {num_types} types x {config.map_dim} dimensions is empty; "
            f"both must be at least 1"
        )
    if config.map == "standard":
        return nn.Embedding(num_types, config.map_dim)
    if config.mapped_dim < 1:
        raise InputError(f"projected_dim = {config.projected_dim} must be at least 1")
    edges, widths = cluster_layout(config, config.map, num_types)
    return ClusteredEmbedding(edges, widths, config.mapped_dim, config.projections == "one")


def build_input(config: InputConfig, num_types: int) -> DefineEmbedding:
    """The input layer: a map, and what stands on it.

    Raises:
        InputError: as `build_map` and `build_unit`.
    """
    map = build_map(config, num_types)
    scale = config.mapped_dim**0.5 if config.scale_embedding else 1.0
    return DefineEmbedding(
        map, build_unit(config), config.input_dim, config.per_position, scale=scale
    )
