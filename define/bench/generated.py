"""Generated data for measured updates: a text or sentence pairs, in memory and without meaning.

Tokens follow the law of `define.data.text.zipf`, over as many types as the run's corpus has.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq import tasks
from fairseq.data import Dictionary, LanguagePairDataset
from fairseq.tasks import FairseqTask
from omegaconf import DictConfig

from define.data.text import zipf
from define.data.text.corpora import Corpus
from define.data.text.vocabulary import EOS, Vocabulary
from define.errors import InputError
from define.tasks.translation import DefineTranslationTask
from define.train.counting import corpus_types

MEAN_LENGTH = 27
"""Subwords per sentence, end of sentence included; close to WMT'14 English-German."""
LENGTH_SHAPE = 2.0
"""Of the gamma distribution of source lengths; the standard deviation is 0.71 of the mean."""
RATIO_DEVIATION = 0.2
"""Standard deviation of log(target length / source length)."""
SPARE = 10
"""How many times more pairs are drawn than read, so that sentences of a batch are similar."""


@dataclass(frozen=True)
class Generated:
    """What measured updates read.

    Attributes:
        meta: the `data` of a record's provenance.
        fields: the record's fields on the size of an update.
        task: a config's `task` section -> its task, with the training split loaded.
        remedy: what to do when the GPU's memory is too small.
    """

    meta: dict[str, Any]
    fields: dict[str, int]
    task: Callable[[DictConfig], FairseqTask]
    remedy: str


def is_text(config: DictConfig) -> bool:
    """Whether a run's model is a language model, not a translator."""
    return config.task._name == "define_language_modeling"


def generate(config: DictConfig, updates: int, **size: int | None) -> Generated:
    """Generates the data of a run's first updates and sets the config to their size.

    Args:
        config: of a run on one device.
        updates: how many updates the data must last for.
        size: `streams` of a language model, `max_tokens` and `update_freq` of a translation; the
            recipe's where it is None.
    Raises:
        InputError: a size out of range, or one that this kind of run does not have.
    """
    make, sizes = (
        (_text, ["streams"]) if is_text(config) else (_pairs, ["max_tokens", "update_freq"])
    )
    given = {name: value for name, value in size.items() if value is not None}
    for name in given:
        if name not in sizes:
            raise InputError(f"{name} has no effect on this run; use {' or '.join(sizes)}")
    return make(config, updates, **given)


def at_most(config: DictConfig, updates: int, streams: int, max_tokens: int) -> Generated:
    """As `generate`, for updates of one batch of at most so many streams or tokens."""
    if is_text(config):
        streams = min(streams, config.dataset.batch_size or streams)
        return generate(config, updates, streams=streams)
    max_tokens = min(max_tokens, config.dataset.max_tokens or max_tokens)
    return generate(config, updates, max_tokens=max_tokens, update_freq=1)


def require_at_least(least: int, name: str, value: int | None) -> None:
    """Raises InputError for a number that is missing or too small."""
    if value is None or value < least:
        raise InputError(f"{name} = {value} must be at least {least}")


def _text(config: DictConfig, updates: int, streams: int | None = None) -> Generated:
    """A text of windows of `task.bptt` tokens; a batch is an update, so that all are alike."""
    paper_streams, bptt = config.dataset.batch_size, config.task.bptt
    require_at_least(1, "dataset.batch_size", paper_streams)
    require_at_least(1, "task.bptt", bptt)
    streams = paper_streams if streams is None else streams
    if not 1 <= streams <= paper_streams:
        raise InputError(f"streams = {streams} must lie between 1 and the recipe's {paper_streams}")
    config.dataset.batch_size, config.optimization.update_freq = streams, [1]
    config.task.random_bptt, config.task.train_tokens = False, 0
    types = corpus_types(config.run.corpus)
    corpus = generated_corpus(types, updates * streams * bptt, config.seed)
    fields = {
        "streams": streams,
        "paper_streams": paper_streams,
        "bptt": bptt,
        "tokens_per_update": streams * bptt,
        "paper_tokens_per_update": paper_streams * bptt,
    }

    def task(section: DictConfig) -> FairseqTask:
        task = tasks.setup_task(section, corpus=corpus)
        task.load_dataset("train")
        return task

    return Generated(corpus.meta, fields, task, f"use --streams below {streams}")


