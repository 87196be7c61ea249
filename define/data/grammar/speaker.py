"""The grammar's rules with their chances: sentences, drawn."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import TypeVar

from define.data.grammar.drawing import endless, zipf_weights
from define.data.grammar.lexicon import VALENCIES, Lexicon
from define.data.grammar.phrases import (
    Clause,
    Coordination,
    Linked,
    Nominal,
    NounPhrase,
    Place,
    Sentence,
)
from define.data.grammar.words import (
    AND,
    BUT,
    COPULA,
    DETERMINERS,
    FUTURE,
    OR,
    PAST,
    PLURAL,
    PRESENT,
    SINGULAR,
    SUBORDINATORS,
)

T = TypeVar("T")


class Speaker:
    """Draws sentences: the grammar's rules with their chances.

    Every choice has a stream of its own, so that the sentences do not depend on `BLOCK`.
    """

    def __init__(self, lexicon: Lexicon, seed: Sequence[int]):
        numbers = count()

        def draw(options: Sequence[T], weights: Sequence[int] | None = None) -> Callable[[], T]:
            return endless(options, weights or zipf_weights(len(options)), (*seed, next(numbers)))

        def chance(percent: int) -> Callable[[], bool]:
            return draw((True, False), (percent, 100 - percent))

        self._noun = draw(lexicon.nouns)
        self._adjective = draw(lexicon.adjectives)
        self._verb = {valency: draw(lexicon.verbs[valency]) for valency in VALENCIES}
        self._verb["copula"] = draw((COPULA,))
        self._preposition = draw(lexicon.prepositions)
        self._time = draw(lexicon.times)
        self._determiner = [draw(options) for options in DETERMINERS]
        self._nominal_link = draw((AND, OR))
        self._main_link = draw((AND, BUT))
        self._subordinator = draw(SUBORDINATORS)

        self._structure = draw(("simple", "before", "after", "second"), (70, 10, 10, 10))
        self._is_question = chance(12)
        self._valency = draw((*VALENCIES, "copula"), (20, 50, 8, 10, 12))
        self._tense = draw((PRESENT, PAST, FUTURE), (50, 35, 15))
        self._has_manner = chance(15)
        self._has_place = chance(25)
        self._has_time = chance(25)
        self._is_coordinated = chance(8)
        self._has_relative = chance(10)
        self._number = draw((SINGULAR, PLURAL), (70, 30))
        self._adjectives = draw((0, 1, 2), (65, 28, 7))
        self._has_modifier = chance(8)
        self._has_genitive = chance(12)
        self._relative_of = draw(("intransitive", "subject", "object"), (1, 2, 2))

    def sentence(self) -> Sentence:
        structure = self._structure()
        sentence = Sentence(self._clause())
        if structure in ("simple", "after"):
            sentence.question = self._is_question()
        if structure == "before":
            sentence.before = Linked(self._subordinator(), self._clause())
        elif structure == "after":
            sentence.after = Linked(self._subordinator(), self._clause())
        elif structure == "second":
            sentence.second = Linked(self._main_link(), self._clause())
        return sentence

    def _clause(self) -> Clause:
        valency = self._valency()
        clause = Clause(self._nominal(), self._verb[valency](), self._tense())
        if valency == "copula":
            clause.predicate = self._adjective()
        elif valency == "saying":
            clause.complement = self._clause()
        elif valency != "intransitive":
            clause.object = self._nominal()
        if valency == "ditransitive":
            clause.recipient = self._simple()
        if valency != "copula" and self._has_manner():
            clause.manner = self._adjective()
        if self._has_place():
            clause.place = Place(self._preposition(), self._extended())
        if self._has_time():
            clause.time = self._time()
        return clause

    def _relative(self) -> Clause:
        """A relative clause, without relative clauses in it."""
        gap = self._relative_of()
        verb = self._verb["intransitive" if gap == "intransitive" else "transitive"]()
        subject = self._simple() if gap == "object" else None
        clause = Clause(subject, verb, self._tense())
        if gap == "subject":
            clause.object = self._extended()
        if self._has_place():
            clause.place = Place(self._preposition(), self._simple())
        return clause

    def _nominal(self) -> Nominal:
        if self._is_coordinated():
            return Coordination(self._simple(), self._nominal_link(), self._simple())
        if self._has_relative():
            phrase = self._simple()
            phrase.relative = self._relative()
            return phrase
        return self._extended()

    def _extended(self) -> NounPhrase:
        phrase = self._simple()
        if self._has_genitive():
            phrase.genitive = self._simple()
        return phrase

    def _simple(self) -> NounPhrase:
        number = self._number()
        return NounPhrase(
            self._noun(),
            number,
            self._determiner[number](),
            [self._adjective() for _ in range(self._adjectives())],
            self._noun() if self._has_modifier() else None,
        )
