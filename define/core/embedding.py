"""The DeFINE embedding layer: a map from tokens to e_i, and a unit from e_i to e_o."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from define.core.clusters import ClusteredEmbedding

ROWS = 128
"""The unit computes a multiple of this many rows; torch would cache memory for every other size."""


class DefineEmbedding(nn.Module):
    """Tokens -> e_o; a drop-in replacement for `nn.Embedding`.

    Shapes:
        tokens (...) of integers -> (..., embedding_dim).

    Args:
        map: tokens (...) -> e_i (..., n).
        unit: e_i -> e_o, a function of one token alone, with `out_features` (of a sequence: that of
            its last module); None returns e_i.
        per_position: run the unit for every position instead of once per distinct token of the
            batch (padded to a multiple of `ROWS`). Outputs and gradients are the same except for
            dropout inside the unit, which is then drawn per position.
        padding_idx: a token whose e_o is zero and which gets no gradient.
        scale: factor on e_i (Transformer-XL and fairseq use the square root of its dimension).
    """

    def __init__(
        self,
        map: nn.Embedding | ClusteredEmbedding,
        unit: nn.Module | None,
        *,
        per_position: bool = False,
        padding_idx: int | None = None,
        scale: float = 1.0,
    ):
        super().__init__()
        self.map, self.unit = map, unit
        self.num_embeddings = map.num_embeddings
        last = unit[-1] if isinstance(unit, nn.Sequential) else unit
        self.embedding_dim = map.embedding_dim
        if last is not None:
            self.embedding_dim = last.out_features  # type: ignore[assignment]  # an int by contract
        self.per_position, self.padding_idx, self.scale = per_position, padding_idx, scale
        self._table: Tensor | None = None
        self._table_key: tuple = ()

    def forward(self, tokens: Tensor) -> Tensor:
        if self.cached and self._table is not None:
            return F.embedding(tokens, self._table)
        if self.unit is None or self.per_position:
            return self._embed(tokens)
        distinct, where = torch.unique(tokens, return_inverse=True)
        distinct = F.pad(distinct, (0, -len(distinct) % ROWS))  # the padding is never read
        return F.embedding(where, self._embed(distinct))

    def _embed(self, tokens: Tensor) -> Tensor:
        e_o = e_i = self.map(tokens)
        if self.scale != 1:
            e_o = e_o * self.scale
        if self.unit is not None:
            # bfloat16, autocast's type, is too coarse for the sums that follow: the gradients of a
            # token's positions, and what the context model adds to e_o.
            e_o = self.unit(e_o).to(e_i.dtype)
        if self.padding_idx is not None:
            e_o = e_o.masked_fill((tokens == self.padding_idx).unsqueeze(-1), 0.0)
        return e_o

    @torch.no_grad()
    def cache(self, chunk: int = 4096) -> Tensor:
        """Folds map and unit into one (V, embedding_dim) table, used until training resumes.

        `train()` drops the table, and so does any change of a parameter that autograd sees,
        including a loaded state dict. Fused optimizers and writes through `.data` go unseen: call
        `train()` before those. The table passes on no gradient. Switches to evaluation mode.

        Args:
            chunk: tokens computed at a time, which limits the memory.
        Returns:
            the table.
        """
        self.eval()
        device = next(self.parameters()).device
        tokens = torch.arange(self.num_embeddings, device=device)
        self._table = torch.cat([self._embed(part) for part in tokens.split(chunk)])
        self._table_key = self._parameters_key()
        return self._table

    @property
    def cached(self) -> bool:
        """Whether there is a table and the parameters have not changed since it was computed."""
        if self._table is not None and (self.training or self._table_key != self._parameters_key()):
            self._table = None
        return self._table is not None

    def _parameters_key(self) -> tuple:
        return tuple((p.data_ptr(), p._version, p.dtype) for p in self.parameters())

    def train(self, mode: bool = True) -> "DefineEmbedding":
        if mode:
            self._table = None
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "DefineEmbedding":
        self._table = None  # a moved or cast parameter may reuse the address of the old one
        return super()._apply(fn, recurse)
