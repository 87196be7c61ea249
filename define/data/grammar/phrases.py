"""What both languages say alike: phrases, clauses, sentences. What one does not have is None."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from define.data.grammar.words import PLURAL, Adjective, Determiner, Noun, Preposition, Verb, Word


@dataclass(slots=True)
class NounPhrase:
    """A noun with what belongs to it; `modifier` makes a compound with the noun."""

    noun: Noun
    number: int
    determiner: Determiner | None = None
    adjectives: Sequence[Adjective] = ()
    modifier: Noun | None = None
    genitive: "NounPhrase | None" = None
    relative: "Clause | None" = None


@dataclass(slots=True)
class Coordination:
    """Two noun phrases; plural for the verb, with the gender and animacy of the second one."""

    first: NounPhrase
    conjunction: Word
    second: NounPhrase
    number: ClassVar[int] = PLURAL

    @property
    def noun(self) -> Noun:
        """The one that decides about gender and animacy."""
        return self.second.noun


Nominal = NounPhrase | Coordination


@dataclass(slots=True)
class Place:
    """A prepositional phrase."""

    preposition: Preposition
    phrase: NounPhrase


@dataclass(slots=True)
class Clause:
    """A clause; in a relative clause, the subject or the object is None: the head stands for it."""

    subject: Nominal | None
    verb: Verb
    tense: int
    predicate: Adjective | None = None
    object: Nominal | None = None
    recipient: NounPhrase | None = None
    manner: Adjective | None = None
    place: Place | None = None
    time: Word | None = None
    complement: "Clause | None" = None


@dataclass(slots=True)
class Linked:
    """A clause with its conjunction."""

    conjunction: Word
    clause: Clause


@dataclass(slots=True)
class Sentence:
    """A main clause, perhaps with a subordinate clause before or after it, or a second main one."""

    clause: Clause
    question: bool = False
    before: Linked | None = None
    after: Linked | None = None
    second: Linked | None = None
