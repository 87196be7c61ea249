"""Contiguous language-model streams and the window lengths of truncated back-propagation.

Shapes: T tokens of the corpus, B streams of this shard, L steps of a window.
"""

import numpy as np

from define.errors import InputError

PAD_TARGET = -1
"""Target of a step at which nothing is predicted; losses must ignore it."""


class Streams:
    """Cuts a corpus into `batch_size` contiguous streams, side by side, of which a shard owns some.

    Stream lengths differ by at most one. A stream predicts its own tokens; its first input is the
    token before them in the corpus, `<eos>` before the very first. So one pass over the windows of
    all shards predicts every token of the corpus exactly once, and nothing is trimmed. Streams that
    end early go on with input `<eos>` and target `PAD_TARGET`.

    Args:
        tokens: token ids (T,), any integer type; may be memory-mapped.
        eos: id of `<eos>`.
        batch_size: number of streams of all shards together.
        shard: index of this worker; it owns streams [shard, shard + 1) * batch_size / num_shards.
        num_shards: number of workers.
        burn_in: for evaluation: number of tokens before its own ones that a stream reads first,
            with `PAD_TARGET` as targets, to enter its own part with a warm state. Streams near the
            start have fewer tokens before them and read those. As it grows, the batched result
            tends to that of one stream over the whole corpus.
    Raises:
        InputError: an argument breaks a rule above.
    """

    def __init__(
        self,
        tokens: np.ndarray,
        eos: int,
        batch_size: int,
        shard: int = 0,
        num_shards: int = 1,
        burn_in: int = 0,
    ):
        if tokens.ndim != 1 or not np.issubdtype(tokens.dtype, np.integer):
            raise InputError(
                f"Streams need a one-dimensional array of integer token ids, got shape "
                f"{tokens.shape} of {tokens.dtype}; load the corpus with define.data.corpora.load."
            )
        if not 1 <= batch_size <= len(tokens):
            raise InputError(
                f"A batch size of {batch_size} does not fit a corpus of {len(tokens)} tokens; "
                f"choose one from 1 to {len(tokens)}."
            )
        if not 0 <= shard < num_shards:
            raise InputError(
                f"Shard {shard} of {num_shards} does not exist; count from 0 to num_shards - 1."
            )
        if batch_size % num_shards:
            raise InputError(
                f"{batch_size} streams cannot be shared equally by {num_shards} workers; make"
                f" the batch size a multiple of {num_shards}."
            )
        if burn_in < 0:
            raise InputError(
                f"The burn-in is {burn_in} tokens but cannot be negative; use 0 or more."
            )

        self._tokens = tokens
        self._eos = eos
        edges = np.arange(batch_size + 1, dtype=np.int64) * len(tokens) // batch_size
        warm_up = np.minimum(edges[:-1], burn_in)
        lengths = warm_up + np.diff(edges)
        self.steps = int(lengths.max())
        """Steps of the longest stream of *all* shards, burn-in included: equal on every worker."""

        local = batch_size // num_shards
        own = slice(shard * local, (shard + 1) * local)
        self.batch_size = local
        """Number of streams of this shard, B."""
        self._first = edges[:-1][own] - warm_up[own]
        self._warm_up = warm_up[own]
        self._lengths = lengths[own]
        self.scored_tokens = int((self._lengths - self._warm_up).sum())
        """Number of tokens that this shard predicts in one pass."""

    def window(self, start: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of steps [start, start + length).

        Returns:
            Two int64 arrays (L, B), time first; the target is `PAD_TARGET` where nothing is
            predicted.
        Raises:
            ValueError: the window leaves [0, steps).
        """
        if not (0 <= start and 1 <= length and start + length <= self.steps):
            raise ValueError(f"window [{start}, {start + length}) is not within [0, {self.steps})")
        step_L1 = np.arange(start, start + length)[:, None]
        ended_LB = step_L1 >= self._lengths
        position_LB = np.where(ended_LB, 0, self._first + step_L1)
        targets_LB = self._tokens[position_LB].astype(np.int64)
        inputs_LB = self._tokens[np.maximum(position_LB - 1, 0)].astype(np.int64)
        # Position 0: the very first input, and all streams that have ended.
        inputs_LB[position_LB == 0] = self._eos
        targets_LB[ended_LB | (step_L1 < self._warm_up)] = PAD_TARGET
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
    maximum: int | None = None,
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
        maximum: longest window; None for no limit, as in the source.
    Raises:
        InputError: a length is below 1, or minimum exceeds maximum.
    """
    if steps < 1 or bptt < 1 or minimum < 1:
        raise InputError(
            f"Window lengths need steps, bptt and minimum of at least 1; got {steps}, {bptt} and "
            f"{minimum}."
        )
    if maximum is not None and maximum < minimum:
        raise InputError(
            f"The longest window, {maximum}, is below the shortest, {minimum}; raise the maximum."
        )
    if seed < 0 or epoch < 0:
        raise InputError(f"Seed {seed} and epoch {epoch} must not be negative; count from 0.")
    generator = np.random.default_rng((seed, epoch))
    lengths: list[int] = []
    left = steps
    while left > 0:
        length = bptt
        if random:
            base = bptt / 2 if generator.random() < short_probability else bptt
            length = max(minimum, int(generator.normal(base, std)))
            if maximum is not None:
                length = min(length, maximum)
        lengths.append(min(length, left))
        left -= lengths[-1]
    return lengths
