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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import ClassVar, TypeVar

import numpy as np

from define.errors import InputError

FEWEST_WORDS, MOST_WORDS = 4, 25
"""Shortest and longest source sentence; others that the grammar makes are left out."""

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

BLOCK = 8_192
"""Draws made at once; the text does not depend on it."""

T = TypeVar("T")

# Features are small integers, for forms lie in tuples: a noun's at 4 * number + case, an
# adjective's at 8 * gender + 4 * number + case, a verb's at 2 * tense + number.
SINGULAR, PLURAL = range(2)
PRESENT, PAST, FUTURE = range(3)
MASCULINE, FEMININE, NEUTER = GENDERS = range(3)
NOMINATIVE, ACCUSATIVE, DATIVE, GENITIVE = range(4)


# Words and their inflection.

SOURCE_PLURAL = "is"
SOURCE_MANNER = "im"
SOURCE_TENSES = ("", "ed")
SOURCE_NUMBERS = ("o", "an")
SOURCE_FUTURE = ("biro", "biran")
SOURCE_QUESTION = "dul"
SOURCE_OF, SOURCE_TO, SOURCE_RELATIVE = "de", "pai", "kel"

AGREEMENT = (
    (("o", "on", "om", "os"), ("i", "ir", "im", "is")),
    (("a", "an", "ei", "ae"), ("ai", "air", "aim", "ais")),
    (("e", "e", "em", "es"), ("u", "u", "um", "us")),
)
"""Endings of target determiners, adjectives and relative pronouns: [gender][number][case]."""
NOUN_ENDINGS = (
    (("", "", "e", "es"), ("e", "e", "en", "e")),
    (("", "", "", ""), ("en", "en", "en", "en")),
    (("", "", "", "s"), ("er", "er", "ern", "er")),
)
UMLAUT = str.maketrans("aou", "äöü")
"""Vowels of a target noun that is plural and not feminine."""
LINKS = ("s", "en", "e")
"""What follows the first noun of a target compound, by its gender."""
TARGET_TENSES = (("et", "en"), ("ete", "eten"))
TARGET_INFINITIVE = "en"
TARGET_FUTURE = ("wol", "wolen")
TARGET_RELATIVE = "wel"
PREFIXES = ("", "hap", "nok", "sur", "vel", "zim")


@dataclass(frozen=True, slots=True)
class Word:
    """A word that neither language inflects: a conjunction, a time adverb."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Preposition:
    """A preposition; the target noun phrase after it stands in `case`."""

    source: str
    target: str
    case: int


@dataclass(frozen=True, slots=True)
class Determiner:
    """A determiner, invariable in the source; `target` holds a form per gender, number, case."""

    source: str
    target: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun.

    Attributes:
        source: forms by number.
        target: capitalised forms by number and case.
        first, last: as a part of a target compound: the form of the first part, and the forms of
            the last part by number and case.
    """

    source: tuple[str, str]
    target: tuple[str, ...]
    first: str
    last: tuple[str, ...]
    gender: int
    animate: bool


@dataclass(frozen=True, slots=True)
class Adjective:
    """An adjective, and the adverb of manner made from it.

    Attributes:
        source, source_manner: invariable.
        target: forms by gender, number and case.
        target_manner: the bare stem.
    """

    source: str
    source_manner: str
    target: tuple[str, ...]
    target_manner: str


