"""A learning rate and a weight decay per part of the model, for any optimizer of torch's kind."""

import math
from collections.abc import Iterable
from dataclasses import field, make_dataclass
from typing import Any

from torch import Tensor, nn

from define.core.parts import PARTS
from define.errors import InputError

SCALED = {"lr": "learning rate", "weight_decay": "weight decay"}
"""What a part may have a factor on."""

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
"""The optimizers' options: lr_factor_table, ..., weight_decay_factor_output; 1 by default.

A factor of 0 freezes the part; its gradients still count in the global norm that is clipped."""


def require_factor(key: str, value: float) -> None:
    """Raises InputError unless the value is finite and at least 0."""
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{key} = {value} must be a finite number of at least 0")


def groups_by_part(cfg: FactorFields, params: Iterable[nn.Parameter]) -> list[Any]:
    """What to give a torch optimizer: the parameters alone if all factors are 1, else groups.

    An empty group comes first, which has the base values; then one group per part that the model
    has. They keep their factors, so that `ByPart` can scale them anew.

    Args:
        cfg: also has `lr` and `weight_decay`.
        params: marked by `define.core.parts.mark_parts`; one without a mark counts as context.
    Raises:
        InputError: a bad factor, or factors for parameters of which none is marked.
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
            f"{changed[0]} needs parameters that are marked by part, but none is: fairseq's fp16 "
            f"flattens them (take task.autocast=bf16 instead), and only define's models mark theirs"
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
    """Sets rates of a fairseq optimizer, the next base class, that was given `groups_by_part`.

    `get_lr` gives the base rate, exactly: it is that of the first group. `multiply_grads` and
    `clip_grad_norm` only note their factors, whose product `step` applies in one pass; until then,
    gradients are the raw sums.
    """

    _factor: Tensor | float = 1.0

    def set_lr(self, lr: float) -> None:
        """Sets the base rate, and every part's to its factor times that."""
        self._set("lr", lr)

    def multiply_grads(self, c: Tensor | float) -> None:
        self._factor = self._factor * c

    def clip_grad_norm(self, max_norm: float, aggregate_norm_fn=None) -> Tensor:
        """Returns the norm of the scaled gradients, before they are clipped."""
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
        # A checkpoint of other versions may lack options; how to compute a step is none of them.
        defaults = self.optimizer.defaults
        fused = {"fused": defaults.get("fused")}
        groups = [defaults | group | fused for group in state_dict["param_groups"]]
        super().load_state_dict(state_dict | {"param_groups": groups}, optimizer_overrides)
        for name in SCALED.keys() & (optimizer_overrides or {}):
            self._set(name, optimizer_overrides[name])

    def _set(self, name: str, base: float) -> None:
        for group in self.param_groups:
            group[name] = base * group.get(f"{name}_factor", 1.0)
