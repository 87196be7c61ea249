"""Perplexity of a language model on one split: exp(total loss in nats / scored tokens)."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from define.core.language_model import LanguageModelOutput
from define.core.outputs import IGNORED
from define.data.text.streams import SlidingWindows, Streams, bptt_lengths
from define.evaluation.protocols import Protocol, applied


class Score(NamedTuple):
    """nll: nats per token. scored_tokens: how many the mean is over."""

    nll: float
    scored_tokens: int

    @property
    def ppl(self) -> float:
        return math.exp(self.nll)

    def to_json(self) -> dict[str, float | int]:
        return {"nll": self.nll, "ppl": self.ppl, "scored_tokens": self.scored_tokens}


@torch.no_grad()
def evaluate(
    model: nn.Module,
    tokens: np.ndarray,
    eos: int,
    batch_size: int = 1,
    protocol: Protocol = Protocol(),  # noqa: B008 - frozen
    quiet: bool = True,
) -> Score:
    """Scores every token of a split once, in the model's own precision.

    Args:
        model: (tokens (T, B), state) -> `LanguageModelOutput`, and an `output` layer.
        tokens: token ids (T,).
        eos: id of `<eos>`, the context of the first token.
        batch_size: streams, or sliding windows, side by side; 1 is what is published for test
            sets. More give the same result, but for rounding, with sliding windows and with the
            protocol's default burn-in of Transformer-XL; and nearly so for other models with a
            burn-in long enough.
    Raises:
        InputError: the protocol or the batch size does not fit the model or the split.
        RuntimeError: not every token was scored.
    """
    device = next(model.parameters()).device
    total = torch.zeros((), dtype=torch.float64, device=device)
    scored = 0
    with applied(model, protocol):
        for _, targets, output in outputs(model, tokens, eos, batch_size, protocol, quiet):
            where = targets != IGNORED
            nll = model.output.nll(output.features[where], targets[where])
            total += nll.sum(dtype=torch.float64)
            scored += len(nll)
    return mean(total.item(), scored, len(tokens))


def mean(total: float, scored: int, tokens: int) -> Score:
    """The score of a whole split.

    Raises:
        RuntimeError: not all of its tokens were scored.
    """
    if scored != tokens:
        raise RuntimeError(f"scored {scored} tokens of {tokens}: a number would mean nothing")
    return Score(total / scored, scored)


def layout(
    model: nn.Module, tokens: np.ndarray, eos: int, batch_size: int, protocol: Protocol
) -> Streams | SlidingWindows:
    """How a protocol cuts a split for a model.

    Raises:
        InputError: the protocol or the batch size does not fit the model or the split.
    """
    if protocol.context is not None:
        protocol.lengths_of(model)  # refuses lengths that the model does not have
        return SlidingWindows(tokens, eos, protocol.window, protocol.context, batch_size)
    return Streams(
        tokens,
        eos,
        batch_size,
        burn_in=protocol.burn_in_of(model),
        alignment=protocol.alignment_of(model),
    )


def outputs(
    model: nn.Module,
    tokens: np.ndarray,
    eos: int,
    batch_size: int,
    protocol: Protocol,
    quiet: bool,
) -> Iterator[tuple[Tensor, Tensor, LanguageModelOutput]]:
    """Inputs (L, B), targets (L, B) and the model's output of every forward pass, in order.

    The protocol must be applied to the model; see `protocols.applied`.
    """
    device = next(model.parameters()).device
    cut = layout(model, tokens, eos, batch_size, protocol)
    if isinstance(cut, SlidingWindows):
        batches, number = map(cut.batch, range(len(cut))), len(cut)
    else:
        lengths = bptt_lengths(cut.steps, protocol.window, seed=0, epoch=0, random=False)
        starts = range(0, cut.steps, protocol.window)
        batches, number = map(cut.window, starts, lengths), len(lengths)
    state = None
    for batch in tqdm(batches, "scoring", number, unit="batch", disable=quiet, leave=False):
        inputs, targets = (torch.from_numpy(array).to(device) for array in batch)
        output = model(inputs, state)
        state = None if isinstance(cut, SlidingWindows) else output.state
        yield inputs, targets, output
