"""Multi-head attention over relative positions (Transformer-XL, Dai et al. 2019, section 3.3).

The score of key j for query i is the sum of a content term (q_i + u) . k_j and a position term
(q_i + v) . r_(i - j), over sqrt(D), where r is a linear map of sinusoids of the distance i - j.
All layers of a model share u and v.

Shapes: T queries, M keys of memory, K = M + T keys, B streams, H heads of dimension D, model
dimension d. Query i is at position M + i, so key j is at distance M + i - j.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNELS = ("auto", "fused", "plain")
"""auto: plain with a gradient, fused without; the faster choice on a CPU."""


def sinusoids(
    num_keys: int, dim: int, clamp: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Encodings of the distances K - 1 down to -1: sines in the first half, cosines in the second.

    Every mask hides distance -1, the next token's, but `relative_shift` needs the column.

    Args:
        dim: d, even.
        clamp: largest distance that is distinguished; 0 or less for no limit.
    Shapes:
        -> (K + 1, d).
    """
    exact = torch.promote_types(dtype, torch.float32)
    distances = torch.arange(num_keys - 1, -2, -1, dtype=exact, device=device)
    if clamp > 0:
        distances = distances.clamp(max=clamp)
    angles = torch.outer(
        distances, 10_000 ** (torch.arange(0, dim, 2, dtype=exact, device=device) / -dim)
    )
    return torch.cat([angles.sin(), angles.cos()], dim=-1).to(dtype)


def attention_mask(
    num_queries: int, num_keys: int, window: int | None, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Added to the scores: 0 for the keys that a query sees, -inf for the others.

    A query sees itself and all earlier keys; with a window, the latest `window` of these.

    Args:
        window: at least 1, so that a query sees itself; None for no limit.
    Shapes:
        -> (T, K).
    """
    last = num_keys - num_queries
    hidden = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device).triu(last + 1)
    if window is not None:
        hidden |= torch.ones_like(hidden).tril(last - window)
    zeros = torch.zeros(num_queries, num_keys, dtype=dtype, device=device)
    return zeros.masked_fill(hidden, -math.inf)


def relative_shift(scores: Tensor) -> Tensor:
    """Turns scores by distance into scores by key, as a view.

    Column c of row i holds the score of distance K - 1 - c; key j's distance is K - T + i - j, so
    row i starts at column T - 1 - i. In memory, the shifted rows are K apart.

    Shapes:
        (..., T, K + 1), contiguous -> (..., T, K); keys after the query hold values of other rows.
    """
    num_queries, columns = scores.shape[-2:]
    by_key = scores.flatten(-2).narrow(-1, num_queries - 1, num_queries * (columns - 1))
    return by_key.unflatten(-1, (num_queries, columns - 1))


class RelativeAttention(nn.Module):
    """One layer's attention over its memory and input, including the output projection.

    Args:
        dim: d.
        dropout: of the attention probabilities.
        kernel: one of `KERNELS`; they differ by rounding and draw different dropout masks.
    Shapes:
        x (T, B, d), memory (M, B, d), positions (K + 1, d) from `sinusoids`, mask (T, K) from
        `attention_mask`, u and v (H, D) -> (T, B, d).
    """

    def __init__(self, dim: int, heads: int, head_dim: int, dropout: float, kernel: str = "auto"):
        super().__init__()
        self.heads, self.head_dim, self.dropout, self.kernel = heads, head_dim, dropout, kernel
        self.query = nn.Linear(dim, heads * head_dim, bias=False)
        self.key_value = nn.Linear(dim, 2 * heads * head_dim, bias=False)
        self.position = nn.Linear(dim, heads * head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(
        self, x: Tensor, memory: Tensor, positions: Tensor, mask: Tensor, u: Tensor, v: Tensor
    ) -> Tensor:
        num_queries, batch_size, _ = x.shape
        # q, k, values: (H, B, T or K, D); r: (H, K + 1, D)
        q = self._by_head(self.query(x)) * self.head_dim**-0.5
        keys_values = self.key_value(torch.cat([memory, x]))
        k, values = (self._by_head(part) for part in keys_values.chunk(2, dim=-1))
        r = self.position(positions).unflatten(-1, (self.heads, self.head_dim)).transpose(0, 1)
        u, v = (bias.to(q.dtype)[:, None, None] * self.head_dim**-0.5 for bias in (u, v))

        by_distance = torch.bmm((q + v).flatten(1, 2), r.transpose(1, 2))
        by_key = relative_shift(by_distance.unflatten(1, (batch_size, num_queries)))
        p = self.dropout if self.training else 0.0
        if self.kernel == "fused" or (self.kernel == "auto" and not by_key.requires_grad):
            bias = by_key + mask.to(by_key.dtype)
            y = F.scaled_dot_product_attention(q + u, k, values, bias, dropout_p=p, scale=1.0)
        else:
            scores = torch.baddbmm(
                by_key.flatten(0, 1), (q + u).flatten(0, 1), k.flatten(0, 1).transpose(1, 2)
            )
            scores = scores.unflatten(0, (self.heads, batch_size)) + mask.to(scores.dtype)
            y = F.dropout(scores.softmax(-1), p) @ values
        return self.out(y.permute(2, 1, 0, 3).flatten(2))

    def _by_head(self, x: Tensor) -> Tensor:
        """(T, B, H * D) -> (H, B, T, D), contiguous."""
        return x.unflatten(-1, (self.heads, self.head_dim)).permute(2, 1, 0, 3).contiguous()
