"""Words of both languages and how they inflect; the words of the closed classes."""

from dataclasses import dataclass

# Features are small integers, for forms lie in tuples: a noun's at 4 * number + case, an
# adjective's at 8 * gender + 4 * number + case, a verb's at 2 * tense + number.
SINGULAR, PLURAL = range(2)
PRESENT, PAST, FUTURE = range(3)
MASCULINE, FEMININE, NEUTER = GENDERS = range(3)
NOMINATIVE, ACCUSATIVE, DATIVE, GENITIVE = range(4)

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
    return Verb((*source_finite(source), *future), source, (forms[0], forms[-1]))


def _agreeing(stem: str) -> tuple[str, ...]:
    return tuple(stem + ending for numbers in AGREEMENT for cases in numbers for ending in cases)


def source_finite(stem: str) -> list[str]:
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


QUESTION_AUXILIARIES = (*source_finite(SOURCE_QUESTION), *SOURCE_FUTURE)
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