@dataclass(frozen=True, slots=True)
class TargetVerb:
    """Forms of a target verb; some are two words, some are empty.

    Attributes:
        finite: the finite part, where it comes second or first, by tense and number.
        rest: the rest, which closes the same clause, by tense: the prefix or the infinitive.
        final: all of it, as it closes a subordinate clause, by tense and number.
    """

    finite: tuple[str, ...]
    rest: tuple[str, ...]
    final: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: source forms by tense and number, the bare one, and a translation by animacy."""

    source: tuple[str, ...]
    source_bare: str
    target: tuple[TargetVerb, TargetVerb]


def make_determiner(source: str, target: str) -> Determiner:
    return Determiner(source, _agreeing(target))


def make_noun(source: str, target: str, gender: int, animate: bool) -> Noun:
    plural = target if gender == FEMININE else target.translate(UMLAUT)
    endings = NOUN_ENDINGS[gender]
    forms = [target + ending for ending in endings[SINGULAR]]
    forms += [plural + ending for ending in endings[PLURAL]]
    return Noun(
        source=(source, source + SOURCE_PLURAL),
        target=tuple(form.capitalize() for form in forms),
        first=target.capitalize() + LINKS[gender],
        last=tuple(forms),
        gender=gender,
        animate=animate,
    )


def make_adjective(source: str, target: str) -> Adjective:
    return Adjective(source, source + SOURCE_MANNER, _agreeing(target), target)


def make_verb(source: str, *targets: str, prefix: str = "") -> Verb:
    """The verb of a source stem and one target stem, or two: of inanimate and animate subjects."""
    future = (f"{form} {source}" for form in SOURCE_FUTURE)
    forms = [_target_verb(target, prefix) for target in targets]
    return Verb((*_source_finite(source), *future), source, (forms[0], forms[-1]))


def _agreeing(stem: str) -> tuple[str, ...]:
    return tuple(stem + ending for numbers in AGREEMENT for cases in numbers for ending in cases)


def _source_finite(stem: str) -> list[str]:
    return [stem + tense + number for tense in SOURCE_TENSES for number in SOURCE_NUMBERS]


def _target_verb(stem: str, prefix: str) -> TargetVerb:
    finite = [stem + ending for tense in TARGET_TENSES for ending in tense]
    infinitive = prefix + stem + TARGET_INFINITIVE
    return TargetVerb(
        finite=(*finite, *TARGET_FUTURE),
        rest=(prefix, prefix, infinitive),
        final=(
            *(prefix + form for form in finite),
            *(f"{infinitive} {form}" for form in TARGET_FUTURE),
        ),
    )


QUESTION_AUXILIARIES = (*_source_finite(SOURCE_QUESTION), *SOURCE_FUTURE)
"""By tense and number."""

THE = make_determiner("da", "fer")
A = make_determiner("mun", "han")
SOME = make_determiner("rek", "zal")
MY = make_determiner("mor", "sein")
THIS = make_determiner("tig", "jen")
EVERY = make_determiner("bal", "vol")
MANY = make_determiner("plu", "schof")
NO = make_determiner("kim", "nol")
DETERMINERS = ((THE, A, MY, THIS, EVERY, NO), (THE, None, SOME, MY, THIS, MANY, NO))
"""The determiners of singular and plural nouns, most frequent first."""
COPULA = make_verb("ban", "wes")
AND, OR, BUT = Word("ta", "nu"), Word("gor", "hod"), Word("merd", "sund")
THAT = Word("ken", "vass")
BECAUSE, IF = Word("por", "weg"), Word("lis", "fels")
WHEN, ALTHOUGH = Word("kand", "jan"), Word("tam", "hob")
SUBORDINATORS = (BECAUSE, IF, WHEN, ALTHOUGH)
SOURCE_FUNCTION_STEMS = (
    *(*SOURCE_FUTURE, SOURCE_QUESTION, SOURCE_OF, SOURCE_TO, SOURCE_RELATIVE),
    *(word.source for words in DETERMINERS for word in words if word),
    *(word.source for word in (AND, OR, BUT, THAT, *SUBORDINATORS)),
    COPULA.source_bare,
)


# Phrases. What a phrase does not have is None.


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


# The source language.


def realise_source(sentence: Sentence) -> str:
    """The source sentence: words with a capital at the start and punctuation."""
    words: list[str] = []
    if sentence.before:
        _source_subordinate(words, sentence.before.conjunction, sentence.before.clause)
    _source_clause(words, sentence.clause, question=sentence.question)
    if sentence.after:
        _source_subordinate(words, sentence.after.conjunction, sentence.after.clause)
    if sentence.second:
        _comma(words)
        words.append(sentence.second.conjunction.source)
        _source_clause(words, sentence.second.clause)
    return _written(words, sentence)


def _source_subordinate(words: list[str], conjunction: Word, clause: Clause) -> None:
    _comma(words)
    words.append(conjunction.source)
    _source_clause(words, clause)
    _comma(words)


def _source_clause(
    words: list[str], clause: Clause, head: NounPhrase | None = None, question: bool = False
) -> None:
    """Subject, verb, objects, manner, place, time; `head` stands for a relative's subject."""
    inflection = 2 * clause.tense + (clause.subject or head).number
    if question:
        words.append(QUESTION_AUXILIARIES[inflection])
    if clause.subject:
        _source_nominal(words, clause.subject)
    words.append(clause.verb.source_bare if question else clause.verb.source[inflection])
    if clause.predicate:
        words.append(clause.predicate.source)
    if clause.object:
        _source_nominal(words, clause.object)
    if clause.recipient:
        words.append(SOURCE_TO)
        _source_noun_phrase(words, clause.recipient)
    if clause.manner:
        words.append(clause.manner.source_manner)
    if clause.place:
        words.append(clause.place.preposition.source)
        _source_noun_phrase(words, clause.place.phrase)
    if clause.time:
        words.append(clause.time.source)
    if clause.complement:
        _source_subordinate(words, THAT, clause.complement)


def _source_nominal(words: list[str], nominal: Nominal) -> None:
    if isinstance(nominal, Coordination):
        _source_noun_phrase(words, nominal.first)
        words.append(nominal.conjunction.source)
        nominal = nominal.second
    _source_noun_phrase(words, nominal)


def _source_noun_phrase(words: list[str], phrase: NounPhrase) -> None:
    if phrase.determiner:
        words.append(phrase.determiner.source)
    for adjective in phrase.adjectives:
        words.append(adjective.source)
    if phrase.modifier:
        words.append(phrase.modifier.source[SINGULAR])
    words.append(phrase.noun.source[phrase.number])
    if phrase.genitive:
        words.append(SOURCE_OF)
        _source_noun_phrase(words, phrase.genitive)
    if phrase.relative:
        _comma(words)
        words.append(SOURCE_RELATIVE)
        _source_clause(words, phrase.relative, head=phrase)
        _comma(words)


