"""NT-ASGD: SGD that averages its iterates once the validation loss stops improving.

Source: Merity et al. 2018b, algorithm 1, as run by awd-lstm-lm (main.py): the condition is
`loss > min(history[:-nonmono])`; the preprint's text differs.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class NonMonotoneTrigger:
    """Fires when a validation loss exceeds the best of all but the last `nonmono` validations."""

    def __init__(self, nonmono: int = 5):
        self.nonmono = nonmono
        self.history: list[float] = []

    def observe(self, loss: float) -> bool:
        """Records a validation loss; returns whether the trigger fires."""
        older = self.history[: max(len(self.history) - self.nonmono, 0)]
        fired = bool(older) and loss > min(older)
        self.history.append(float(loss))
        return fired


class NTASGD(torch.optim.SGD):
    """SGD with weight decay; after `start_averaging`, also the running mean of the iterates.

    With t0 = 0 and lambd = 0 (the published recipe) this is `torch.optim.ASGD` except that a new
    learning rate takes effect at once (`torch.optim.ASGD` applies it one step late, so scaling by
    batch length would lag), and that every trained parameter is averaged. The mean starts at the
    second step after the switch in both.

    While `swapped`, the parameters hold the means and the optimizer state holds the raw values.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float = 0.0):
        super().__init__(params, lr, weight_decay=weight_decay, fused=True)
        self.averaging = False
        self.swapped = False
        self.averaged_steps = 0

    def start_averaging(self) -> None:
        """Starts averaging at the next step."""
        self.averaging = True

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        self.use_raw()
        loss = super().step(closure)
        if self.averaging:
            self.averaged_steps += 1
            self._average()
        return loss

    def _average(self) -> None:
        params = [p for group in self.param_groups for p in group["params"]]
        if self.averaged_steps <= 2:
            for p in params:
                self.state[p]["other"] = p.clone()
        else:
            means = [self.state[p]["other"] for p in params]
            torch._foreach_lerp_(means, params, 1 / (self.averaged_steps - 1))

    def use_averages(self) -> None:
        """Copies the means into the parameters; does nothing before averaging has begun."""
        if self.averaged_steps and not self.swapped:
            self._swap()

    def use_raw(self) -> None:
        """Restores the raw values."""
        if self.swapped:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                kept = self.state[p]["other"]
                value = p.clone()
                p.copy_(kept)
                kept.copy_(value)
        self.swapped = not self.swapped

    def state_dict(self) -> dict:
        return super().state_dict() | {
            "averaging": self.averaging,
            "swapped": self.swapped,
            "averaged_steps": self.averaged_steps,
        }

    def load_state_dict(self, state_dict: dict) -> None:
        own = dict(state_dict)
        self.averaging = own.pop("averaging")
        self.swapped = own.pop("swapped")
        self.averaged_steps = own.pop("averaged_steps")
        super().load_state_dict(own)
