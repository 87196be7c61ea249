"""Perplexity of a language model on one split: exp(total loss in nats / scored tokens)."""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from define.data.streams import PAD_TARGET, Streams, bptt_lengths


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
    window: int = 70,
    burn_in: int = 0,
    quiet: bool = True,
) -> Score:
    """Scores every token of a split once, the state carried along each stream.

    Args:
        model: (tokens (T, B), state) -> output with `features` and `state`, and `logits(features)`.
        tokens: token ids (T,).
        eos: id of `<eos>`, the context of the first token.
        batch_size: streams side by side; 1 is the published protocol for test sets.
        window: tokens per forward pass; changes the memory used, not the result.
        burn_in: tokens that each stream reads before those that it scores. Without it, the first
            words of each of the `batch_size` streams lack their context.
    Raises:
        RuntimeError: not every token was scored.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    streams = Streams(tokens, eos, batch_size, burn_in=burn_in)
    total = torch.zeros((), dtype=torch.float64, device=device)
    state, start, scored = None, 0, 0
    lengths = bptt_lengths(streams.steps, window, seed=0, epoch=0, random=False)
    for length in tqdm(lengths, desc="scoring", unit="batch", disable=quiet, leave=False):
        inputs, targets = (torch.from_numpy(a).to(device) for a in streams.window(start, length))
        output = model(inputs, state)
        state, start = output.state, start + length
        losses = F.cross_entropy(
            model.logits(output.features).flatten(0, 1),
            targets.flatten(),
            ignore_index=PAD_TARGET,
            reduction="sum",
        )
        total += losses.double()
        scored += int((targets != PAD_TARGET).sum())
    model.train(training)
    if scored != len(tokens):
        raise RuntimeError(f"scored {scored} tokens of {len(tokens)}: a number would mean nothing")
    return Score(total.item() / scored, scored)
