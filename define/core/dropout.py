"""The variational dropouts of AWD-LSTM (Merity et al. 2018b): one mask for a whole sequence."""

import torch
from torch import Tensor
from torch.nn import functional as F


def locked_dropout(x_TBF: Tensor, p: float, training: bool) -> Tensor:
    """Drops features with one mask per stream, the same at every time step."""
    if not training or p == 0:
        return x_TBF
    return x_TBF * F.dropout(x_TBF.new_ones(1, *x_TBF.shape[1:]), p)


def word_dropout_mask(tokens: Tensor, num_types: int, p: float) -> Tensor:
    """A factor per position that drops whole types: 0 for a dropped word, else 1 / (1 - p).

    Shapes:
        tokens (...) -> (..., 1), in float32.
    """
    kept_V = F.dropout(torch.ones(num_types, device=tokens.device), p)
    return kept_V[tokens].unsqueeze(-1)
