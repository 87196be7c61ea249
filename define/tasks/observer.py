"""What a launcher hears of a task's training, and the precision that both tasks train in."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from define.errors import InputError

AUTOCAST = {"none": None, "bf16": torch.bfloat16}
BF16_ON_CPU = {"define_transformer_xl": 96, "define_transformer": 512}
"""Model -> the least model_dim at which bf16 was measured to be faster on a CPU.

Time of an update in float32 over that in bf16, at mini scale and at the paper's sizes with small
batches (one thread of a busy Intel Xeon with AMX, CPU time, medians of 2 to 60 updates):
Transformer-XL 1.20 and 1.15, the Transformer 0.66 and 1.81, the LSTM of Table 1a 1.04 and 0.77,
AWD-LSTM 1.08 and 1.25. On an AMD EPYC the two LSTMs were slower: 0.82 and 0.89.
"""
AUTOCAST_HELP = "precision of products: none, bf16, or (`define` alone knows) auto, the faster one"


def check_autocast(name: str) -> None:
    """Raises InputError unless `name` is a key of `AUTOCAST`."""
    if name not in AUTOCAST:
        raise InputError(
            f"task.autocast = {name!r} is unknown; take none or bf16, or with `define` auto"
        )


def faster_autocast(model: Mapping[str, Any], cpu: bool) -> str:
    """What task.autocast=auto stands for: the precision in which a model trains faster here.

    Args:
        model: a config's `model` section.
        cpu: whether it trains on the processor even if there is a GPU.
    """
    if torch.cuda.is_available() and not cpu:
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "none"
    width = BF16_ON_CPU.get(model["_name"])
    # Processors without these instructions emulate bfloat16.
    fast = width and model["model_dim"] >= width and torch.cpu._is_avx512_bf16_supported()
    return "bf16" if fast else "none"


def autocast(name: str, device: str) -> AbstractContextManager:
    """The context in which products on `device` have the precision `name`."""
    dtype = AUTOCAST[name]
    return nullcontext() if dtype is None else torch.autocast(device, dtype)


class Observer:
    """What a launcher may want to hear of; the default hears nothing."""

    corpus = None
    """What the launcher has read already, so that the task need not read it again."""

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
