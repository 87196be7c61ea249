"""A learning rate and a weight decay per part of the model, for any torch optimizer."""

import math
from collections.abc import Iterable
from dataclasses import field, make_dataclass
from typing import Any

from torch import Tensor, nn

from define.core.parts import PARTS
from define.errors import InputError

SCALED = {"lr": "learning rate", "weight_decay": "weight decay"}
"""The values that can have a factor per part."""

FactorFields = make_dataclass(
    "FactorFields",
    [
        (
            f"{name}_factor_{part}",
            float,
            field(default=1.0, metadata={"help": f"multiplies the {title} of the part {part!r}"}),
        )
        for name, title in SCALED.items()
        for part in PARTS
    ],
)
"""The optimizers' options: lr_factor_table, ..., weight_decay_factor_output; default 1.

A learning rate factor of 0 freezes the part; its gradients still count in the clipped norm."""


def require_factor(key: str, value: float) -> None:
    """Raises InputError unless the value is finite and at least 0."""
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{key} = {value} must be a finite number of at least 0")


def groups_by_part(cfg: FactorFields, params: Iterable[nn.Parameter]) -> list[Any]:
    """Parameters for a torch optimizer: a plain list if all factors are 1, otherwise groups.

    The first group is empty and has the base values; one group for each part of the model follows.
    Groups store their factors so that `ByPart` can rescale them.

    Args:
        cfg: also has `lr` and `weight_decay`.
        params: marked by `define.core.parts.mark_parts`; unmarked ones count as context.
    Raises:
        InputError: an invalid factor, or factors when no parameter is marked.
    """
    factors = {
        part: {f"{name}_factor": getattr(cfg, f"{name}_factor_{part}") for name in SCALED}
        for part in PARTS
    }
    for part, own in factors.items():
        for name, factor in own.items():
            require_factor(f"{name}_{part}", factor)
    params = list(params)
    changed = [
        f"{name}_{part} = {factor}"
        for part, own in factors.items()
        for name, factor in own.items()
        if factor != 1
    ]
    if not changed:
        return params
    if not any(hasattr(p, "param_group") for p in params):
        raise InputError(
            f"{changed[0]} needs parameters that are marked by part, but none is: only define's "
            f"models mark theirs, and fairseq's fp16 loses the marks (use task.autocast=bf16)"
        )
    by_part: dict[str, list[nn.Parameter]] = {part: [] for part in PARTS}
    for p in params:
        part = getattr(p, "param_group", None)
        by_part[part if part in by_part else "context"].append(p)
    base = {"lr": cfg.lr[0], "weight_decay": cfg.weight_decay}
    groups = [
        {
            "params": own,
            **factors[part],
            **{name: value * factors[part][f"{name}_factor"] for name, value in base.items()},
        }
        for part, own in by_part.items()
        if own
    ]
    return [{"params": []}, *groups]


class ByPart:
    """Mixin for a fairseq optimizer whose parameters come from `groups_by_part`.

    `get_lr` returns the exact base rate, that of the first group. `multiply_grads` and
    `clip_grad_norm` only record their factors; `step` applies the product in one pass. Until then,
    gradients are unscaled sums.
    """

    _factor: Tensor | float = 1.0

    def set_lr(self, lr: float) -> None:
        """Sets the base rate, and each part's rate to its factor times that."""
        self._set("lr", lr)

    def multiply_grads(self, c: Tensor | float) -> None:
        self._factor = self._factor * c

    def clip_grad_norm(self, max_norm: float, aggregate_norm_fn=None) -> Tensor:
        """Returns the norm of the scaled gradients before clipping."""
        norm = self._factor * super().clip_grad_norm(0, aggregate_norm_fn)
        if max_norm > 0:
            self._factor = self._factor * (max_norm / (norm + 1e-6)).clamp_(max=1)
        return norm

    def step(self, closure=None, scale: float = 1.0, groups=None) -> None:
        super().multiply_grads(self._factor / scale)
        self._factor = 1.0
        super().step(closure, groups=groups)

    def zero_grad(self) -> None:
        self._factor = 1.0
        super().zero_grad()

    def load_state_dict(self, state_dict: dict, optimizer_overrides: dict | None = None) -> None:
        # Checkpoints of other versions may lack options, and must not choose the implementation.
        defaults = self.optimizer.defaults
        fused = {"fused": defaults.get("fused")}
        groups = [defaults | group | fused for group in state_dict["param_groups"]]
        super().load_state_dict(state_dict | {"param_groups": groups}, optimizer_overrides)
        for name in SCALED.keys() & (optimizer_overrides or {}):
            self._set(name, optimizer_overrides[name])

    def _set(self, name: str, base: float) -> None:
        for group in self.param_groups:
            group[name] = base * group.get(f"{name}_factor", 1.0)
