"""A sentence in the target language."""

from define.data.grammar.phrases import Clause, Coordination, Nominal, NounPhrase, Sentence
from define.data.grammar.spelling import comma, written
from define.data.grammar.words import (
    ACCUSATIVE,
    AGREEMENT,
    DATIVE,
    GENITIVE,
    NOMINATIVE,
    TARGET_RELATIVE,
    THAT,
    Word,
)


def realise_target(sentence: Sentence) -> str:
    """The one translation of the source sentence."""
    words: list[str] = []
    if sentence.before:
        _subordinate(words, sentence.before.conjunction, sentence.before.clause)
    _main(words, sentence.clause, fronted=bool(sentence.before) or sentence.question)
    if sentence.after:
        _subordinate(words, sentence.after.conjunction, sentence.after.clause)
    if sentence.second:
        comma(words)
        words.append(sentence.second.conjunction.target)
        _main(words, sentence.second.clause, fronted=False)
    return written(words, sentence)


def _main(words: list[str], clause: Clause, fronted: bool) -> None:
    """A clause with its verb second, after the time adverb or else the subject.

    Args:
        fronted: whether that first place is not free: a clause fills it, or a question leaves it.
    """
    subject, time = clause.subject, clause.time
    verb = clause.verb.target[subject.noun.animate]
    if time and not fronted:
        words.append(time.target)
        fronted, time = True, None
    if not fronted:
        _nominal(words, subject, NOMINATIVE)
    words.append(verb.finite[2 * clause.tense + subject.number])
    if fronted:
        _nominal(words, subject, NOMINATIVE)
    _middle(words, clause, subject, time)
    if rest := verb.rest[clause.tense]:
        words.append(rest)
    if clause.complement:
        _subordinate(words, THAT, clause.complement)


def _subordinate(words: list[str], conjunction: Word, clause: Clause) -> None:
    comma(words)
    words.append(conjunction.target)
    _verb_last(words, clause, clause.subject)
    comma(words)


def _verb_last(words: list[str], clause: Clause, subject: Nominal) -> None:
    """The rest of a subordinate clause; `subject` is a relative's head if it has no other."""
    if clause.subject:
        _nominal(words, subject, NOMINATIVE)
    _middle(words, clause, subject, clause.time)
    verb = clause.verb.target[subject.noun.animate]
    words.append(verb.final[2 * clause.tense + subject.number])
    if clause.complement:
        _subordinate(words, THAT, clause.complement)


def _middle(words: list[str], clause: Clause, subject: Nominal, time: Word | None) -> None:
    """What lies between the subject and the end: time, recipient, object, manner, place."""
    if time:
        words.append(time.target)
    if clause.predicate:
        agreement = 8 * subject.noun.gender + 4 * subject.number + NOMINATIVE
        words.append(clause.predicate.target[agreement])
    if clause.recipient:
        _noun_phrase(words, clause.recipient, DATIVE)
    if clause.object:
        _nominal(words, clause.object, ACCUSATIVE)
    if clause.manner:
        words.append(clause.manner.target_manner)
    if clause.place:
        words.append(clause.place.preposition.target)
        _noun_phrase(words, clause.place.phrase, clause.place.preposition.case)


def _nominal(words: list[str], nominal: Nominal, case: int) -> None:
    if isinstance(nominal, Coordination):
        _noun_phrase(words, nominal.first, case)
        words.append(nominal.conjunction.target)
        nominal = nominal.second
    _noun_phrase(words, nominal, case)


def _noun_phrase(words: list[str], phrase: NounPhrase, case: int) -> None:
    noun, form = phrase.noun, 4 * phrase.number + case
    agreement = 8 * noun.gender + form
    if phrase.determiner:
        words.append(phrase.determiner.target[agreement])
    if phrase.modifier:
        words.append(phrase.modifier.first + noun.last[form])
    else:
        words.append(noun.target[form])
    for adjective in reversed(phrase.adjectives):
        words.append(adjective.target[agreement])
    if phrase.genitive:
        _noun_phrase(words, phrase.genitive, GENITIVE)
    if phrase.relative:
        case = ACCUSATIVE if phrase.relative.subject else NOMINATIVE
        comma(words)
        words.append(TARGET_RELATIVE + AGREEMENT[noun.gender][phrase.number][case])
        _verb_last(words, phrase.relative, phrase.relative.subject or phrase)
        comma(words)
