"""Endless draws of integers, alike on every machine."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

import numpy as np

BLOCK = 8_192
"""Draws made at once; the text does not depend on it."""

T = TypeVar("T")


def zipf_weights(kinds: int) -> list[int]:
    """Weights of the ranks 1 to `kinds` by the Zipf-Mandelbrot law, 1 / (rank + 2)."""
    return [10**9 // (rank + 2) for rank in range(1, kinds + 1)]


def endless(options: Sequence[T], weights: Sequence[int], seed: Sequence[int]) -> Callable[[], T]:
    """A function that draws one of `options` at each call, with chances as the weights.

    Only integers and numpy's bit generator are used: their results are fixed for good.
    """
    table = np.empty(len(options), object)
    table[:] = options
    edges = np.cumsum(np.array(weights, np.uint64))
    generator = np.random.PCG64(seed)

    def blocks() -> Iterator[list[T]]:
        while True:
            drawn = generator.random_raw(BLOCK) % edges[-1]
            yield table[np.searchsorted(edges, drawn, side="right")].tolist()

    return chain.from_iterable(blocks()).__next__