def generated_corpus(num_types: int, num_tokens: int, seed: int) -> Corpus:
    """A corpus of a training split only; a type's id is its rank. Type 0 stands for `<eos>`."""
    ranks = zipf.draw(np.random.default_rng(seed), num_types, num_tokens)
    vocabulary = Vocabulary([EOS, *map(str, range(1, num_types))], [1] * num_types)
    tokens = {"train": (ranks - 1).astype(np.int32)}
    return Corpus("zipf", Path(), tokens, vocabulary, meta(num_types))


def meta(types: int, name: str = "zipf", **fields: int) -> dict[str, Any]:
    """The `data` of a record's provenance."""
    return {"name": name, "sha256": {}, "tokens": {}, "types": types, **fields}


def _pairs(
    config: DictConfig,
    updates: int,
    max_tokens: int | None = None,
    update_freq: int | None = None,
) -> Generated:
    """Sentence pairs, which fairseq batches as it does those of a corpus."""
    paper_max_tokens, paper_freq = config.dataset.max_tokens, config.optimization.update_freq[0]
    require_at_least(1, "dataset.max_tokens", paper_max_tokens)
    max_tokens = paper_max_tokens if max_tokens is None else max_tokens
    update_freq = paper_freq if update_freq is None else update_freq
    require_at_least(2, "max_tokens", max_tokens)
    require_at_least(1, "update_freq", update_freq)
    tokens, paper_tokens = max_tokens * update_freq, paper_max_tokens * paper_freq
    if tokens > paper_tokens:
        raise InputError(
            f"max_tokens = {max_tokens} times update_freq = {update_freq} must be at most the "
            f"recipe's {paper_tokens} tokens per update"
        )
    config.dataset.max_tokens, config.optimization.update_freq = max_tokens, [update_freq]
    config.run.tokens_per_update = tokens
    types = corpus_types(config.run.corpus)
    dictionaries = [dictionary(number) for number in types]
    generator, model = np.random.default_rng(config.seed), config.model
    longest = min(max_tokens, model.max_source_positions, model.max_target_positions)
    sizes = lengths(generator, SPARE * updates * tokens, longest)
    (source, target) = map(sentences, [generator] * 2, dictionaries, sizes)

    def task(section: DictConfig) -> FairseqTask:
        task = DefineTranslationTask(section, *dictionaries)
        task.datasets["train"] = LanguagePairDataset(
            *(source, sizes[0], dictionaries[0], target, sizes[1], dictionaries[1]),
            left_pad_source=section.left_pad_source,
            left_pad_target=section.left_pad_target,
            pad_to_multiple=section.required_seq_len_multiple,
        )
        return task

    fields = {
        "max_tokens": max_tokens,
        "update_freq": update_freq,
        "tokens_per_update": tokens,
        "paper_tokens_per_update": paper_tokens,
    }
    data = meta(types[1], "zipf-pairs", source_types=types[0])
    return Generated(data, fields, task, f"use --max-tokens below {max_tokens}")


def dictionary(types: int) -> Dictionary:
    """A dictionary of so many types, which are numbers; fairseq's special symbols included."""
    numbers = Dictionary()
    for number in range(types - len(numbers)):
        numbers.add_symbol(str(number))
    return numbers


def lengths(generator: np.random.Generator, tokens: int, longest: int) -> np.ndarray:
    """Lengths (2, pairs) of source and target, with about so many tokens on either side.

    A sentence has at least one word and its end.
    """
    count = -(-tokens // min(MEAN_LENGTH, longest))
    source = generator.gamma(LENGTH_SHAPE, MEAN_LENGTH / LENGTH_SHAPE, count)
    target = source * np.exp(generator.normal(0.0, RATIO_DEVIATION, count))
    return np.clip(np.rint([source, target]).astype(np.int64), 2, longest)


def sentences(
    generator: np.random.Generator, words: Dictionary, sizes: np.ndarray
) -> Sequence[torch.Tensor]:
    """Token ids (T,) of a sentence of each size, which ends in `</s>`.

    The rank of a word is its place after the special symbols.
    """
    tokens = zipf.draw(generator, len(words) - words.nspecial, sizes.sum()) + words.nspecial - 1
    tokens[sizes.cumsum() - 1] = words.eos()
    return torch.from_numpy(tokens).split(sizes.tolist())


def zipf_tokens(types: int, *shape: int) -> torch.Tensor:
    """Tokens of that shape; a type's id is its rank."""
    ranks = zipf.draw(np.random.default_rng(1), types, int(np.prod(shape)))
    return torch.from_numpy(ranks - 1).view(shape)
