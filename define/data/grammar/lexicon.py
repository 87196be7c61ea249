"""The words of the open classes, coined from syllables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from define.data.grammar.drawing import endless, zipf_weights
from define.data.grammar.words import (
    ACCUSATIVE,
    DATIVE,
    GENDERS,
    PREFIXES,
    SOURCE_FUNCTION_STEMS,
    SOURCE_MANNER,
    SOURCE_PLURAL,
    Adjective,
    Noun,
    Preposition,
    Verb,
    Word,
    make_adjective,
    make_noun,
    make_verb,
    source_finite,
)

SIZES = {
    "noun": 4_000,
    "adjective": 1_500,
    "intransitive": 500,
    "transitive": 1_000,
    "ditransitive": 200,
    "saying": 100,
    "preposition": 24,
    "time": 60,
}
"""Number of stems of each open or semi-open word class; the middle four are verbs."""
VALENCIES = ("intransitive", "transitive", "ditransitive", "saying")
AMBIGUOUS_EVERY = 10
"""One verb in so many has two translations."""

T = TypeVar("T")


@dataclass(frozen=True)
class Lexicon:
    """The words of the open classes, most frequent first; verbs by valency."""

    nouns: Sequence[Noun]
    adjectives: Sequence[Adjective]
    verbs: Mapping[str, Sequence[Verb]]
    prepositions: Sequence[Preposition]
    times: Sequence[Word]


@dataclass(frozen=True)
class Sounds:
    """What the syllables of a language are made of.

    The onsets of the two languages begin with different letters, so that they share no word form.
    """

    onsets: str
    nuclei: str
    codas: str


SOURCE_SOUNDS = Sounds(
    onsets="b d g k l m p r t bl br dr gl gr kl kr pl pr tr",
    nuclei="a e i o u ai ea ou",
    codas="k l m n r s t lk nd rt st",
)
TARGET_SOUNDS = Sounds(
    onsets="f h j n s v w z fl fr sch schw sp st vr zw",
    nuclei="a e i o u au ei ie",
    codas="ch f k l n r t cht ld ng nd rm",
)
SOURCE_ENDINGS = ("", SOURCE_PLURAL, SOURCE_MANNER, *source_finite(""))


def coiner(
    sounds: Sounds, endings: Sequence[str], taken: set[str], seed: Sequence[int]
) -> Callable[[int], str]:
    """A function that coins a new stem for a rank: the rarer, the more syllables.

    No stem has a form in common with another one, or with `taken`, by any of the `endings`.
    """
    parts = [part.split() for part in (sounds.onsets, sounds.nuclei, sounds.codas)]
    onset, nucleus, coda = (
        endless(part, zipf_weights(len(part)), (*seed, number)) for number, part in enumerate(parts)
    )

    def coin(rank: int) -> str:
        syllables = 1 + (rank >= 20) + (rank >= 1_000)
        while True:
            stem = "".join(onset() + nucleus() for _ in range(syllables)) + coda()
            forms = {stem + ending for ending in endings}
            if taken.isdisjoint(forms):
                taken.update(forms)
                return stem

    return coin


def coin_lexicon(seed: Sequence[int], sizes: Mapping[str, int] = SIZES) -> Lexicon:
    """Coins the words of all open classes; no two source words have a form in common."""
    numbers = count()

    def draw(options: Sequence[T], weights: Sequence[int]) -> Callable[[], T]:
        return endless(options, weights, (*seed, next(numbers)))

    taken = {stem + ending for stem in SOURCE_FUNCTION_STEMS for ending in SOURCE_ENDINGS}
    source = coiner(SOURCE_SOUNDS, SOURCE_ENDINGS, taken, (*seed, next(numbers)))
    target = coiner(TARGET_SOUNDS, ("",), set(), (*seed, next(numbers)))
    gender = draw(GENDERS, (4, 4, 3))
    animate = draw((False, True), (1, 1))
    case = draw((DATIVE, ACCUSATIVE), (2, 1))
    prefix = draw(PREFIXES, (10, 2, 2, 1, 1, 1))

    def verbs(valency: str) -> list[Verb]:
        return [
            make_verb(
                source(rank),
                *(target(rank) for _ in range(2 if rank % AMBIGUOUS_EVERY == 0 else 1)),
                prefix=prefix(),
            )
            for rank in range(sizes[valency])
        ]

    def ranks(kind: str) -> range:
        return range(sizes[kind])

    return Lexicon(
        prepositions=[Preposition(source(r), target(r), case()) for r in ranks("preposition")],
        times=[Word(source(r), target(r)) for r in ranks("time")],
        verbs={valency: verbs(valency) for valency in VALENCIES},
        nouns=[make_noun(source(r), target(r), gender(), animate()) for r in ranks("noun")],
        adjectives=[make_adjective(source(r), target(r)) for r in ranks("adjective")],
    )
