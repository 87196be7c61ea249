"""Output layers: softmaxes over the vocabulary, optionally in clusters and tied to the input.

One class covers all of them. The standard softmax is one cluster with a bias. The adaptive softmax
(Grave et al. 2017a) and Transformer-XL's projected one (proj_adaptive_softmax.py) have a head over
the first cluster plus one entry for each further cluster, and a softmax within each of those.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from define.core.clusters import ClusteredEmbedding, new_projections, new_tables
from define.core.embedding import DefineEmbedding
from define.core.inputs import MAPS, InputOutputConfig, cluster_layout
from define.core.unit import require_choice
from define.errors import InputError

IGNORED = -1
"""The target of a position that is not scored."""

CPU_ROWS = 192
"""Positions per block of logits on a CPU: small blocks fit the cache, large ones multiply faster.

With 10,000 types, 64 dimensions are 2 % faster with 128, 256 and more are 3 % faster with 256."""
LOGITS = 2**26
"""Logits per block on other devices."""


class OutputLayer(nn.Module):
    """Features -> probabilities of types, in float32 or wider even under autocast.

    A type's probability is that of its cluster's entry in the head times its own within the
    cluster. A cluster's logits are computed only for targets in that cluster, in blocks of rows. So
    `nll_sum` (for training) never stores V logits for every token, nor `nll` without a gradient.

    Shapes:
        features (..., dim), targets (...) -> nll_sum (); nll (...); log_probs (..., V).
        cluster_weight (clusters - 1, width of the first table), None for one cluster.

    Args:
        tables, edges: see `ClusteredEmbedding`, with which parameters may be shared.
        projections: also from there; their transposes project the features.
        bias: whether types and the clusters' entries in the head have biases.
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
        self.cluster_weight: nn.Parameter | None = None
        self.cluster_bias: nn.Parameter | None = None
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
            clusters = self._clusters(features, flat)
            _, *head = next(clusters)
            nll = _nll(*head)
            for where, *cluster in clusters:
                nll = nll.index_add(0, where, _nll(*cluster))
        return nll.view(targets.shape)

    def nll_sum(self, features: Tensor, targets: Tensor) -> Tensor:
        """The sum of `nll`, in less time and memory, especially with a gradient.

        The gradient is computed along with the sum, block by block, and is not differentiable.
        """
        if not torch.is_grad_enabled():
            return self.nll(features, targets).sum()
        with torch.autocast(features.device.type, enabled=False):
            clusters = self._clusters(features, targets.flatten())
            return sum(_SummedNLL.apply(*cluster)[0] for _, *cluster in clusters)

    def _clusters(self, features: Tensor, flat: Tensor) -> Iterator[tuple]:
        """For each cluster: positions of its targets, the features there, weight, bias, targets.

        The head comes first; it covers all positions, so its positions are None.
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
        """Weight and bias of cluster i; those of the head include the other clusters' entries."""
        weight = self.tables[i]
        bias = None if self.bias is None else self.bias[self.edges[i] : self.edges[i + 1]]
        if i == 0 and self.cluster_weight is not None:
            weight = torch.cat([weight, self.cluster_weight])
            if bias is not None and self.cluster_bias is not None:
                bias = torch.cat([bias, self.cluster_bias])
        return weight.to(dtype), None if bias is None else bias.to(dtype)


