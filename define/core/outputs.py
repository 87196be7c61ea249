"""Output layers: softmaxes over the vocabulary, whole or in clusters, tied to the input's tables.

One class serves all: the standard softmax is one cluster with a bias; the adaptive softmax (Grave
et al. 2017a) and Transformer-XL's projected one (proj_adaptive_softmax.py) have a head over the
first cluster and one entry per further cluster, and a softmax within each of those.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from define.core.clusters import new_projections, new_tables
from define.core.embedding import DefineEmbedding
from define.core.inputs import MAPS, InputOutputConfig, cluster_layout
from define.core.unit import require_choice
from define.errors import InputError

IGNORED = -1
"""The target of a position that is not scored."""

CPU_ROWS = 192
"""Positions whose logits are computed at once on a CPU: few stay in its cache, many make products
fast. With 10,000 types 64 dimensions prefer 128 (by 2 percent), 256 and more prefer 256 (by 3)."""
LOGITS = 2**26
"""Logits that are computed at once on other devices."""


class OutputLayer(nn.Module):
    """Features -> probabilities of types; in float32 at least, under autocast too.

    A type's probability is that of its cluster's entry in the head times its own within the
    cluster. The logits of a cluster are computed only where a target lies in it, and for some rows
    at a time: `nll_sum`, which training uses, never holds V logits for every token of a batch, and
    neither does `nll` where no gradient is recorded.

    Shapes:
        features (..., dim), targets (...) -> nll_sum (); nll (...); log_probs (..., V).
        cluster_weight (clusters - 1, width of the first table), None for one cluster.

    Args:
        tables, edges: as in `ClusteredEmbedding`; parameters may be shared with one.
        projections: of the same; features are projected by their transposes.
        bias: whether types, and the clusters' entries in the head, have biases.
    """

    def __init__(
        self,
        tables: Iterable[nn.Parameter],
        projections: nn.ParameterDict,
        edges: list[int],
        bias: bool,
    ):
        super().__init__()
        self.tables, self.projections, self.edges = nn.ParameterList(tables), projections, edges
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
        nll = None
        with torch.autocast(features.device.type, enabled=False):
            for where, *cluster in self._clusters(features, flat):
                part = _nll(*cluster)
                nll = part if nll is None else nll.index_add(0, where, part)
        return nll.view(targets.shape)

    def nll_sum(self, features: Tensor, targets: Tensor) -> Tensor:
        """The sum of `nll`, in less time and memory, above all if a gradient is wanted.

        The gradient is computed along with the sum, part by part; it cannot be differentiated.
        """
        if not torch.is_grad_enabled():
            return self.nll(features, targets).sum()
        with torch.autocast(features.device.type, enabled=False):
            clusters = self._clusters(features, targets.flatten())
            return sum(_SummedNLL.apply(*cluster) for _, *cluster in clusters)

    def _clusters(self, features: Tensor, flat: Tensor) -> Iterator[tuple]:
        """Of each cluster: where its targets are, the features there, weight, bias, the targets.

        The first is the head, which has all positions, with a target in it for each.
        """
        x = _at_least_float32(features.reshape(-1, features.shape[-1]))
        head = flat.clone()
        for i in range(1, len(self.tables)):
            head[flat >= self.edges[i]] = self.edges[1] + i - 1
        yield None, self._projected(x, 0), *self._weight(0, x.dtype), head
        for i in range(1, len(self.tables)):
            where = (head == self.edges[1] + i - 1).nonzero().squeeze(1)
            own = flat[where] - self.edges[i]
            yield where, self._projected(x[where], i), *self._weight(i, x.dtype), own

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

    def _logits(self, x: Tensor, i: int) -> Tensor:
        return F.linear(self._projected(x, i), *self._weight(i, x.dtype))

    def _projected(self, x: Tensor, i: int) -> Tensor:
        return x @ self.projections[str(i)].to(x.dtype) if str(i) in self.projections else x

    def _weight(self, i: int, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of cluster i; the head's include its entries for the other clusters."""
        weight = self.tables[i]
        bias = None if self.bias is None else self.bias[self.edges[i] : self.edges[i + 1]]
        if i == 0 and self.cluster_weight is not None:
            weight = torch.cat([weight, self.cluster_weight])
            bias = None if bias is None else torch.cat([bias, self.cluster_bias])
        return weight.to(dtype), None if bias is None else bias.to(dtype)


def _nll(x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Negative log-likelihoods (P) for features (P, dim) and targets (P)."""
    rows = _rows(x, weight)
    parts = [
        F.cross_entropy(F.linear(part, weight, bias), own, ignore_index=IGNORED, reduction="none")
        for part, own in zip(x.split(rows), targets.split(rows), strict=True)
    ]
    return torch.cat(parts)


class _SummedNLL(torch.autograd.Function):
    """The sum of `_nll` of the same arguments; its gradient is computed in the forward pass."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        x_grad, weight_grad = torch.empty_like(x), torch.zeros_like(weight)
        bias_grad = None if bias is None else torch.zeros_like(bias)
        total = x.new_zeros(())
        rows = _rows(x, weight)
        buffer = x.new_empty(min(rows, len(x)), len(weight))  # new memory would cost page faults
        for part, own, part_grad in zip(
            x.split(rows), targets.split(rows), x_grad.split(rows), strict=True
        ):
            logits = torch.mm(part, weight.t(), out=buffer[: len(part)])
            if bias is not None:
                logits += bias
            logits -= logits.amax(1, keepdim=True)
            total += F.nll_loss(logits, own, ignore_index=IGNORED, reduction="sum")
            exp = logits.exp_()
            sums = exp.sum(1, keepdim=True)
            scored = (own != IGNORED).unsqueeze(1).to(x.dtype)
            total += (sums.log() * scored).sum()
            # The gradient of the logits is (exp - sums at the target) / sums; to multiply the
            # narrow operands of the products by 1 / sums is less work.
            exp.scatter_add_(1, own.clamp(min=0).unsqueeze(1), -sums)
            factor = scored / sums
            torch.mm(exp, weight, out=part_grad).mul_(factor)
            weight_grad.addmm_(exp.t(), part * factor)
            if bias is not None:
                bias_grad.addmv_(exp.t(), factor.squeeze(1))
        ctx.save_for_backward(x_grad, weight_grad, bias_grad)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        return *(None if g is None else g * upstream for g in ctx.saved_tensors), None


def _rows(x: Tensor, weight: Tensor) -> int:
    return CPU_ROWS if x.device.type == "cpu" else max(1, LOGITS // len(weight))


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
    )


def tables(layer: nn.Module) -> Iterable[nn.Parameter]:
    """The parameters with one row per type, of a map or of an output layer."""
    return [layer.weight] if isinstance(layer, nn.Embedding) else layer.tables


def projections(layer: nn.Module) -> Iterable[nn.Parameter]:
    """The projections of the clusters, of a map or of an output layer; a shared one once."""
    return [] if isinstance(layer, nn.Embedding) else dict.fromkeys(layer.projections.values())
