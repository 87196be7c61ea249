"""Evaluation protocols: how a split is cut into forward passes, and what each of them can see."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from define.core.transformer_xl import Lengths
from define.errors import InputError
from define.evaluation import settings


@dataclass(frozen=True)
class Protocol:
    """How a model reads a split; every token is scored once, whatever the protocol.

    Without a context, the model's state is carried along each stream, from window to window. With
    one, windows are independent of each other: each begins with a fresh state and first reads the
    `context` tokens before those that it scores.

    Args:
        window: tokens that a forward pass scores. It changes the result of Transformer-XL, whose
            memory begins at the start of its window unless all tokens see the same length.
        memory_length, clamp_length, same_length: of a model that has such lengths (see
            `define.core.transformer_xl.Lengths`) and a carried state; None for its own.
        context: None for a carried state.
        burn_in: tokens that a stream reads before those that it scores, where several stand side by
            side. None for what makes them equal to one stream: see `burn_in_of`.
    Raises:
        InputError: a value of the wrong type or range, or settings that contradict each other.
    """

    window: int = 70
    memory_length: int | None = None
    clamp_length: int | None = None
    same_length: bool | None = None
    context: int | None = None
    burn_in: int | None = None

    def __post_init__(self):
        least = {"window": 1, "memory_length": 0, "context": 0, "burn_in": 0}
        settings.check_fields(self, least, "protocol: ")
        if self.context is not None:
            for name in ("memory_length", "same_length", "burn_in"):
                if getattr(self, name) is not None:
                    raise InputError(
                        f"protocol: {name} is for a state that is carried, but the windows of "
                        f"context = {self.context} begin with a fresh one; leave one of them out"
                    )

    def lengths_of(self, model: nn.Module) -> Lengths | None:
        """The lengths of the model under this protocol; None for a model without.

        Raises:
            InputError: lengths for a model without, or impossible ones.
        """
        own = getattr(model, "lengths", None)
        given = {
            "memory_length": self.memory_length,
            "clamp_length": self.clamp_length,
            "same_length": self.same_length,
        }
        if own is None:
            for name, value in given.items():
                if value is not None:
                    raise InputError(
                        f"protocol: {name} = {value} is for Transformer-XL; a "
                        f"{type(model).__name__} has no such length, leave it out"
                    )
            return None
        clamp = own.clamp if self.clamp_length is None else self.clamp_length
        if self.context is not None:
            return Lengths(memory=0, clamp=clamp)
        return Lengths(
            own.memory if self.memory_length is None else self.memory_length,
            clamp,
            own.same_length if self.same_length is None else self.same_length,
        )

    def alignment_of(self, model: nn.Module) -> int:
        """What streams must begin at multiples of: the window, where it changes the result."""
        return 1 if self.lengths_of(model) is None else self.window

    def burn_in_of(self, model: nn.Module) -> int:
        """Tokens that a stream reads before its own ones; for Transformer-XL in whole windows.

        By default what makes streams side by side equal to one stream over the split, but for
        rounding. A Transformer-XL layer sees `memory` places before its window, and with the first
        of them their whole window; so its layers together see layers * ceil(memory / window)
        windows. A recurrent state has seen everything: no burn-in is exact, and the default is 0.
        """
        lengths = self.lengths_of(model)
        if lengths is None:
            return self.burn_in or 0
        if self.burn_in is not None:
            return _ceil_div(self.burn_in, self.window) * self.window
        return len(model.layers) * _ceil_div(lengths.memory, self.window) * self.window

    def settings_of(self, model: nn.Module) -> dict[str, int | bool | None]:
        """All that decides the result for this model, as plain values for a record."""
        values: dict[str, int | bool | None] = {"window": self.window}
        lengths = self.lengths_of(model)
        if self.context is not None:
            values["context"] = self.context
        elif lengths is not None:
            values |= {"memory_length": lengths.memory, "same_length": lengths.same_length}
        if lengths is not None:
            values["clamp_length"] = lengths.clamp if lengths.clamp > 0 else None
        if self.context is None:
            values["burn_in"] = self.burn_in_of(model)
        return values


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


NAMES = ("carried", "training_lengths", "long_memory", "sliding_window")


def built_in(name: str, bptt: int) -> Protocol:
    """A protocol by its name.

    carried: the state carried along. training_lengths: with the window and memory of training.
    long_memory: Transformer-XL's evaluation (run_wt103_base.sh). sliding_window: fresh states, 512
    tokens per forward pass, of which the last 64 are scored.

    Args:
        bptt: window of the training.
    """
    return {
        "carried": Protocol(),
        "training_lengths": Protocol(window=bptt),
        "long_memory": Protocol(64, memory_length=640, clamp_length=400, same_length=True),
        "sliding_window": Protocol(window=64, context=448),
    }[name]


def parse(section: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Protocol]:
    """The protocols of a config's `run.protocols`; see `define.evaluation.settings.parse`."""
    return settings.parse(section, Protocol, "run.protocols", default="carried")


@contextmanager
def applied(model: nn.Module, protocol: Protocol) -> Iterator[None]:
    """Evaluation mode and the protocol's lengths inside; what was before again after it."""
    training, own = model.training, getattr(model, "lengths", None)
    lengths = protocol.lengths_of(model)
    model.eval()
    try:
        if lengths is not None:
            model.lengths = lengths
        yield
    finally:
        if lengths is not None:
            model.lengths = own
        model.train(training)
