"""The types of a corpus and their ids, in frequency order."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from define.errors import InputError
from define.files import atomic_write

EOS = "<eos>"
UNK = "<unk>"

TOKENS_PER_CHUNK = 1 << 20
"""How many ids are encoded before they are handed on."""


class Vocabulary:
    """Types with their counts; the id of a type is its rank by frequency, ties by first occurrence.

    Adaptive softmaxes and embeddings cut types in frequency order into clusters. `<eos>` is a type
    like any other and is counted once per line.
    """

    def __init__(self, types: list[str], counts: list[int]):
        self.types, self.counts = types, counts
        self._ids = _Ids((word, i) for i, word in enumerate(types))

    @classmethod
    def build(cls, lines: Iterable[str]) -> "Vocabulary":
        """Counts the white-space separated words of `lines`, and one `<eos>` per line."""
        counts: Counter[str] = Counter()
        for line in lines:
            counts.update(line.split())
            counts[EOS] += 1
        ranked = counts.most_common()
        return cls([word for word, _ in ranked], [count for _, count in ranked])

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Reads what `save` wrote."""
        with open(path, encoding="utf-8", newline="\n") as stream:
            rows = [line.split(" ") for line in stream]
        return cls([word for word, _ in rows], [int(count) for _, count in rows])

    def save(self, path: str | Path) -> None:
        """Writes one "type count" per line; the line number, from 0, is the id."""
        with atomic_write(path) as stream:
            stream.writelines(
                f"{word} {count}\n" for word, count in zip(self.types, self.counts, strict=True)
            )

    @property
    def eos(self) -> int:
        """The id of `<eos>`."""
        return self._ids[EOS]

    def encode(self, lines: Iterable[str]) -> Iterator[np.ndarray]:
        """Token ids of `lines`, each closed by `<eos>`, in pieces so that memory stays bounded.

        An unknown word has the id of `<unk>`.

        Yields:
            int32 arrays of whole lines, about `TOKENS_PER_CHUNK` ids each.
        Raises:
            InputError: a word is unknown and the vocabulary has no `<unk>`.
        """
        ids: list[int] = []
        for line in lines:
            ids.extend(map(self._ids.__getitem__, line.split()))
            ids.append(self.eos)
            if len(ids) >= TOKENS_PER_CHUNK:
                yield np.array(ids, dtype=np.int32)
                ids.clear()
        if ids:
            yield np.array(ids, dtype=np.int32)


class _Ids(dict[str, int]):
    """Word -> id, with the one rule for unknown words."""

    def __missing__(self, word: str) -> int:
        if UNK not in self:
            raise InputError(
                f"The word {word!r} is not among the {len(self)} types of the vocabulary, which "
                f"has no {UNK}; build the vocabulary from a text that holds it."
            )
        return self[UNK]
