"""Token tables split into clusters of types by frequency.

Adaptive input (Baevski & Auli 2019; fairseq, modules/adaptive_input.py) uses narrower tables for
rarer clusters. Transformer-XL's projective embedding (mem_transformer.py, div_val 1) uses one width
n and projects it to the model's. Types must be sorted by frequency.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from define.errors import InputError


def cluster_edges(num_types: int, cutoffs: Sequence[int]) -> list[int]:
    """The clusters' edges: [0, *cutoffs, V].

    Raises:
        InputError: the cutoffs do not increase strictly between 0 and V.
    """
    edges = [0, *cutoffs, num_types]
    if any(low >= high for low, high in zip(edges, edges[1:], strict=False)):
        raise InputError(
            f"model.cutoffs = {list(cutoffs)} must increase and lie between 0 and the vocabulary's "
            f"{num_types} types"
        )
    return edges


def new_tables(edges: Sequence[int], widths: Sequence[int]) -> nn.ParameterList:
    """One table (size, width) per cluster, drawn from N(0, 1 / width) (fairseq, as above)."""
    sizes = [high - low for low, high in zip(edges, edges[1:], strict=False)]
    return nn.ParameterList(
        nn.init.normal_(torch.empty(size, width), std=width**-0.5)
        for size, width in zip(sizes, widths, strict=True)
    )


def new_projections(widths: Sequence[int], dim: int, one: bool = False) -> nn.ParameterDict:
    """A bias-free, Xavier-uniform projection (dim, width) for each cluster with width != dim.

    Args:
        one: all clusters, which then have the same width, share one parameter.
    """
    projections = {
        str(i): nn.Parameter(nn.init.xavier_uniform_(torch.empty(dim, width)))
        for i, width in enumerate(widths)
        if width != dim
    }
    if one and projections:
        projections = dict.fromkeys(projections, projections["0"])
    return nn.ParameterDict(projections)


class ClusteredEmbedding(nn.Module):
    """Tokens -> rows of their cluster's table, projected to one common dimension.

    Shapes:
        tokens (...) of integers -> (..., embedding_dim).
        tables[i] (size_i, width_i); projections[str(i)] (embedding_dim, width_i), absent where
        width_i = embedding_dim.

    Args:
        edges: the clusters' edges, from `cluster_edges`.
        widths: width of each cluster's table.
        dim: dimension of the result.
        one_projection: all clusters share one projection; their widths must be equal.
    """

    def __init__(
        self, edges: Sequence[int], widths: Sequence[int], dim: int, one_projection: bool = False
    ):
        super().__init__()
        self.num_embeddings, self.embedding_dim = edges[-1], dim
        self.edges = list(edges)
        self.tables = new_tables(edges, widths)
        self.projections = new_projections(widths, dim, one_projection)

    def forward(self, tokens: Tensor) -> Tensor:
        flat = tokens.flatten()
        wheres, parts = [], []
        for i, table in enumerate(self.tables):
            low, high = self.edges[i], self.edges[i + 1]
            where = ((flat >= low) & (flat < high)).nonzero().squeeze(1)
            part = F.embedding(flat[where] - low, table)
            if str(i) in self.projections:
                part = F.linear(part, self.projections[str(i)])
            wheres.append(where)
            parts.append(part.to(table.dtype))  # projected under autocast, looked up without
        rows = torch.cat(parts)[torch.cat(wheres).argsort()]
        return rows.view(*tokens.shape, self.embedding_dim)
