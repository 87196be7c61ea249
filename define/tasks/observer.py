"""Reports a task's training to a launcher, and sets the precision that both tasks train in."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from define.errors import InputError

AUTOCAST = {"none": None, "bf16": torch.bfloat16}
BF16_ON_CPU = {"define_transformer_xl": 96, "define_transformer": 512}
"""Model -> the smallest model_dim at which bf16 was measured to be faster on a CPU.

Update time in float32 divided by that in bf16, at mini scale and at the paper's sizes with small
batches (one thread of a busy Intel Xeon with AMX, CPU time, medians of 2 to 60 updates):
Transformer-XL 1.20 and 1.15, the Transformer 0.66 and 1.81, the LSTM of Table 1a 1.04 and 0.77,
AWD-LSTM 1.08 and 1.25. On an AMD EPYC the two LSTMs were slower: 0.82 and 0.89.
"""
AUTOCAST_HELP = (
    "precision of matrix products: none, bf16 or, only with `define`, auto (the faster one)"
)


def check_autocast(name: str) -> None:
    """Raises InputError unless `name` is a key of `AUTOCAST`."""
    if name not in AUTOCAST:
        raise InputError(
            f"task.autocast = {name!r} is unknown; take none, bf16 or, only with `define`, auto"
        )


def faster_autocast(model: Mapping[str, Any], cpu: bool) -> str:
    """The precision that task.autocast=auto selects: the faster one for a model on this machine.

    Args:
        model: a config's `model` section.
        cpu: whether it trains on the CPU even if there is a GPU.
    """
    if torch.cuda.is_available() and not cpu:
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "none"
    width = BF16_ON_CPU.get(model["_name"])
    # CPUs without these instructions emulate bfloat16.
    fast = width and model["model_dim"] >= width and torch.cpu._is_avx512_bf16_supported()
    return "bf16" if fast else "none"


def autocast(name: str, device: str) -> AbstractContextManager:
    """A context in which matrix products on `device` have the precision `name`."""
    dtype = AUTOCAST[name]
    return nullcontext() if dtype is None else torch.autocast(device, dtype)


def require_known_world() -> None:
    """Refuses processes that a launcher such as torchrun started and fairseq does not join.

    With --cpu, fairseq counts the GPUs and trains a copy of its own in every process.

    Raises:
        InputError: the environment names more processes than fairseq has joined.
    """
    started = int(os.environ.get("WORLD_SIZE") or 1)
    joined = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    if started > joined:
        raise InputError(
            f"WORLD_SIZE = {started} processes were started, but fairseq joins {joined}: each "
            f"would train a copy of its own; start one process, or set distributed_world_size and "
            f"distributed_init_method=env:// too"
        )


class Observer:
    """Callbacks for a launcher; by default they do nothing."""

    corpus = None
    """What the launcher has read already, so that the task need not read it again."""

    def optimized_by(self, path: str) -> None:
        """Called before training; `path` is the step in use: "fused", "foreach" or "default"."""

    def begin(self) -> None:
        """Called before the first batch of an epoch or of the rest of one."""

    def updated(self, update: int, tokens: int, lr: float, nll: torch.Tensor | float) -> None:
        """Called after every optimizer step.

        Args:
            update: number of the step, from 1.
            tokens: tokens scored in it.
            lr: the scheduler's rate, before `scale_lr_by_length`.
            nll: sum over these tokens in nats, still on the device (`float` waits for the GPU).
        """

    def validated(self, epoch: int, stats: dict, averaged: bool) -> None:
        """Called after a validation.

        Args:
            epoch: from 1.
            stats: fairseq's statistics, with losses in base 2.
            averaged: whether the averaged weights were validated.
        """


class Observed:
    """A task with an observer; all tasks share one, because fairseq builds them."""

    observer = Observer()