def _nll(x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Negative log-likelihoods (P) of targets (P) given features (P, dim)."""
    rows = _rows(x, weight)
    parts = [
        F.cross_entropy(F.linear(part, weight, bias), own, ignore_index=IGNORED, reduction="none")
        for part, own in zip(x.split(rows), targets.split(rows), strict=True)
    ]
    return torch.cat(parts)


def smoothed_nll_sums(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    smoothing: float = 0.0,
    ignored: int = IGNORED,
) -> tuple[Tensor, Tensor]:
    """The sums of the smoothed loss and of the negative log-likelihood, which has no gradient.

    The smoothed distribution has 1 - smoothing at the target and the rest evenly at the other
    types, as in fairseq's label_smoothed_cross_entropy. V logits are stored for a block of
    positions at a time, in float32 or wider even under autocast.

    Shapes:
        features (..., dim), weight (V, dim), bias (V), targets (...) -> (), ().
    """
    with torch.autocast(features.device.type, enabled=False):
        x = _at_least_float32(features.reshape(-1, features.shape[-1]))
        bias = None if bias is None else bias.to(x.dtype)
        options = ignored, smoothing, torch.is_grad_enabled()
        return _SummedNLL.apply(x, weight.to(x.dtype), bias, targets.flatten(), *options)


class _SummedNLL(torch.autograd.Function):
    """The sums of `smoothed_nll_sums`; computes the gradient in the forward pass if need be."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        ignored: int = IGNORED,
        smoothing: float = 0.0,
        with_gradient: bool = True,
    ) -> tuple[Tensor, Tensor]:
        x_grad = torch.empty_like(x)
        weight_grad = torch.zeros_like(weight) if with_gradient else None
        bias_grad = torch.zeros_like(bias) if with_gradient and bias is not None else None
        # The smoothed distribution is `share` at every type and `rest` more at the target.
        share = smoothing / (len(weight) - 1) if smoothing else 0.0
        rest = 1 - smoothing - share
        nll, even = x.new_zeros(()), x.new_zeros(())
        rows = _rows(x, weight)
        buffer = x.new_empty(min(rows, len(x)), len(weight))  # allocating anew costs page faults
        for part, own, part_grad in zip(
            x.split(rows), targets.split(rows), x_grad.split(rows), strict=True
        ):
            logits = torch.mm(part, weight.t(), out=buffer[: len(part)])
            if bias is not None:
                logits += bias
            logits -= logits.amax(1, keepdim=True)
            scored = (own != ignored).unsqueeze(1).to(x.dtype)
            nll += F.nll_loss(logits, own, ignore_index=ignored, reduction="sum")
            if share:
                even -= (logits.sum(1, keepdim=True) * scored).sum()
            exp = logits.exp_()
            sums = exp.sum(1, keepdim=True)
            log_sums = (sums.log() * scored).sum()
            nll += log_sums
            if share:
                even += len(weight) * log_sums
            if weight_grad is None:
                continue
            # The gradient of the logits is (exp - rest * sums at the target) / sums - share; it is
            # cheaper to multiply the narrow operands of the products by 1 / sums.
            exp.scatter_add_(1, own.clamp(min=0).unsqueeze(1), -rest * sums)
            factor = scored / sums
            torch.mm(exp, weight, out=part_grad).mul_(factor)
            weight_grad.addmm_(exp.t(), part * factor)
            if bias_grad is not None:
                bias_grad.addmv_(exp.t(), factor.squeeze(1))
        if share and weight_grad is not None:
            scored = (targets != ignored).to(x.dtype)
            x_grad.addr_(scored, weight.sum(0), alpha=-share)
            weight_grad -= share * (scored @ x)
            if bias_grad is not None:
                bias_grad -= share * scored.sum()
        ctx.save_for_backward(x_grad, weight_grad, bias_grad)
        ctx.mark_non_differentiable(nll)
        return (rest * nll + share * even if share else nll.clone()), nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        gradients = (None if g is None else g * upstream for g in ctx.saved_tensors)
        return *gradients, None, None, None, None


def _rows(x: Tensor, weight: Tensor) -> int:
    return CPU_ROWS if x.device.type == "cpu" else max(1, LOGITS // len(weight))


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def build_output(config: InputOutputConfig, embedding: DefineEmbedding, dim: int) -> OutputLayer:
    """Builds the output layer of a model whose input layer is `embedding`.

    Args:
        dim: width of the features that it reads.
    Raises:
        InputError: the input layer cannot be tied as requested.
    """
    require_choice("model.output", config.output, MAPS)
    edges, widths = cluster_layout(config, config.output, embedding.num_embeddings)
    if config.tie_tables and config.output != config.map:
        raise InputError(
            f"model.output = {config.output} cannot share the tables of model.map = {config.map}; "
            f"set both to the same kind, or model.tie_tables=false"
        )
    if config.output == "standard":
        if config.tie_tables and dim != config.map_dim:
            raise InputError(
                f"the output layer reads {dim} dimensions, but the table that it shares has "
                f"model.map_dim = {config.map_dim}; set model.map_dim={dim}, or "
                f"model.tie_tables=false"
            )
        widths = [dim]
    needs_projections = any(width != dim for width in widths)
    has_projections = config.projections != "none"
    shares_projections = config.tie_projections and needs_projections and has_projections
    if shares_projections and (config.output != config.map or dim != config.mapped_dim):
        raise InputError(
            f"the output layer (model.output = {config.output}) reads {dim} dimensions and cannot "
            f"share the projections of model.map = {config.map} to {config.mapped_dim} dimensions; "
            f"make both the same, or set model.tie_projections=false"
        )
    input_projections = getattr(embedding.map, "projections", nn.ParameterDict())
    output_tables = list(tables(embedding.map)) if config.tie_tables else new_tables(edges, widths)
    if not shares_projections:
        output_projections = new_projections(widths, dim)
    elif config.projections == "one":
        output_projections = input_projections | new_projections(widths[:1], dim)
    else:
        output_projections = input_projections
    return OutputLayer(
        output_tables,
        output_projections,
        edges,
        bias=config.output != "adaptive",  # as in the sources: fairseq's has none, the others do
    )


def tables(
    layer: nn.Embedding | ClusteredEmbedding | OutputLayer,
) -> Iterable[nn.Parameter]:
    """The parameters with one row per type, of a map or an output layer."""
    return layer.parameters() if isinstance(layer, nn.Embedding) else layer.tables


def projections(
    layer: nn.Embedding | ClusteredEmbedding | OutputLayer,
) -> Iterable[nn.Parameter]:
    """The clusters' projections, of a map or an output layer; a shared one appears once."""
    return [] if isinstance(layer, nn.Embedding) else dict.fromkeys(layer.projections.values())
