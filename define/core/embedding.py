"""The DeFINE embedding layer: a map from tokens to e_i, and a unit from e_i to e_o."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROWS = 128
"""The unit computes a multiple of so many rows: memory for every other size would be kept."""


class DefineEmbedding(nn.Module):
    """Tokens -> e_o; stands wherever an `nn.Embedding` stands.

    Shapes:
        tokens (...) of integers -> (..., embedding_dim).

    Args:
        map: tokens (...) -> e_i (..., n); has `num_embeddings` and `embedding_dim`.
        unit: e_i -> e_o, a function of one token alone; None passes e_i on.
        output_dim: dimension of e_o.
        per_position: run the unit for every position instead of once per distinct token of the
            batch, padded to a multiple of `ROWS`. Outputs and gradients are the same but for
            dropout inside the unit, which is drawn per position instead of per distinct token.
        padding_idx: a token whose e_o is zero and which gets no gradient.
        scale: factor on e_i (Transformer-XL and fairseq take the root of its dimension).
    """

    def __init__(
        self,
        map: nn.Module,
        unit: nn.Module | None,
        output_dim: int,
        per_position: bool = False,
        padding_idx: int | None = None,
        scale: float = 1.0,
    ):
        super().__init__()
        self.map, self.unit = map, unit
        self.num_embeddings, self.embedding_dim = map.num_embeddings, output_dim
        self.per_position, self.padding_idx, self.scale = per_position, padding_idx, scale
        self._table: Tensor | None = None
        self._table_key: tuple = ()

    def forward(self, tokens: Tensor) -> Tensor:
        if self.cached:
            return F.embedding(tokens, self._table)
        if self.unit is None or self.per_position:
            return self._embed(tokens)
        distinct, where = torch.unique(tokens, return_inverse=True)
        distinct = F.pad(distinct, (0, -len(distinct) % ROWS))  # rows that nothing reads
        return F.embedding(where, self._embed(distinct))

    def _embed(self, tokens: Tensor) -> Tensor:
        e_o = e_i = self.map(tokens)
        if self.scale != 1:
            e_o = e_o * self.scale
        if self.unit is not None:
            # In bfloat16, which autocast makes, neither the gradients of a token's positions nor
            # what the context model adds to e_o may be summed.
            e_o = self.unit(e_o).to(e_i.dtype)
        if self.padding_idx is not None:
            e_o = e_o.masked_fill((tokens == self.padding_idx).unsqueeze(-1), 0.0)
        return e_o

    @torch.no_grad()
    def cache(self, chunk: int = 4096) -> Tensor:
        """Folds map and unit into one (V, embedding_dim) table, used until training resumes.

        The fold is dropped by `train()` and by any change of a parameter that autograd can see, a
        loaded state dict included (fused optimizers and writes through `.data` are not seen: call
        `train()` before those). It passes no gradient on. The module is put into evaluation mode.

        Args:
            chunk: tokens computed at a time, which bounds the memory.
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
        """Whether a fold is there and still that of the present parameters."""
        if self._table is not None and (self.training or self._table_key != self._parameters_key()):
            self._table = None
        return self._table is not None

    def _parameters_key(self) -> tuple:
        return tuple((p.data_ptr(), p._version, p.dtype) for p in self.parameters())

    def train(self, mode: bool = True) -> "DefineEmbedding":
        if mode:
            self._table = None
        return super().train(mode)

    def _apply(self, fn, recurse: bool = True) -> "DefineEmbedding":
        self._table = None  # a parameter moved or cast may come to lie where the old one lay
        return super()._apply(fn, recurse)
