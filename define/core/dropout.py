"""Dropout, and AWD-LSTM's variational dropouts (Merity et al. 2018b) with one mask per sequence."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """`F.dropout`; on a CPU, where Bernoulli draws are slow, each element uses 16 random bits.

    On a CPU, p is rounded to a multiple of 2**-16; kept elements are scaled by 1 / (1 - p).
    """
    if not training or p == 0 or x.device.type != "cpu":
        return F.dropout(x, p, training)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    dropped = min(round(p * 2**16), 2**16 - 1)  # of the 2**16 values of an int16
    kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - 2**15
    return x * kept.to(x.dtype).mul_(1 / (1 - p))


class Dropout(nn.Dropout):
    """`nn.Dropout` that uses `dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)


def locked_dropout(x_TBF: Tensor, p: float, training: bool) -> Tensor:
    """Drops features with one mask per stream, used at every time step."""
    if not training or p == 0:
        return x_TBF
    return x_TBF * dropout(x_TBF.new_ones(1, *x_TBF.shape[1:]), p)


def word_dropout_mask(tokens: Tensor, num_types: int, p: float) -> Tensor:
    """Factors that drop whole word types: 0 for a dropped word, 1 / (1 - p) for the others.

    Shapes:
        tokens (...) -> (..., 1), in float32.
    """
    kept_V = dropout(torch.ones(num_types, device=tokens.device), p)
    return kept_V[tokens].unsqueeze(-1)
