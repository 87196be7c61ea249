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

    Frequency order is what adaptive softmaxes and embeddings cut into clusters. `<eos>` is a type
    like any other and is counted once per line.
    """

    def __init__(self, types: list[str], counts: list[int]):
        if len(types) != len(counts):
            raise ValueError(f"{len(types)} types but {len(counts)} counts")
        self.types = types
        self.counts = counts
        self._ids = _Ids((word, i) for i, word in enumerate(types))
        if len(self._ids) != len(types):
            duplicate = next(word for word, n in Counter(types).items() if n > 1)
            raise InputError(f"The vocabulary lists {duplicate!r} twice; list every type once.")
        if EOS not in self._ids:
            raise InputError(f"The vocabulary lacks {EOS}, which ends every line; add it.")

    @classmethod
    def build(cls, lines: Iterable[str]) -> "Vocabulary":
        """Counts the white-space separated words of `lines`, and one `<eos>` per line."""
        counts: Counter[str] = Counter()
        for line in lines:
            counts.update(line.split())
            counts[EOS] += 1
        ranked = sorted(counts.items(), key=lambda item: -item[1])
        return cls([word for word, _ in ranked], [count for _, count in ranked])

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Reads what `save` wrote.

        Raises:
            InputError: a line is not "type count", or a count exceeds the one before it.
        """
        types: list[str] = []
        counts: list[int] = []
        with open(path, encoding="utf-8", newline="\n") as stream:
            for number, line in enumerate(stream, start=1):
                word, _, count = line.rstrip("\n").partition(" ")
                if not word or not count.isdecimal():
                    raise InputError(
                        f"{path}, line {number}: expected 'type count', found {line.rstrip()!r}; "
                        "prepare the corpus again with `define prepare`."
                    )
                types.append(word)
                counts.append(int(count))
                if counts[-1] > counts[max(0, number - 2)]:
                    raise InputError(
                        f"{path}, line {number}: {word!r} occurs {count} times, more often than "
                        f"{types[-2]!r} in the line before, but types must be in frequency order; "
                        "prepare the corpus again with `define prepare`."
                    )
        return cls(types, counts)

    def save(self, path: str | Path) -> None:
        """Writes one "type count" per line; the line number, from 0, is the id."""
        with atomic_write(path) as stream:
            stream.writelines(
                f"{word} {count}\n" for word, count in zip(self.types, self.counts, strict=True)
            )

    def __len__(self) -> int:
        return len(self.types)

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    @property
    def eos(self) -> int:
        """The id of `<eos>`."""
        return self._ids[EOS]

    def index(self, word: str) -> int:
        """The id of `word`; that of `<unk>` for an unknown word, if the vocabulary has `<unk>`.

        Raises:
            InputError: the word is unknown and there is no `<unk>`.
        """
        return self._ids[word]

    def encode(self, lines: Iterable[str]) -> Iterator[np.ndarray]:
        """Token ids of `lines`, each closed by `<eos>`, in pieces so that memory stays bounded.

        Yields:
            int32 arrays of whole lines, about `TOKENS_PER_CHUNK` ids each.
        Raises:
            InputError: as `index`.
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
