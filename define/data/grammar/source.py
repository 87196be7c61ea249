"""A sentence in the source language."""

from define.data.grammar.phrases import Clause, Coordination, Nominal, NounPhrase, Sentence
from define.data.grammar.spelling import comma, written
from define.data.grammar.words import (
    QUESTION_AUXILIARIES,
    SINGULAR,
    SOURCE_OF,
    SOURCE_RELATIVE,
    SOURCE_TO,
    THAT,
    Word,
)


def realise_source(sentence: Sentence) -> str:
    """The source sentence: words with a capital at the start and punctuation."""
    words: list[str] = []
    if sentence.before:
        _subordinate(words, sentence.before.conjunction, sentence.before.clause)
    _clause(words, sentence.clause, question=sentence.question)
    if sentence.after:
        _subordinate(words, sentence.after.conjunction, sentence.after.clause)
    if sentence.second:
        comma(words)
        words.append(sentence.second.conjunction.source)
        _clause(words, sentence.second.clause)
    return written(words, sentence)


def _subordinate(words: list[str], conjunction: Word, clause: Clause) -> None:
    comma(words)
    words.append(conjunction.source)
    _clause(words, clause)
    comma(words)


def _clause(
    words: list[str], clause: Clause, head: NounPhrase | None = None, question: bool = False
) -> None:
    """Subject, verb, objects, manner, place, time; `head` stands for a relative's subject."""
    inflection = 2 * clause.tense + (clause.subject or head).number
    if question:
        words.append(QUESTION_AUXILIARIES[inflection])
    if clause.subject:
        _nominal(words, clause.subject)
    words.append(clause.verb.source_bare if question else clause.verb.source[inflection])
    if clause.predicate:
        words.append(clause.predicate.source)
    if clause.object:
        _nominal(words, clause.object)
    if clause.recipient:
        words.append(SOURCE_TO)
        _noun_phrase(words, clause.recipient)
    if clause.manner:
        words.append(clause.manner.source_manner)
    if clause.place:
        words.append(clause.place.preposition.source)
        _noun_phrase(words, clause.place.phrase)
    if clause.time:
        words.append(clause.time.source)
    if clause.complement:
        _subordinate(words, THAT, clause.complement)


def _nominal(words: list[str], nominal: Nominal) -> None:
    if isinstance(nominal, Coordination):
        _noun_phrase(words, nominal.first)
        words.append(nominal.conjunction.source)
        nominal = nominal.second
    _noun_phrase(words, nominal)


def _noun_phrase(words: list[str], phrase: NounPhrase) -> None:
    if phrase.determiner:
        words.append(phrase.determiner.source)
    for adjective in phrase.adjectives:
        words.append(adjective.source)
    if phrase.modifier:
        words.append(phrase.modifier.source[SINGULAR])
    words.append(phrase.noun.source[phrase.number])
    if phrase.genitive:
        words.append(SOURCE_OF)
        _noun_phrase(words, phrase.genitive)
    if phrase.relative:
        comma(words)
        words.append(SOURCE_RELATIVE)
        _clause(words, phrase.relative, head=phrase)
        comma(words)
