"""Builds input layers from a config: a map, optionally with a linear map, an MLP or DeFINE."""

from dataclasses import dataclass, field
from typing import Any, List, Optional  # noqa: UP035 - fairseq needs these types in a config

from torch import nn

from define.core.clusters import ClusteredEmbedding, cluster_edges
from define.core.dropout import Dropout
from define.core.embedding import DefineEmbedding
from define.core.group_linear import GroupLinear
from define.core.unit import (
    ACTIVATIONS,
    FORM_DEFAULT,
    KEYS,
    DefineUnit,
    UnitConfig,
    require_choice,
    require_probability,
)
from define.errors import InputError

INPUTS = ("table", "linear", "mlp", "define")
MAPS = ("standard", "adaptive", "projective")
"""Kinds of maps, and of output layers."""
PROJECTIONS = ("clusters", "one", "none")
"""How a projective map projects its rows of n dimensions.

clusters: one projection per cluster; with tie_projections the output layer shares them. Table 2's
    counts imply this.
one: one projection for all clusters; with tie_projections the output layer shares it except in its
    first cluster, which has its own (kimiyoung/transformer-xl: tie_projs = [False, True, True,
    True] in pytorch/train.py, div_val 1 in mem_transformer.py).
none: the rows are e_i itself, n wide. The output layer has its own projections.
"""


def option(default: Any, help: str) -> Any:
    """A dataclass field with the help text that the command line prints."""
    return field(default=default, metadata={"help": help})


@dataclass
class InputConfig:
    """The input layer of a model; the help texts give the paper's symbols."""

    map: str = option("standard", "tokens -> e_i: standard (a V x n table), adaptive, projective")
    input: str = option(
        "define", "after the map: table (nothing), linear, mlp (n -> k -> m), define"
    )
    map_dim: int = option(128, "n, dimension of a token's row in the (first) table")
    projected_dim: int = option(384, "dimension that a projective map projects rows to")
    cutoffs: List[int] = field(  # noqa: UP006
        default_factory=list,
        metadata={"help": "first type of each cluster after the first, types sorted by frequency"},
    )
    cluster_factor: int = option(4, "adaptive: each cluster's table is this many times narrower")
    scale_embedding: bool = option(False, "multiply e_i by the square root of its dimension")
    expand_dim: int = option(1024, "k, width of the last layer of the expansion")
    reduce_dim: int = option(400, "m, dimension that the context model reads")
    depth: int = option(7, "N, layers of the expansion")
    max_groups: int = option(16, "g_max, largest number of groups in a layer")
    unit: str = option("released", "form of the DeFINE unit: released, text or ours")
    transformation: str = option("hgt", "linear, glt, glt_shuffle or hgt (Table 4a)")
    connection: str = option("mixer", "mixer, concat, residual or none (Tables 4b, 6a)")
    without_reduce: bool = option(False, "omit the reduce step (Table 6b)")
    unit_norm: Optional[str] = option(  # noqa: UP045
        None, "none or layer (over each group's features); default: that of the unit's form"
    )
    unit_activation: Optional[str] = option(  # noqa: UP045
        None, "none, gelu, relu or swish; default: that of the unit's form (mlp: gelu)"
    )
    unit_dropout: Optional[float] = option(  # noqa: UP045
        None, "dropout after each layer of the unit; default: that of the unit's form (mlp: 0)"
    )
    width_multiple: Optional[int] = option(  # noqa: UP045
        None, "round the unit's widths up to a multiple of this; default: that of the unit's form"
    )
    share_groups: bool = option(False, "use one matrix for all groups of a layer of the unit")
    unit_projection_dim: int = option(
        0, "p, width that the first layer of the released unit maps e_i to; 0: n"
    )
    per_position: bool = option(False, "run the unit per position, not per distinct token")
    projections: str = option(
        "clusters", "of a projective map: clusters (one each), one (shared), none (e_i is n wide)"
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
            norm=FORM_DEFAULT if self.unit_norm is None else self.unit_norm,
            activation=FORM_DEFAULT if self.unit_activation is None else self.unit_activation,
            dropout=FORM_DEFAULT if self.unit_dropout is None else self.unit_dropout,
            width_multiple=FORM_DEFAULT if self.width_multiple is None else self.width_multiple,
            share_groups=self.share_groups,
            projection_dim=self.unit_projection_dim,
            n_key="model.projected_dim (n)" if self.projects else KEYS["n"],
        )

    @property
    def projects(self) -> bool:
        """Whether the map projects its rows to `projected_dim`."""
        return self.map == "projective" and self.projections != "none"

    @property
    def mapped_dim(self) -> int:
        """Dimension of e_i."""
        return self.projected_dim if self.projects else self.map_dim

    @property
    def input_dim(self) -> int:
        """Dimension of the input layer's output."""
        if self.input == "table":
            return self.mapped_dim
        return self.unit_config().output_dim if self.input == "define" else self.reduce_dim


