"""Contiguous language-model streams and the window lengths of truncated back-propagation.

Shapes: T tokens of the corpus, B streams of this shard, L steps of a window.
"""

import numpy as np

from define.errors import InputError

PAD_TARGET = -1
"""Target of a step at which nothing is predicted; losses must ignore it."""


class Streams:
    """Cuts a corpus into `batch_size` contiguous streams, side by side, of which a shard owns some.

    Stream lengths differ by at most `alignment`. A stream predicts its own tokens; its first input
    is the token before them in the corpus, `<eos>` before the very first. So one pass over the
    windows of all shards predicts every token of the corpus exactly once, and nothing is trimmed.
    Streams that end early are padded with input `<eos>` and target `PAD_TARGET`.

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
        alignment: streams begin at multiples of it, so that their lengths differ by at most so
            much. With `burn_in` a multiple too, windows of that length are the windows that one
            stream over the whole corpus has.
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
        alignment: int = 1,
    ):
        _check_tokens(tokens)
        if alignment < 1:
            raise InputError(f"The alignment is {alignment} tokens; use 1 or more.")
        blocks = -(-len(tokens) // alignment)
        if not 1 <= batch_size <= blocks:
            whole = f", cut at multiples of {alignment}" if alignment > 1 else ""
            raise InputError(
                f"A batch size of {batch_size} does not fit a corpus of {len(tokens)} tokens"
                f"{whole}; choose one from 1 to {blocks}."
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
        edges = np.arange(batch_size + 1, dtype=np.int64) * blocks // batch_size * alignment
        edges[-1] = len(tokens)
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
        predicted_LB = ~ended_LB & (step_L1 >= self._warm_up)
        return _read(self._tokens, self._eos, position_LB, predicted_LB)


class SlidingWindows:
    """Cuts a corpus into windows that know nothing of each other but what they read again.

    A window predicts its own `length` tokens (the last one what is left), after it has read the
    `context` tokens before them, fewer near the start. Windows stand side by side in batches;
    steps that predict nothing have target `PAD_TARGET`.

    Args:
        tokens, eos: as for `Streams`.
        batch_size: windows of a batch; the last one has what is left.
    Raises:
        InputError: an argument breaks a rule above.
    """

    def __init__(self, tokens: np.ndarray, eos: int, length: int, context: int, batch_size: int):
        _check_tokens(tokens)
        if length < 1 or context < 0 or batch_size < 1:
            raise InputError(
                f"Sliding windows need a length and a batch size of at least 1 and a context of at "
                f"least 0; got {length}, {batch_size} and {context}."
            )
        self._tokens, self._eos = tokens, eos
        self._length, self._context, self._batch_size = length, context, batch_size
        self._starts = np.arange(0, len(tokens), length)

    def __len__(self) -> int:
        """The number of batches."""
        return -(-len(self._starts) // self._batch_size)

    def batch(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of a batch: two int64 arrays (L, B), L = context + length.

        Raises:
            ValueError: there is no such batch.
        """
        if not 0 <= index < len(self):
            raise ValueError(f"batch {index} is not within [0, {len(self)})")
        start_B = self._starts[index * self._batch_size : (index + 1) * self._batch_size]
        step_L1 = np.arange(self._context + self._length)[:, None]
        position_LB = np.maximum(start_B - self._context, 0) + step_L1
        end_B = np.minimum(start_B + self._length, len(self._tokens))
        predicted_LB = (position_LB >= start_B) & (position_LB < end_B)
        position_LB[position_LB >= len(self._tokens)] = 0
        return _read(self._tokens, self._eos, position_LB, predicted_LB)


def _check_tokens(tokens: np.ndarray) -> None:
    if tokens.ndim != 1 or not np.issubdtype(tokens.dtype, np.integer):
        raise InputError(
            f"Streams need a one-dimensional array of integer token ids, got shape "
            f"{tokens.shape} of {tokens.dtype}; load the corpus with define.data.corpora.load."
        )


def _read(
    tokens: np.ndarray, eos: int, position_LB: np.ndarray, predicted_LB: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The tokens before the positions, and those at them where they are predicted.

    Position 0, whose input is `eos`, also stands for steps after the end of a stream.
    """
    inputs_LB = tokens[np.maximum(position_LB - 1, 0)].astype(np.int64)
    inputs_LB[position_LB == 0] = eos
    targets_LB = tokens[position_LB].astype(np.int64)
    targets_LB[~predicted_LB] = PAD_TARGET
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
