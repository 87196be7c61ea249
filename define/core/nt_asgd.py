"""NT-ASGD: SGD that starts to average its iterates once validation stops improving.

Source: Merity et al. 2018b, algorithm 1, as run by awd-lstm-lm (main.py): the condition is
`loss > min(history[:-nonmono])`; the preprint's text differs.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class NonMonotoneTrigger:
    """Fires when a validation loss exceeds the best of all but the last `nonmono` validations."""

    def __init__(self, nonmono: int = 5):
        self.nonmono = nonmono
        self.history: list[float] = []

    def observe(self, loss: float) -> bool:
        """Notes a validation loss; returns whether it fires."""
        older = self.history[: max(len(self.history) - self.nonmono, 0)]
        fired = bool(older) and loss > min(older)
        self.history.append(float(loss))
        return fired


class NTASGD(torch.optim.SGD):
    """SGD with weight decay; after `start_averaging`, also the running mean of the iterates.

    With t0 = 0 and lambd = 0 (the published recipe) this is `torch.optim.ASGD` but for two things:
    a learning rate holds for the step it is set for, where `torch.optim.ASGD` applies it one step
    late (the per-batch scaling by length would lag); and every trained parameter is averaged.
    As there, the mean starts at the second step after the switch.

    While `swapped`, the parameters hold the means and the optimizer keeps the raw values.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float = 0.0):
        super().__init__(params, lr, weight_decay=weight_decay, fused=True)
        self.averaging = False
        self.swapped = False
        self.averaged_steps = 0

    def start_averaging(self) -> None:
        """Averages from the next step on."""
        self.averaging = True

    @torch.no_grad()
    def step(self, closure=None):
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
        """Puts the means in the parameters (no effect before averaging has begun)."""
        if self.averaged_steps and not self.swapped:
            self._swap()

    def use_raw(self) -> None:
        """Puts the raw values back."""
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