@dataclass
class InputOutputConfig(InputConfig):
    """The input layer, and an output layer of `define.core.outputs` that may share its parts."""

    output: str = option("standard", "output layer: standard, adaptive, projective")
    tie_tables: bool = option(True, "share the map's tables with the output layer")
    tie_projections: bool = option(True, "share the map's projections with the output layer")


def build_unit(config: InputConfig) -> nn.Module | None:
    """Builds the layers between the map and the context model.

    Raises:
        InputError: an unknown input, or dimensions that contradict each other.
    """
    require_choice("model.input", config.input, INPUTS)
    if config.input == "define":
        return DefineUnit(config.unit_config())
    for name in ("expand_dim", "reduce_dim") if config.input in ("linear", "mlp") else ():
        if getattr(config, name) < 1:
            raise InputError(f"model.{name} = {getattr(config, name)} must be at least 1")
    if config.input == "linear":
        return GroupLinear(config.mapped_dim, config.reduce_dim)
    if config.input == "mlp":
        activation = config.unit_activation or "gelu"
        require_choice("model.unit_activation", activation, ACTIVATIONS)
        dropout = config.unit_dropout or 0.0
        require_probability("model.unit_dropout", dropout)
        return nn.Sequential(
            GroupLinear(config.mapped_dim, config.expand_dim),
            ACTIVATIONS[activation](),
            Dropout(dropout),
            GroupLinear(config.expand_dim, config.reduce_dim),
        )
    return None


def cluster_layout(config: InputConfig, kind: str, num_types: int) -> tuple[list[int], list[int]]:
    """The clusters' edges in the vocabulary, and the width of each cluster's table.

    Raises:
        InputError: invalid cutoffs or factor.
    """
    edges = cluster_edges(num_types, [] if kind == "standard" else config.cutoffs)
    clusters = len(edges) - 1
    if kind != "adaptive":
        return edges, [config.map_dim] * clusters
    if config.cluster_factor < 1:
        raise InputError(f"model.cluster_factor = {config.cluster_factor} must be at least 1")
    widths = [config.map_dim // config.cluster_factor**i for i in range(clusters)]
    if widths[-1] < 1:
        raise InputError(
            f"model.map_dim = {config.map_dim} is too small for {clusters} clusters, each "
            f"model.cluster_factor = {config.cluster_factor} times narrower than the one before; "
            f"use a larger map_dim or a smaller cluster_factor"
        )
    return edges, widths


def build_map(config: InputConfig, num_types: int) -> nn.Embedding | ClusteredEmbedding:
    """Builds the map from tokens to e_i; the model initialises a standard table.

    Raises:
        InputError: an unknown map, an empty table, or invalid clusters.
    """
    require_choice("model.map", config.map, MAPS)
    require_choice("model.projections", config.projections, PROJECTIONS)
    if config.projections != "clusters" and config.map != "projective":
        raise InputError(
            f"model.projections = {config.projections} needs model.map = projective, but "
            f"model.map = {config.map}; set model.projections=clusters or model.map=projective"
        )
    if num_types < 1 or config.map_dim < 1:
        raise InputError(
            f"model.map_dim = {config.map_dim} and the vocabulary's {num_types} types must both "
            f"be at least 1"
        )
    if config.map == "standard":
        return nn.Embedding(num_types, config.map_dim)
    if config.mapped_dim < 1:
        raise InputError(f"model.projected_dim = {config.projected_dim} must be at least 1")
    edges, widths = cluster_layout(config, config.map, num_types)
    return ClusteredEmbedding(edges, widths, config.mapped_dim, config.projections == "one")


def build_input(config: InputConfig, num_types: int) -> DefineEmbedding:
    """Builds the input layer: the map, and the unit if there is one.

    Raises:
        InputError: see `build_map` and `build_unit`.
    """
    map = build_map(config, num_types)
    scale = config.mapped_dim**0.5 if config.scale_embedding else 1.0
    return DefineEmbedding(map, build_unit(config), per_position=config.per_position, scale=scale)
