"""Output layers: softmaxes over the vocabulary, whole or in clusters, tied to the input's tables.

One class serves all: the standard softmax is one cluster with a bias; the adaptive softmax (Grave
et al. 2017a) and Transformer-XL's projected one (proj_adaptive_softmax.py) have a head over the
first cluster and one entry per further cluster, and a softmax within each of those.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from define.core.clusters import new_projections, new_tables
from define.core.embedding import DefineEmbedding
from define.core.inputs import MAPS, InputOutputConfig, cluster_layout
from define.core.unit import require_choice
from define.errors import InputError

IGNORED = -1
"""The target of a position that is not scored."""


class OutputLayer(nn.Module):
    """Features -> probabilities of types; in float32 at least, under autocast too.

    A type's probability is that of its cluster's entry in the head times its own within the
    cluster. The logits of a cluster are computed only where a target lies in it, in parts of at
    most `max_logits`, so that `nll` never holds V logits for every token of a large batch.

    Shapes:
        features (..., dim), targets (...) -> nll (...); log_probs (..., V).
        cluster_weight (clusters - 1, width of the first table), None for one cluster.

    Args:
        tables, edges: as in `ClusteredEmbedding`; parameters may be shared with one.
        projections: of the same; features are projected by their transposes.
        bias: whether types, and the clusters' entries in the head, have biases.
        max_logits: bounds each part of a cluster that is computed at once (at least one position),
            not the sum over the clusters. A cluster with more is computed in parts, and once more
            in the backward pass; one with fewer is kept until then.
    """

    def __init__(
        self,
        tables: Iterable[nn.Parameter],
        projections: nn.ParameterDict,
        edges: list[int],
        bias: bool,
        max_logits: int,
    ):
        super().__init__()
        self.tables, self.projections, self.edges = nn.ParameterList(tables), projections, edges
        self.max_logits = max_logits
        tails = len(self.tables) - 1
        self.cluster_weight = self.cluster_bias = None
        if tails:
            entries = torch.empty(tails, self.tables[0].shape[1])
            self.cluster_weight = nn.Parameter(nn.init.xavier_uniform_(entries))
        self.bias = nn.Parameter(torch.zeros(edges[-1])) if bias else None
        if tails and bias:
            self.cluster_bias = nn.Parameter(torch.zeros(tails))

    def nll(self, features: Tensor, targets: Tensor) -> Tensor:
        """Negative log-likelihoods in nats; 0 where the target is `IGNORED`."""
        flat = targets.flatten()
        with torch.autocast(features.device.type, enabled=False):
            x = _at_least_float32(features.reshape(-1, features.shape[-1]))
            head = flat.clone()
            for i in range(1, len(self.tables)):
                head[flat >= self.edges[i]] = self.edges[1] + i - 1
            nll = self._cluster_nll(x, 0, head)
            for i in range(1, len(self.tables)):
                where = (head == self.edges[1] + i - 1).nonzero().squeeze(1)
                own = flat[where] - self.edges[i]
                nll = nll.index_add(0, where, self._cluster_nll(x[where], i, own))
        return nll.view(targets.shape)

    def log_probs(self, features: Tensor) -> Tensor:
        """Log-probabilities of all types: V numbers per position."""
        with torch.autocast(features.device.type, enabled=False):
            x = _at_least_float32(features.reshape(-1, features.shape[-1]))
            head = F.log_softmax(self._logits(x, 0), -1)
            parts = [head[:, : self.edges[1]]]
            for i in range(1, len(self.tables)):
                entry = head[:, self.edges[1] + i - 1].unsqueeze(1)
                parts.append(entry + F.log_softmax(self._logits(x, i), -1))
        return torch.cat(parts, -1).view(*features.shape[:-1], self.edges[-1])

    def _cluster_nll(self, x: Tensor, i: int, targets: Tensor) -> Tensor:
        rows = max(1, self.max_logits // self._width(i))
        if len(x) <= rows:
            return self._part_nll(x, i, targets)
        parts = zip(x.split(rows), targets.split(rows), strict=True)
        return torch.cat(
            [checkpoint(self._part_nll, part, i, own, use_reentrant=False) for part, own in parts]
        )

    def _part_nll(self, x: Tensor, i: int, targets: Tensor) -> Tensor:
        return F.cross_entropy(self._logits(x, i), targets, ignore_index=IGNORED, reduction="none")

    def _width(self, i: int) -> int:
        """Logits of cluster i, the head's entries for the further clusters included."""
        return self.edges[i + 1] - self.edges[i] + (len(self.tables) - 1 if i == 0 else 0)

    def _logits(self, x: Tensor, i: int) -> Tensor:
        if str(i) in self.projections:
            x = x @ self.projections[str(i)].to(x.dtype)
        weight = self.tables[i]
        bias = None if self.bias is None else self.bias[self.edges[i] : self.edges[i + 1]]
        if i == 0 and self.cluster_weight is not None:
            weight = torch.cat([weight, self.cluster_weight])
            bias = None if bias is None else torch.cat([bias, self.cluster_bias])
        return F.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def build_output(config: InputOutputConfig, embedding: DefineEmbedding, dim: int) -> OutputLayer:
    """The output layer of a model whose input layer is `embedding`.

    Args:
        dim: width of the features that it reads.
    Raises:
        InputError: the ties asked for do not fit the input layer.
    """
    require_choice("output", config.output, MAPS)
    edges, widths = cluster_layout(config, config.output, embedding.num_embeddings)
    if config.tie_tables and config.output != config.map:
        raise InputError(
            f"output = {config.output} cannot share the tables of map = {config.map}; set both "
            f"alike, or tie_tables=false"
        )
    if config.output == "standard":
        if config.tie_tables and dim != config.map_dim:
            raise InputError(
                f"the output layer reads {dim} dimensions, but the table that it shares has "
                f"map_dim = {config.map_dim}; set both alike, or tie_tables=false"
            )
        widths = [dim]
    needs_projections = any(width != dim for width in widths)
    has_projections = config.projections != "none"
    shares_projections = config.tie_projections and needs_projections and has_projections
    if shares_projections and (config.output != config.map or dim != config.mapped_dim):
        raise InputError(
            f"the output layer's projections ({config.output}, from {dim} dimensions) cannot be "
            f"those of map = {config.map} (to {config.mapped_dim}); set both alike, or "
            f"tie_projections=false"
        )
    output_tables = list(tables(embedding.map)) if config.tie_tables else new_tables(edges, widths)
    if not shares_projections:
        output_projections = new_projections(widths, dim)
    elif config.projections == "one":
        output_projections = embedding.map.projections | new_projections(widths[:1], dim)
    else:
        output_projections = embedding.map.projections
    return OutputLayer(
        output_tables,
        output_projections,
        edges,
        bias=config.output != "adaptive",  # as in the sources: fairseq's has none, the others do
        max_logits=config.max_logits,
    )


def tables(layer: nn.Module) -> Iterable[nn.Parameter]:
    """The parameters with one row per type, of a map or of an output layer."""
    return [layer.weight] if isinstance(layer, nn.Embedding) else layer.tables


def projections(layer: nn.Module) -> Iterable[nn.Parameter]:
    """The projections of the clusters, of a map or of an output layer; a shared one once."""
    return [] if isinstance(layer, nn.Embedding) else dict.fromkeys(layer.projections.values())
