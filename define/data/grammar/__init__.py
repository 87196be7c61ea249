"""The embedded translation corpus: a pair of made-up languages, generated from a grammar.

Where no parallel text can be had, this pair stands for one. It is not a copy task. The source
language is much like English: subject, verb, object; invariable adjectives before the noun; tense
and number as suffixes of the verb; an auxiliary opens a question. The target language is much like
German: three genders and four cases, marked on determiners, nouns and adjectives, which follow
their noun in reverse order; the finite verb second in main clauses, first in questions and last in
subordinate clauses; time adverbs first, before the inverted subject; the recipient before the
object; separable prefixes and infinitives at the end of the clause; capitalised nouns and one-word
compounds. Stems are coined from syllables, unrelated between the languages, and drawn by Zipf's
law; one verb in ten has two translations, which the subject's animacy tells apart. The source
sentence determines the target sentence, so that the best possible BLEU is 100. Sentences have 4 to
25 source words. All draws are made of integers, hence alike on every machine.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from define.data.grammar.lexicon import Lexicon, coin_lexicon
from define.data.grammar.source import realise_source
from define.data.grammar.speaker import Speaker
from define.data.grammar.target import realise_target
from define.errors import InputError

FEWEST_WORDS, MOST_WORDS = 4, 25
"""Shortest and longest source sentence; others that the grammar makes are left out."""


@dataclass(frozen=True)
class Pairs:
    """Sentence pairs, made anew, and always the same, each time they are read.

    Attributes:
        size: the number of pairs.
        seed: of these pairs; not of the lexicon.
    """

    lexicon: Lexicon
    size: int
    seed: Sequence[int]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        speaker = Speaker(self.lexicon, self.seed)
        left = self.size
        while left:
            sentence = speaker.sentence()
            source = realise_source(sentence)
            if FEWEST_WORDS <= source.count(" ") + 1 <= MOST_WORDS:
                yield source, realise_target(sentence)
                left -= 1


def build(pairs: Mapping[str, int], seed: int = 1) -> dict[str, Pairs]:
    """The (source, target) sentences of every split; a split does not depend on the others.

    Args:
        pairs: split -> number of pairs.
        seed: decides about the lexicon, which the splits share, and about the sentences.
    Raises:
        InputError: a number of pairs is below 1, or the seed below 0.
    """
    for split, size in pairs.items():
        if size < 1:
            raise InputError(
                f"The {split} split of the grammar corpus is to have {size} pairs; ask for 1 or "
                "more, or leave the split out."
            )
    if seed < 0:
        raise InputError(f"The grammar corpus has seed {seed}, below 0; use 0 or more.")
    lexicon = coin_lexicon((seed, zlib.crc32(b"lexicon")))
    return {
        split: Pairs(lexicon, size, (seed, zlib.crc32(split.encode())))
        for split, size in pairs.items()
    }
