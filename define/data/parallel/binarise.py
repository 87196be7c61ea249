"""Pieces to fairseq's dictionaries and memory-mapped data sets, as `fairseq-preprocess` makes them.

The only module of `define.data` that needs fairseq, and only when it writes.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from define.data.parallel.bitext import read_lines


def write_dictionary(counts: Mapping[str, int], path: Path) -> int:
    """Writes fairseq's dictionary of the pieces, without types that only pad its length.

    Returns:
        Its number of types, the four special symbols included.
    """
    from fairseq.data import Dictionary

    dictionary = Dictionary()
    for piece, count in counts.items():
        dictionary.add_symbol(piece, count)
    dictionary.finalize(padding_factor=1)
    dictionary.save(str(path))
    return len(dictionary)


def read_dictionaries(folder: Path, *languages: str) -> dict[str, list[str]]:
    """File of a language's dictionary -> its pieces by id, without the special symbols."""
    return {
        name: [line.rpartition(" ")[0] for line in read_lines(folder / name)]
        for name in (f"dict.{language}.txt" for language in languages)
    }


def write_dataset(sentences: Iterable[list[str]], dictionary: Path, stem: Path) -> dict[str, int]:
    """Writes the ids of the pieces of `sentences` into `<stem>.bin` and `<stem>.idx`.

    Returns:
        "sentences", "tokens", one </s> per sentence included, and "unknown", those of the tokens
        that the dictionary lacks.
    """
    import torch
    from fairseq.data import Dictionary, indexed_dataset

    symbols = Dictionary.load(str(dictionary))
    builder = indexed_dataset.make_builder(f"{stem}.bin", "mmap", len(symbols))
    counts = {"sentences": 0, "tokens": 0, "unknown": 0}
    for pieces in sentences:
        ids = [symbols.indices.get(piece, symbols.unk_index) for piece in pieces]
        builder.add_item(torch.tensor([*ids, symbols.eos_index]))
        counts["sentences"] += 1
        counts["tokens"] += len(ids) + 1
        counts["unknown"] += ids.count(symbols.unk_index)
    builder.finalize(f"{stem}.idx")
    return counts
