"""Group linear transformation (GLT): a linear map per contiguous group of features."""

import math

import torch
from torch import Tensor, nn

from define.errors import InputError


def require_divisible(name: str, value: int, groups: int, groups_key: str = "groups") -> None:
    """Raises InputError unless `value` features split into `groups` equal groups."""
    if groups < 1 or value < 1 or value % groups:
        raise InputError(
            f"{name} = {value} cannot be split into {groups} equal groups; "
            f"use a multiple of {groups} or a smaller {groups_key}"
        )


class GroupLinear(nn.Module):
    """Splits the features into g groups, maps each by its own matrix, concatenates the results.

    It has in_features * out_features / groups weights; g = 1 is a linear layer (paper, section
    3.1). With `share`, all groups use one matrix (one reading of appendix A.1), and the number of
    weights is divided by g again.

    Shapes:
        input (..., in_features), output (..., out_features).
    Raises:
        InputError: a width that cannot be split into so many groups.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        groups: int = 1,
        bias: bool = False,
        share: bool = False,
    ):
        super().__init__()
        require_divisible("in_features", in_features, groups)
        require_divisible("out_features", out_features, groups)
        self.in_features, self.out_features, self.groups = in_features, out_features, groups
        self.weight = nn.Parameter(
            torch.empty(1 if share else groups, in_features // groups, out_features // groups)
        )
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weights Xavier-uniformly in each group, as the authors' later code; bias 0."""
        _, fan_in, fan_out = self.weight.shape
        bound = math.sqrt(6 / (fan_in + fan_out))
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.groups == 1:
            return nn.functional.linear(x, self.weight[0].t(), self.bias)
        x_gPi = x.reshape(-1, self.groups, self.weight.shape[1]).transpose(0, 1)
        y_Pgo = torch.bmm(x_gPi, self.weight.expand(self.groups, -1, -1)).transpose(0, 1)
        y = y_Pgo.reshape(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"groups={self.groups}, bias={self.bias is not None}"
        )


def shuffle_features(x: Tensor, groups: int) -> Tensor:
    """Spreads every group's features over all groups (the shuffle of Table 4a's "GLT + shuffle").

    Feature j of group i becomes feature i of the j-th run: a transpose of (groups, width / groups).

    Shapes:
        input and output (..., width).
    """
    grouped = x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)
    return grouped.transpose(-1, -2).reshape(x.shape)
