"""A synthetic pair of languages for trials: sentences and their translations, made by rule.

The source language is like English: subject, verb, object; adjectives before the noun; a particle
opens a question. The target language is like German: determiners and adjectives agree with the
noun's gender, number and case; adjectives follow the noun in reverse order; the verb comes second
in a main clause, first in a question and last in a subordinate clause; a time adverb comes first;
separable prefixes end a main clause. One verb in ten has two translations, for animate and
inanimate subjects. Stems follow Zipf's law. The source determines the target, so the best possible
BLEU is 100. Sentences are the same on every machine, for so are `random.random`'s numbers.
"""

import random
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate, islice, product, repeat
from typing import TypeVar

Words = list[str]
T = TypeVar("T")

FEWEST_WORDS, MOST_WORDS = 4, 25  # of a source sentence; others are drawn again


def coin(consonants: str, step: int) -> Words:
    """All stems of two syllables, in an order in which neighbours look different."""
    stems = list(map("".join, product(consonants, "aeiou", consonants, "aeiou", consonants)))
    return [stems[index * step % len(stems)] for index in range(len(stems))]


NOUNS, VERBS, ADJECTIVES = 4_000, 2_000, 1_500
OTHER_VERBS = NOUNS + VERBS + ADJECTIVES
# The languages have no consonant in common, so no word is the same in both.
SOURCE, TARGET = coin("bdgklmprt", step=7_919), coin("cfhjnsvwz", step=6_007)

NOMINATIVE, ACCUSATIVE, DATIVE, GENITIVE = range(4)
ENDINGS = (
    (("o", "on", "om", "os"), ("i", "ir", "im", "is")),
    (("a", "an", "ei", "ae"), ("ai", "air", "aim", "ais")),
    (("e", "e", "em", "es"), ("u", "u", "um", "us")),
)
"""Of target determiners and adjectives: [gender][plural][case]."""
PLURALS = ("e", "en", "er")  # of target nouns, by gender
PREFIXES = ("", "", "hap", "nok", "sur", "vel")
DETERMINERS = (("da", "fer"), ("mun", "han"), ("mor", "sein"), ("tig", "jen"), ("kim", "nol"))
CONJUNCTIONS = (("por", "weg"), ("lis", "fels"), ("kand", "jan"), ("tam", "hob"))
PREPOSITIONS = (("gim", "zin", DATIVE), ("trog", "weit", ACCUSATIVE), ("bul", "von", DATIVE))
TIMES = (("leam", "heut"), ("drin", "nun"), ("plot", "fruh"), ("garn", "spat"))
OF, QUESTION = "de", "dul"


@cache
def zipf_edges(kinds: int) -> list[int]:
    """Cumulative weights of the ranks from 0 on by the Zipf-Mandelbrot law, 1 / (rank + 3)."""
    return list(accumulate(10**9 // (rank + 3) for rank in range(kinds)))


class Speaker(random.Random):
    """Draws sentences; the same seed gives the same ones."""

    def _chance(self, percent: int) -> bool:
        return self.random() * 100 < percent

    def _rank(self, kinds: int) -> int:
        edges = zipf_edges(kinds)
        return bisect(edges, int(self.random() * edges[-1]))

    def _one_of(self, options: Sequence[T]) -> T:
        return options[self._rank(len(options))]

    def _noun(self) -> tuple[int, bool]:
        """Its number, which decides about gender and animacy, and whether it is plural."""
        return self._rank(NOUNS), self._chance(30)

    def _phrase(self, case: int, noun: int, plural: bool) -> tuple[Words, Words]:
        ending = ENDINGS[noun % 3][plural][case]
        source = [SOURCE[noun] + "is" * plural]
        target = [(TARGET[noun] + PLURALS[noun % 3] * plural).capitalize()]
        for percent in (35, 20):
            if self._chance(percent):
                adjective = NOUNS + VERBS + self._rank(ADJECTIVES)
                source.insert(0, SOURCE[adjective])
                target.append(TARGET[adjective] + ending)
        if not plural or self._chance(60):
            word, translation = self._one_of(DETERMINERS)
            source.insert(0, word)
            target.insert(0, translation + ending)
        if self._chance(12):
            owner = self._phrase(GENITIVE, *self._noun())
            source += [OF, *owner[0]]
            target += owner[1]
        return source, target

    def _clause(self, order: str) -> tuple[Words, Words]:
        """Source and target words; `order` is that of the target: "main", "inverted" or "last"."""
        noun, plural = self._noun()
        source, subject = self._phrase(NOMINATIVE, noun, plural)
        verb, past = self._rank(VERBS), self._chance(40)
        source.append(SOURCE[NOUNS + verb] + "ed" * past + ("an" if plural else "o"))
        other = verb % 10 == 0 and noun % 2 == 0
        stem = TARGET[OTHER_VERBS + verb // 10 if other else NOUNS + verb]
        finite = stem + "et" * past + ("en" if plural else "et")
        prefix, middle, time = PREFIXES[verb % 6], [], []
        if verb % 3:
            thing = self._phrase(ACCUSATIVE, *self._noun())
            source += thing[0]
            middle += thing[1]
        if self._chance(25):
            word, translation, case = self._one_of(PREPOSITIONS)
            place = self._phrase(case, *self._noun())
            source += [word, *place[0]]
            middle += [translation, *place[1]]
        if self._chance(25):
            word, *time = self._one_of(TIMES)
            source.append(word)
        first, second = (time, subject) if time and order == "main" else (subject, time)
        if order == "last":
            return source, [*first, *second, *middle, prefix + finite]
        if order == "inverted":
            first, second = [], first + second
        return source, [*first, finite, *second, *middle, *filter(None, [prefix])]

    def sentence(self) -> tuple[str, str]:
        """A source sentence and its translation."""
        question, linked = self._chance(12), self._chance(25)
        before = linked and not question and self._chance(40)
        sides = self._clause("inverted" if question or before else "main")
        if question:
            sides[0].insert(0, QUESTION)
        if linked:
            clause = self._clause("last")
            for side, conjunction in zip(clause, self._one_of(CONJUNCTIONS), strict=True):
                side.insert(0, conjunction)
            first, then = (clause, sides) if before else (sides, clause)
            sides = [[*a[:-1], f"{a[-1]},", *b] for a, b in zip(first, then, strict=True)]
        end = "?" if question else "."
        source, target = (" ".join(words) + end for words in sides)
        return source[0].upper() + source[1:], target[0].upper() + target[1:]


def draw(size: int, seed: str) -> Iterator[tuple[str, str]]:
    """Pairs (source, target), always the same ones for a seed."""
    pairs = (speaker.sentence() for speaker in repeat(Speaker(seed)))
    return islice((p for p in pairs if FEWEST_WORDS <= len(p[0].split()) <= MOST_WORDS), size)


def build(pairs: Mapping[str, int]) -> dict[str, Iterator[tuple[str, str]]]:
    """Split -> its number of pairs, to be read once; a split does not depend on the others."""
    return {split: draw(size, f"grammar {split}") for split, size in pairs.items()}
