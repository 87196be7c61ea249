"""What a launcher hears of a task's training, and the precision that both tasks train in."""

from contextlib import AbstractContextManager, nullcontext

import torch

from define.errors import InputError

AUTOCAST = {"none": None, "bf16": torch.bfloat16}
AUTOCAST_HELP = "none or bf16: precision of the context model's products"


def check_autocast(name: str) -> None:
    """Raises InputError unless `name` is a key of `AUTOCAST`."""
    if name not in AUTOCAST:
        raise InputError(f"task.autocast = {name!r} is unknown; take none or bf16")


def autocast(name: str, device: str) -> AbstractContextManager:
    """The context in which products on `device` have the precision `name`."""
    dtype = AUTOCAST[name]
    return nullcontext() if dtype is None else torch.autocast(device, dtype)


class Observer:
    """What a launcher may want to hear of; the default hears nothing."""

    def optimized_by(self, path: str) -> None:
        """Before training: the optimizer's steps are "fused", "foreach" or torch's "default"."""

    def begin(self) -> None:
        """Before the first batch of an epoch, or of the rest of one."""

    def updated(self, update: int, tokens: int, lr: float, nll: torch.Tensor | float) -> None:
        """After every optimizer step, with its number (from 1) and the tokens it scored.

        `lr` is the scheduler's, before `scale_lr_by_length`; `nll` is the sum over these tokens in
        nats, as a tensor still on the device: `float` of it waits for the GPU.
        """

    def validated(self, epoch: int, stats: dict, averaged: bool) -> None:
        """After a validation in `epoch` (from 1), with fairseq's statistics of it (losses base 2).

        `averaged` says whether it was of the averaged weights.
        """


class Observed:
    """A task that tells its observer; fairseq builds the task, so all share one observer."""

    observer = Observer()
