"""LayerNorm that computes in float32 even under autocast."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` computed in float32 or wider; the result has the input's dtype.

    For bfloat16 input, torch's CPU kernel sums the gradients of weight and bias in bfloat16: over
    1,620 rows they are off by 4 to 17 %.
    """

    def forward(self, x: Tensor) -> Tensor:
        exact = torch.promote_types(x.dtype, torch.float32)
        weight, bias = (None if p is None else p.to(exact) for p in (self.weight, self.bias))
        y = F.layer_norm(x.to(exact), self.normalized_shape, weight, bias, self.eps)
        return y.to(x.dtype)
