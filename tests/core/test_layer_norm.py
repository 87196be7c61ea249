"""LayerNorm: torch's own in float32 and above, and exact sums for bfloat16."""

import pytest
import torch
from torch import nn

from define.core.layer_norm import LayerNorm


def outputs_and_gradients(norm: nn.LayerNorm, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    y = norm(x)
    # Means that are not zero, so that the sums grow with the rows.
    upstream = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype).view_as(y)
    return y, *torch.autograd.grad(y, [x, *norm.parameters()], upstream)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_torchs_to_the_bit_and_has_its_parameters(dtype, affine, randomise):
    ours = LayerNorm(6, elementwise_affine=affine).to(dtype)
    randomise(ours)
    theirs = nn.LayerNorm(6, elementwise_affine=affine).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(5, 3, 6, dtype=dtype, requires_grad=True)
    for mine, other in zip(
        outputs_and_gradients(ours, x), outputs_and_gradients(theirs, x), strict=True
    ):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("parameters", [torch.float32, torch.bfloat16])
def test_gradients_of_many_bfloat16_rows_are_those_of_float64(parameters, randomise):
    norm = LayerNorm(16)
    randomise(norm)
    norm.to(parameters)
    x = torch.randn(4000, 16).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = outputs_and_gradients(norm, x)
    assert [t.dtype for t in found] == [torch.bfloat16] * 2 + [parameters] * 2
    exact = outputs_and_gradients(norm.double(), x.detach().double().requires_grad_())
    for mine, expected in zip(found, exact, strict=True):
        assert (mine.double() - expected).norm() < 0.004 * expected.norm()  # bfloat16's rounding