# The target language.


def realise_target(sentence: Sentence) -> str:
    """The one translation of the source sentence."""
    words: list[str] = []
    if sentence.before:
        _target_subordinate(words, sentence.before.conjunction, sentence.before.clause)
    _target_main(words, sentence.clause, fronted=bool(sentence.before) or sentence.question)
    if sentence.after:
        _target_subordinate(words, sentence.after.conjunction, sentence.after.clause)
    if sentence.second:
        _comma(words)
        words.append(sentence.second.conjunction.target)
        _target_main(words, sentence.second.clause, fronted=False)
    return _written(words, sentence)


def _target_main(words: list[str], clause: Clause, fronted: bool) -> None:
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
        _target_nominal(words, subject, NOMINATIVE)
    words.append(verb.finite[2 * clause.tense + subject.number])
    if fronted:
        _target_nominal(words, subject, NOMINATIVE)
    _target_middle(words, clause, subject, time)
    if rest := verb.rest[clause.tense]:
        words.append(rest)
    if clause.complement:
        _target_subordinate(words, THAT, clause.complement)


def _target_subordinate(words: list[str], conjunction: Word, clause: Clause) -> None:
    _comma(words)
    words.append(conjunction.target)
    _target_verb_last(words, clause, clause.subject)
    _comma(words)


def _target_verb_last(words: list[str], clause: Clause, subject: Nominal) -> None:
    """The rest of a subordinate clause; `subject` is a relative's head if it has no other."""
    if clause.subject:
        _target_nominal(words, subject, NOMINATIVE)
    _target_middle(words, clause, subject, clause.time)
    verb = clause.verb.target[subject.noun.animate]
    words.append(verb.final[2 * clause.tense + subject.number])
    if clause.complement:
        _target_subordinate(words, THAT, clause.complement)


def _target_middle(words: list[str], clause: Clause, subject: Nominal, time: Word | None) -> None:
    """What lies between the subject and the end: time, recipient, object, manner, place."""
    if time:
        words.append(time.target)
    if clause.predicate:
        agreement = 8 * subject.noun.gender + 4 * subject.number + NOMINATIVE
        words.append(clause.predicate.target[agreement])
    if clause.recipient:
        _target_noun_phrase(words, clause.recipient, DATIVE)
    if clause.object:
        _target_nominal(words, clause.object, ACCUSATIVE)
    if clause.manner:
        words.append(clause.manner.target_manner)
    if clause.place:
        words.append(clause.place.preposition.target)
        _target_noun_phrase(words, clause.place.phrase, clause.place.preposition.case)


def _target_nominal(words: list[str], nominal: Nominal, case: int) -> None:
    if isinstance(nominal, Coordination):
        _target_noun_phrase(words, nominal.first, case)
        words.append(nominal.conjunction.target)
        nominal = nominal.second
    _target_noun_phrase(words, nominal, case)


def _target_noun_phrase(words: list[str], phrase: NounPhrase, case: int) -> None:
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
        _target_noun_phrase(words, phrase.genitive, GENITIVE)
    if phrase.relative:
        case = ACCUSATIVE if phrase.relative.subject else NOMINATIVE
        _comma(words)
        words.append(TARGET_RELATIVE + AGREEMENT[noun.gender][phrase.number][case])
        _target_verb_last(words, phrase.relative, phrase.relative.subject or phrase)
        _comma(words)


# Spelling, common to both languages.


def _comma(words: list[str]) -> None:
    """Sets off a clause; none at the very start, and one where two clauses meet."""
    if words and words[-1][-1] != ",":
        words[-1] += ","


def _written(words: list[str], sentence: Sentence) -> str:
    text = " ".join(words)
    return text[0].upper() + text[1:].rstrip(",") + ("?" if sentence.question else ".")


# The lexicon.


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
SOURCE_ENDINGS = ("", SOURCE_PLURAL, SOURCE_MANNER, *_source_finite(""))


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


# Drawing.


def zipf_weights(kinds: int) -> list[int]:
    """Weights of the ranks 1 to `kinds` by the Zipf-Mandelbrot law, 1 / (rank + 2)."""
    return [10**9 // (rank + 2) for rank in range(1, kinds + 1)]


def endless(options: Sequence[T], weights: Sequence[int], seed: Sequence[int]) -> Callable[[], T]:
    """A function that draws one of `options` at each call, with chances as the weights.

    Only integers and numpy's bit generator are used: their results are fixed for good.
    """
    table = np.empty(len(options), object)
    table[:] = options
    edges = np.cumsum(np.array(weights, np.uint64))
    generator = np.random.PCG64(seed)

    def blocks() -> Iterator[list[T]]:
        while True:
            drawn = generator.random_raw(BLOCK) % edges[-1]
            yield table[np.searchsorted(edges, drawn, side="right")].tolist()

    return chain.from_iterable(blocks()).__next__


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
