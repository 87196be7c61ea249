"""A synthetic corpus: made-up words whose frequencies follow the Zipf-Mandelbrot law.

It has no meaning. It stands for WikiText-103 where only the size counts: the number of types, the
number of tokens, and how often which rank occurs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

TOKENS_PER_LINE = 57
"""`<eos>` included; WikiText-103's average, 103,227,021 tokens over 1,801,350 lines."""

SHIFT = 4.0
CUBE = 3
"""The density at rank x is proportional to (x + SHIFT) ** -(1 + 1 / CUBE).

With these values the most frequent of 267,735 types has 6 % of the tokens, and the rarest occurs a
few times in 103 million.
"""

LINES_PER_CHUNK = 10_000
SEEDS = {"train": 0, "valid": 1, "test": 2}


def build(tokens: Mapping[str, int], types: int) -> dict[str, "ZipfLines"]:
    """The lines of every split; all types occur in the training split.

    Args:
        tokens: split -> number of tokens, one `<eos>` per line included.
        types: number of types, `<eos>` included.
    Raises:
        ValueError: the training split is too small for all types.
    """
    words = types - 1
    if tokens["train"] < 2 * types:
        raise ValueError(f"{tokens['train']} training tokens are too few for {types} types")
    return {
        split: ZipfLines(count, words, SEEDS[split], complete=split == "train")
        for split, count in tokens.items()
    }


@dataclass(frozen=True)
class ZipfLines:
    """Lines drawn word by word, made anew, and always the same, each time they are read.

    Attributes:
        tokens: number of tokens, one `<eos>` per line included.
        words: number of different words, `w1` to `w<words>`; the number is the rank.
        complete: whether every word is placed once, at even distances, before the rest is drawn.
    """

    tokens: int
    words: int
    seed: int
    complete: bool

    def __iter__(self) -> Iterator[str]:
        names = np.array([f"w{rank}" for rank in range(self.words + 1)], dtype=object)
        generator = np.random.default_rng(self.seed)
        per_line = TOKENS_PER_LINE - 1
        lines, rest = divmod(self.tokens, TOKENS_PER_LINE)
        drawn = 0
        while lines:
            count = min(lines, LINES_PER_CHUNK)
            ranks = self._ranks(generator, drawn, count * per_line)
            for row in names[ranks].reshape(count, per_line).tolist():
                yield " ".join(row) + "\n"
            lines -= count
            drawn += count * per_line
        if rest:
            yield " ".join(names[self._ranks(generator, drawn, rest - 1)]) + "\n"

    def _ranks(self, generator: np.random.Generator, start: int, count: int) -> np.ndarray:
        """Ranks (count,) of the words from position `start` on, of all words of the split."""
        ranks = draw(generator, self.words, count)
        if self.complete:
            distance = (self.tokens - self.tokens // TOKENS_PER_LINE - 1) // self.words
            first = -start % distance
            placed = np.arange(start + first, start + count, distance) // distance + 1
            placed = placed[placed <= self.words]
            ranks[first : first + len(placed) * distance : distance] = placed
        return ranks


def draw(generator: np.random.Generator, words: int, count: int) -> np.ndarray:
    """Draws `count` ranks from 1 to `words`, rank r with `share(r, words)`.

    By inversion of the integrated density, which needs no table as long as the vocabulary.
    """
    high, low = _tail(1), _tail(words + 1)
    roots = high - generator.random(count) * (high - low)
    return np.minimum((roots**-CUBE - SHIFT).astype(np.int64), words)


def share(rank: np.ndarray, words: int) -> np.ndarray:
    """The probability of `rank` (any shape): the law's density integrated from rank to rank + 1."""
    return (_tail(rank) - _tail(rank + 1)) / (_tail(1) - _tail(words + 1))


def _tail(rank):
    return (rank + SHIFT) ** (-1 / CUBE)
