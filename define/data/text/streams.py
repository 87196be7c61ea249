"""Contiguous language-model streams and the window lengths of truncated back-propagation.

Shapes: T tokens of the corpus, B streams of this shard, L steps of a window.
"""

import numpy as np

from define.core.outputs import IGNORED
from define.errors import InputError


class Streams:
    """Cuts a corpus into `batch_size` contiguous streams; each shard owns an equal share of them.

    Stream lengths differ by at most `alignment`. A stream predicts its own tokens; its first input
    is the token before them in the corpus, `<eos>` before the very first. So one pass over the
    windows of all shards predicts every token of the corpus exactly once, and nothing is trimmed.
    Streams that end early are padded with input `<eos>` and target `IGNORED`.

    Args:
        tokens: token ids (T,), any integer type; may be memory-mapped.
        eos: id of `<eos>`.
        batch_size: number of streams of all shards together.
        shard: index of this worker; it owns streams [shard, shard + 1) * batch_size / num_shards.
        num_shards: number of workers.
        burn_in: for evaluation: number of tokens before its own ones that a stream reads first,
            with target `IGNORED`, to enter its own part with a warm state. Streams near the start
            have fewer tokens before them and read those. With a longer burn-in, the batched result
            approaches that of one stream over the whole corpus.
        alignment: streams begin at multiples of it, so their lengths differ by at most that many
            tokens. With `burn_in` a multiple too, windows of that length are the windows that one
            stream over the whole corpus has.
    Raises:
        InputError: the batch size does not fit the corpus or the number of workers.
    """

    def __init__(
        self,
        tokens: np.ndarray,
        eos: int,
        batch_size: int,
        shard: int = 0,
        num_shards: int = 1,
        burn_in: int = 0,
        alignment: int = 1,
    ):
        blocks = -(-len(tokens) // alignment)
        if not 1 <= batch_size <= blocks:
            whole = f", cut at multiples of {alignment}" if alignment > 1 else ""
            raise InputError(
                f"A batch size of {batch_size} does not fit a corpus of {len(tokens)} tokens"
                f"{whole}; choose one from 1 to {blocks}."
            )
        if batch_size % num_shards:
            raise InputError(
                f"{batch_size} streams cannot be shared equally by {num_shards} workers; make"
                f" the batch size a multiple of {num_shards}."
            )
        self._tokens, self._eos = tokens, eos
        edges = np.arange(batch_size + 1, dtype=np.int64) * blocks // batch_size * alignment
        edges[-1] = len(tokens)
        warm_up = np.minimum(edges[:-1], burn_in)
        lengths = warm_up + np.diff(edges)
        self.steps = int(lengths.max())
        """Steps of the longest stream of *all* shards, burn-in included: equal on every worker."""
        self.batch_size = batch_size // num_shards
        """Number of streams of this shard, B."""
        own = slice(shard * self.batch_size, (shard + 1) * self.batch_size)
        self._first = (edges[:-1] - warm_up)[own]
        self._warm_up, self._lengths = warm_up[own], lengths[own]

    def window(self, start: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of steps [start, start + length): two int64 arrays (L, B)."""
        step_L1 = np.arange(start, start + length)[:, None]
        ended_LB = step_L1 >= self._lengths
        position_LB = np.where(ended_LB, 0, self._first + step_L1)
        predicted_LB = ~ended_LB & (step_L1 >= self._warm_up)
        return _read(self._tokens, self._eos, position_LB, predicted_LB)


class SlidingWindows:
    """Cuts a corpus into independent windows, side by side in batches.

    A window predicts its own `length` tokens (the last one what is left), after it has read the
    `context` tokens before them, fewer near the start. Steps that predict nothing have target
    `IGNORED`.

    Args:
        tokens, eos: as for `Streams`.
        batch_size: windows of a batch; the last one has what is left.
    Raises:
        InputError: the batch size is below 1.
    """

    def __init__(self, tokens: np.ndarray, eos: int, length: int, context: int, batch_size: int):
        if batch_size < 1:
            raise InputError(f"A batch size of {batch_size} sliding windows must be at least 1.")
        self._tokens, self._eos = tokens, eos
        self._length, self._context, self._batch_size = length, context, batch_size
        self._starts = np.arange(0, len(tokens), length)

    def __len__(self) -> int:
        """The number of batches."""
        return -(-len(self._starts) // self._batch_size)

    def batch(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of a batch: two int64 arrays (L, B), L = context + length."""
        start_B = self._starts[index * self._batch_size : (index + 1) * self._batch_size]
        step_L1 = np.arange(self._context + self._length)[:, None]
        position_LB = np.maximum(start_B - self._context, 0) + step_L1
        end_B = np.minimum(start_B + self._length, len(self._tokens))
        predicted_LB = (position_LB >= start_B) & (position_LB < end_B)
        position_LB[position_LB >= len(self._tokens)] = 0
        return _read(self._tokens, self._eos, position_LB, predicted_LB)


def _read(
    tokens: np.ndarray, eos: int, position_LB: np.ndarray, predicted_LB: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The tokens before the positions, and those at them where they are predicted.

    Position 0, whose input is `eos`, also stands for steps after the end of a stream.
    """
    inputs_LB = tokens[np.maximum(position_LB - 1, 0)].astype(np.int64)
    inputs_LB[position_LB == 0] = eos
    targets_LB = tokens[position_LB].astype(np.int64)
    targets_LB[~predicted_LB] = IGNORED
    return inputs_LB, targets_LB


def bptt_lengths(
    steps: int,
    bptt: int,
    seed: int,
    epoch: int,
    random: bool,
    short_probability: float = 0.05,
    std: float = 5.0,
    minimum: int = 5,
) -> list[int]:
    """Lengths of the windows of one epoch; they sum to `steps`.

    With `random`, the draw of AWD-LSTM (Merity et al. 2018, section 5; awd-lstm-lm, main.py,
    `train()`): the base is `bptt`, or half of it with probability `short_probability`; the length
    is a normal draw around the base, truncated to an integer, and at least `minimum`. Otherwise
    every window has `bptt` steps. The last window is cut to what is left, below `minimum` if need
    be.

    The lengths depend on (seed, epoch) alone, so all shards, and a resumed run, draw the same.

    Args:
        steps: `Streams.steps`.
        bptt: base length in tokens.
        seed, epoch: not negative.
        std: standard deviation of the normal draw, in tokens.
    Raises:
        InputError: a number is too small.
    """
    for name, value, least in (
        *(("task.bptt", bptt, 1), ("task.min_bptt", minimum, 1)),
        *(("seed", seed, 0), ("epoch", epoch, 0)),
    ):
        if value < least:
            raise InputError(f"{name} = {value} must be at least {least}")
    generator = np.random.default_rng((seed, epoch))
    lengths: list[int] = []
    left = steps
    while left > 0:
        length = bptt
        if random:
            base = bptt / 2 if generator.random() < short_probability else bptt
            length = max(minimum, int(generator.normal(base, std)))
        lengths.append(min(length, left))
        left -= lengths[-1]
    return lengths
