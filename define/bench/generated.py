"""What measured updates read: a text, or pairs of sentences, in memory and without meaning.

Tokens follow the law of `define.data.text.zipf`, over as many types as the run's corpus has.
Both kinds change the config to the size asked for, and have these members:

SIZES: names of the arguments that cut an update.
meta: the `data` of a record's provenance.
fields: the record's fields about the size of every update.
task(section): the task of a config's `task` section, with its training split loaded.
remedy: what to do where the memory is too small.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from fairseq import tasks
from fairseq.data import Dictionary, LanguagePairDataset
from omegaconf import DictConfig

from define.data.text import zipf
from define.data.text.corpora import Corpus
from define.data.text.vocabulary import EOS, Vocabulary
from define.errors import InputError
from define.tasks.language_modeling import StreamLanguageModelingTask
from define.tasks.translation import DefineTranslationTask
from define.train.counting import corpus_types

MEAN_LENGTH = 27
"""Subwords of a sentence, end of sentence included: about those of WMT'14 English-German."""

LENGTH_SHAPE = 2.0
"""Of the gamma distribution that source lengths follow; their deviation is 0.71 of the mean."""

RATIO_DEVIATION = 0.2
"""Of the logarithm of target length over source length."""

SPARE = 10
"""How much more is drawn than read, so that sentences of similar length share a batch."""


def require_at_least(least: int, name: str, value: int | None) -> None:
    """Raises InputError for a number that is smaller, or not there."""
    if value is None or value < least:
        raise InputError(f"{name} = {value} must be at least {least}")


class GeneratedText:
    """One text, which a language model reads in windows.

    Every window is `task.bptt` long, also where the recipe draws the length, and every batch is an
    update, so that updates can be compared.

    Args:
        config: of a run.
        updates: how many it must last for.
        streams: in place of dataset.batch_size.
    Raises:
        InputError: an impossible number.
    """

    SIZES = ("streams",)

    def __init__(self, config: DictConfig, updates: int, streams: int | None = None):
        paper_streams, bptt = config.dataset.batch_size, config.task.bptt
        require_at_least(1, "dataset.batch_size", paper_streams)
        require_at_least(1, "task.bptt", bptt)
        streams = paper_streams if streams is None else streams
        if not 1 <= streams <= paper_streams:
            raise InputError(
                f"streams = {streams} must lie between 1 and the recipe's {paper_streams}"
            )
        config.dataset.batch_size, config.optimization.update_freq = streams, [1]
        config.task.random_bptt, config.task.train_tokens = False, 0
        types = corpus_types(config.run.corpus)
        self._corpus = generated_corpus(types, updates * streams * bptt, config.seed)
        self.meta = self._corpus.meta
        self.fields = {
            "streams": streams,
            "paper_streams": paper_streams,
            "bptt": bptt,
            "tokens_per_update": streams * bptt,
            "paper_tokens_per_update": paper_streams * bptt,
        }
        self.remedy = f"take fewer streams than {streams} with --streams"

    def task(self, section: DictConfig) -> StreamLanguageModelingTask:
        task = tasks.setup_task(section, corpus=self._corpus)
        task.load_dataset("train")
        return task


def generated_corpus(num_types: int, num_tokens: int, seed: int) -> Corpus:
    """A corpus of a training split only; a type's id is its rank. Type 0 stands for `<eos>`."""
    ranks = zipf.draw(np.random.default_rng(seed), num_types, num_tokens)
    vocabulary = Vocabulary([EOS, *map(str, range(1, num_types))], [1] * num_types)
    tokens = {"train": (ranks - 1).astype(np.int32)}
    meta = {"name": "zipf", "sha256": {}, "tokens": {}, "types": num_types}
    return Corpus("zipf", Path(), tokens, vocabulary, meta)


def dictionary(types: int) -> Dictionary:
    """A dictionary of so many types, which are numbers; fairseq's special symbols included."""
    numbers = Dictionary()
    for number in range(types - len(numbers)):
        numbers.add_symbol(str(number))
    return numbers


class GeneratedPairs:
    """Pairs of sentences, which fairseq makes batches of as it does of a corpus.

    Args:
        config: of a run on one device.
        updates: how many they must last for.
        max_tokens: in place of dataset.max_tokens.
        update_freq: in place of the recipe's batches per update.
    Raises:
        InputError: an impossible number.
    """

    SIZES = ("max_tokens", "update_freq")

    def __init__(
        self,
        config: DictConfig,
        updates: int,
        max_tokens: int | None = None,
        update_freq: int | None = None,
    ):
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
        source_types, target_types = corpus_types(config.run.corpus)
        self._dictionaries = dictionary(source_types), dictionary(target_types)
        generator = np.random.default_rng(config.seed)
        model = config.model
        longest = min(max_tokens, model.max_source_positions, model.max_target_positions)
        self._sizes = lengths(generator, SPARE * updates * tokens, longest)
        self._sides = [
            sentences(generator, words, sizes)
            for words, sizes in zip(self._dictionaries, self._sizes, strict=True)
        ]
        self.meta = {
            "name": "zipf-pairs",
            "sha256": {},
            "tokens": {},
            "types": target_types,
            "source_types": source_types,
        }
        self.fields = {
            "max_tokens": max_tokens,
            "update_freq": update_freq,
            "tokens_per_update": tokens,
            "paper_tokens_per_update": paper_tokens,
        }
        self.remedy = f"take smaller batches than {max_tokens} tokens with --max-tokens"

    def task(self, section: DictConfig) -> DefineTranslationTask:
        task = DefineTranslationTask(section, *self._dictionaries)
        (source, target), (source_sizes, target_sizes) = self._sides, self._sizes
        task.datasets["train"] = LanguagePairDataset(
            source,
            source_sizes,
            task.source_dictionary,
            target,
            target_sizes,
            task.target_dictionary,
            left_pad_source=section.left_pad_source,
            left_pad_target=section.left_pad_target,
            pad_to_multiple=section.required_seq_len_multiple,
        )
        return task


def lengths(generator: np.random.Generator, tokens: int, longest: int) -> np.ndarray:
    """Lengths (2, pairs) of source and target, with about so many tokens on either side.

    A sentence has a word and its end at least.
    """
    count = -(-tokens // min(MEAN_LENGTH, longest))
    source = generator.gamma(LENGTH_SHAPE, MEAN_LENGTH / LENGTH_SHAPE, count)
    target = source * np.exp(generator.normal(0.0, RATIO_DEVIATION, count))
    return np.clip(np.rint([source, target]).astype(np.int64), 2, longest)


def sentences(
    generator: np.random.Generator, words: Dictionary, sizes: np.ndarray
) -> Sequence[torch.Tensor]:
    """Token ids (T,) of one sentence of each size; the rank of a word is its place after the
    special symbols, of which only the end of sentence occurs."""
    types = len(words) - words.nspecial
    tokens = zipf.draw(generator, types, sizes.sum()) + words.nspecial - 1
    tokens[sizes.cumsum() - 1] = words.eos()
    return torch.from_numpy(tokens).split(sizes.tolist())


MATERIALS = {"define_language_modeling": GeneratedText, "define_translation": GeneratedPairs}
"""Name of the task -> what its updates read."""
