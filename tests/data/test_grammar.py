"""The generated language pair: its rules by example, by parsing back, and by counting."""

import hashlib
import tracemalloc
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from define.data import grammar
from define.data.grammar import drawing
from define.data.grammar.drawing import endless, zipf_weights
from define.data.grammar.lexicon import AMBIGUOUS_EVERY, SIZES, Lexicon
from define.data.grammar.phrases import Clause, Coordination, Linked, NounPhrase, Place, Sentence
from define.data.grammar.source import realise_source
from define.data.grammar.speaker import Speaker
from define.data.grammar.target import realise_target
from define.data.grammar.words import (
    ACCUSATIVE,
    AND,
    BECAUSE,
    BUT,
    COPULA,
    DATIVE,
    DETERMINERS,
    FEMININE,
    FUTURE,
    IF,
    MASCULINE,
    MY,
    NEUTER,
    OR,
    PAST,
    PLURAL,
    PRESENT,
    QUESTION_AUXILIARIES,
    SINGULAR,
    SOME,
    SOURCE_OF,
    SOURCE_RELATIVE,
    SOURCE_TO,
    SUBORDINATORS,
    THAT,
    THE,
    THIS,
    A,
    Preposition,
    Word,
    make_adjective,
    make_noun,
    make_verb,
)
from define.errors import InputError

HOUND = make_noun("belk", "wuf", MASCULINE, animate=True)
ROSE = make_noun("ros", "fiel", FEMININE, animate=False)
HOUSE = make_noun("gand", "hort", NEUTER, animate=False)
HEAVY, RED = make_adjective("plan", "schwer"), make_adjective("krit", "zon")
SLEEP = make_verb("tur", "schnar", "ruh")
SEE = make_verb("mir", "fis", prefix="nok")
GIVE, SAY = make_verb("don", "vur"), make_verb("lar", "spek")
TODAY = Word("leam", "heut")
IN, INTO = Preposition("gim", "zin", DATIVE), Preposition("trog", "weit", ACCUSATIVE)
VERBS = {"intransitive": [SLEEP], "transitive": [SEE], "ditransitive": [GIVE], "saying": [SAY]}
TINY = Lexicon([HOUND, ROSE, HOUSE], [HEAVY, RED], VERBS, [IN, INTO], [TODAY])

THE_HOUND = NounPhrase(HOUND, SINGULAR, THE)
THE_ROSE = NounPhrase(ROSE, SINGULAR, THE)
MY_HOUSE = NounPhrase(HOUSE, SINGULAR, MY)
ROSES = NounPhrase(ROSE, PLURAL)
HOUND_SLEEPS = Clause(THE_HOUND, SLEEP, PRESENT)
SEES_ROSE = Clause(THE_HOUND, SEE, PRESENT, object=THE_ROSE)

EXAMPLES = {
    "verb second, prefix last": (
        Sentence(SEES_ROSE),
        "Da belk miro da ros.",
        "Fero Wuf fiset feran Fiel nok.",
    ),
    "plural subject, past, bare plural with umlaut": (
        Sentence(
            Clause(NounPhrase(HOUND, PLURAL, SOME), SEE, PAST, object=NounPhrase(HOUSE, PLURAL))
        ),
        "Rek belkis miredan gandis.",
        "Zali Wüfe fiseten Hörter nok.",
    ),
    "future: auxiliary second, infinitive last": (
        Sentence(Clause(THE_HOUND, SEE, FUTURE, object=THE_ROSE)),
        "Da belk biro mir da ros.",
        "Fero Wuf wol feran Fiel nokfisen.",
    ),
    "time first, then the verb, then the subject": (
        Sentence(Clause(THE_HOUND, SEE, PRESENT, object=THE_ROSE, time=TODAY)),
        "Da belk miro da ros leam.",
        "Heut fiset fero Wuf feran Fiel nok.",
    ),
    "question: auxiliary in the source, verb first in the target": (
        Sentence(Clause(THE_HOUND, SEE, PAST, object=THE_ROSE, time=TODAY), question=True),
        "Duledo da belk mir da ros leam?",
        "Fisete fero Wuf heut feran Fiel nok?",
    ),
    "question in the future": (
        Sentence(Clause(ROSES, SLEEP, FUTURE), question=True),
        "Biran rosis tur?",
        "Wolen Fielen schnaren?",
    ),
    "adjectives follow in reverse order, with the determiner's endings": (
        Sentence(Clause(NounPhrase(ROSE, PLURAL, THIS, [HEAVY, RED]), SLEEP, PRESENT)),
        "Tig plan krit rosis turan.",
        "Jenai Fielen zonai schwerai schnaren.",
    ),
    "animate subjects have the other verb": (
        Sentence(HOUND_SLEEPS),
        "Da belk turo.",
        "Fero Wuf ruhet.",
    ),
    "recipient first, in the dative": (
        Sentence(
            Clause(THE_HOUND, GIVE, PRESENT, object=THE_ROSE, recipient=NounPhrase(HOUSE, PLURAL))
        ),
        "Da belk dono da ros pai gandis.",
        "Fero Wuf vuret Hörtern feran Fiel.",
    ),
    "predicate agrees with the second of two subjects": (
        Sentence(Clause(Coordination(THE_HOUND, OR, THE_ROSE), COPULA, PRESENT, predicate=RED)),
        "Da belk gor da ros banan krit.",
        "Fero Wuf hod fera Fiel wesen zonai.",
    ),
    "compounds, linked by the gender of the first noun": (
        Sentence(
            Clause(
                NounPhrase(HOUSE, PLURAL, THE, modifier=HOUND),
                SEE,
                PRESENT,
                object=NounPhrase(HOUND, SINGULAR, A, [RED], modifier=ROSE),
            )
        ),
        "Da belk gandis miran mun krit ros belk.",
        "Feru Wufshörter fisen hanon Fielenwuf zonon nok.",
    ),
    "genitive, manner and place": (
        Sentence(
            Clause(
                NounPhrase(HOUND, SINGULAR, THE, [RED], genitive=MY_HOUSE),
                SLEEP,
                PRESENT,
                manner=HEAVY,
                place=Place(IN, MY_HOUSE),
            )
        ),
        "Da krit belk de mor gand turo planim gim mor gand.",
        "Fero Wuf zono seines Horts ruhet schwer zin seinem Hort.",
    ),
    "the preposition decides about the case": (
        Sentence(Clause(THE_HOUND, SLEEP, PRESENT, place=Place(INTO, THE_HOUND))),
        "Da belk turo trog da belk.",
        "Fero Wuf ruhet weit feron Wuf.",
    ),
    "that clause: verb last with its prefix, time after the subject": (
        Sentence(
            Clause(
                THE_HOUND,
                SAY,
                PAST,
                complement=Clause(ROSES, SEE, PRESENT, object=MY_HOUSE, time=TODAY),
            )
        ),
        "Da belk laredo, ken rosis miran mor gand leam.",
        "Fero Wuf spekete, vass Fielen heut seine Hort nokfisen.",
    ),
    "subordinate clause before: inversion": (
        Sentence(
            Clause(THE_ROSE, SLEEP, PRESENT, time=TODAY),
            before=Linked(IF, Clause(THE_HOUND, SEE, FUTURE, object=ROSES)),
        ),
        "Lis da belk biro mir rosis, da ros turo leam.",
        "Fels fero Wuf Fielen nokfisen wol, schnaret fera Fiel heut.",
    ),
    "subordinate clause after a question": (
        Sentence(HOUND_SLEEPS, question=True, after=Linked(BECAUSE, SEES_ROSE)),
        "Dulo da belk tur, por da belk miro da ros?",
        "Ruhet fero Wuf, weg fero Wuf feran Fiel nokfiset?",
    ),
    "second main clause": (
        Sentence(
            HOUND_SLEEPS,
            second=Linked(BUT, Clause(ROSES, SLEEP, PAST, time=TODAY)),
        ),
        "Da belk turo, merd rosis turedan leam.",
        "Fero Wuf ruhet, sund heut schnareten Fielen.",
    ),
    "relative clause about the object": (
        Sentence(
            Clause(
                THE_HOUND,
                SEE,
                PRESENT,
                object=NounPhrase(
                    ROSE, SINGULAR, THE, relative=Clause(NounPhrase(HOUND, PLURAL), SEE, PAST)
                ),
            )
        ),
        "Da belk miro da ros, kel belkis miredan.",
        "Fero Wuf fiset feran Fiel, welan Wüfe nokfiseten, nok.",
    ),
    "relative clause about the subject, and one comma for two clauses that end": (
        Sentence(
            HOUND_SLEEPS,
            before=Linked(
                IF,
                Clause(
                    ROSES,
                    SEE,
                    PRESENT,
                    object=NounPhrase(
                        HOUND,
                        PLURAL,
                        THE,
                        relative=Clause(
                            None, SEE, PRESENT, object=Coordination(ROSES, AND, MY_HOUSE)
                        ),
                    ),
                ),
            ),
        ),
        "Lis rosis miran da belkis, kel miran rosis ta mor gand, da belk turo.",
        "Fels Fielen ferir Wüfe, weli Fielen nu seine Hort nokfisen, nokfisen, ruhet fero Wuf.",
    ),
}


@pytest.fixture(scope="module")
def pairs() -> list[tuple[str, str]]:
    return list(grammar.build({"train": 10_000})["train"])


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return grammar.build({"train": 1})["train"].lexicon


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name):
    sentence, source, target = EXAMPLES[name]
    assert realise_source(sentence) == source
    assert realise_target(sentence) == target


def test_the_same_on_every_machine():
    splits = grammar.build({"train": 1_000, "valid": 200, "test": 200})
    text = "".join(f"{source}\t{target}\n" for split in splits.values() for source, target in split)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "661f754142e528f6305f2a2729f9f723e21b61dd5c7d692fb05d9c9232b7866f"


def test_read_twice_and_a_prefix_of_any_larger_corpus():
    small = grammar.build({"train": 50, "valid": 40})
    large = grammar.build({"train": 4_500_000, "valid": 70, "test": 40})
    for split in ("train", "valid"):
        first = list(small[split])
        assert first == list(small[split]) == list(islice(large[split], len(first)))
    assert [len(list(small[split])) for split in small] == [50, 40]


def test_splits_and_seeds_differ():
    one, two = (
        grammar.build({"train": 200, "valid": 200, "test": 200}, seed=seed) for seed in (1, 2)
    )
    texts = [frozenset(pairs) for pairs in (*one.values(), *two.values())]
    assert all(not a & b for i, a in enumerate(texts) for b in texts[:i])
    assert one["train"].lexicon == one["test"].lexicon != two["train"].lexicon


def test_the_text_does_not_depend_on_the_blocks(monkeypatch):
    whole = list(grammar.build({"train": 200})["train"])
    monkeypatch.setattr(drawing, "BLOCK", 7)
    assert list(grammar.build({"train": 200})["train"]) == whole


def test_memory_does_not_grow_with_the_number_of_pairs():
    stream = iter(grammar.build({"train": 4_500_000})["train"])
    tracemalloc.start()
    try:
        peaks = []
        for _ in range(2):
            for _ in islice(stream, 6_000):
                pass
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 200_000, "bytes; the pairs themselves have a million"


@pytest.mark.parametrize("size", [0, -3])
def test_sizes_below_one_are_refused(size):
    with pytest.raises(InputError, match=f"valid split .* {size} pairs; ask for 1 or more"):
        grammar.build({"train": 5, "valid": size})


def test_negative_seed_is_refused():
    with pytest.raises(InputError, match="seed -1"):
        grammar.build({"train": 5}, seed=-1)


def test_lengths(pairs):
    lengths = np.array([len(source.split()) for source, _ in pairs])
    assert (lengths.min(), lengths.max()) == (4, 25)
    assert 10 < lengths.mean() < 12.5
    assert all(text == " ".join(text.split()) for pair in pairs for text in pair)


def test_test_sentences_are_nearly_always_unseen(pairs):
    seen = {source for source, _ in pairs}
    test = list(grammar.build({"test": 2_000})["test"])
    assert sum(source in seen for source, _ in test) <= 10


def repetitions(speaker: Speaker) -> int:
    """How many of 50,000 sentences were drawn before; equal sources must have equal targets."""
    targets: dict[str, str] = {}
    for _ in range(50_000):
        sentence = speaker.sentence()
        source, target = realise_source(sentence), realise_target(sentence)
        assert targets.setdefault(source, target) == target, source
    return 50_000 - len(targets)


def test_translation_is_a_function(lexicon):
    assert repetitions(Speaker(lexicon, (3, 4))) > 0
    assert repetitions(Speaker(TINY, (3, 4))) > 3_000


def test_no_source_sentence_has_two_structures(monkeypatch):
    """With one word of a kind, singular and present, half of the sentences are drawn again."""
    speaker = Speaker(Lexicon([HOUND], [RED], VERBS, [IN], [TODAY]), (3, 4))
    monkeypatch.setattr(speaker, "_number", lambda: SINGULAR)
    monkeypatch.setattr(speaker, "_tense", lambda: PRESENT)
    monkeypatch.setattr(speaker, "_determiner", [lambda: THE])
    assert repetitions(speaker) > 20_000


def test_no_word_form_is_shared(pairs):
    source, target = (
        {word.strip(".,?").casefold() for text in side for word in text.split()}
        for side in zip(*pairs, strict=True)
    )
    assert len(source) > 5_000 and len(target) > 5_000
    assert not source & target
    assert not {word[0] for word in source} & {word[0] for word in target}


def test_source_forms_are_of_one_word_only(lexicon):
    forms = Counter(
        [form for noun in lexicon.nouns for form in noun.source]
        + [form for word in lexicon.adjectives for form in (word.source, word.source_manner)]
        + [
            form
            for verbs in (*lexicon.verbs.values(), [COPULA])
            for verb in verbs
            for form in (verb.source_bare, *verb.source[:4])
        ]
        + [word.source for word in (*lexicon.prepositions, *lexicon.times)]
        + [word.source for word in set(DETERMINERS[0] + DETERMINERS[1]) if word]
        + [word.source for word in (AND, OR, BUT, THAT, *SUBORDINATORS)]
        + [*QUESTION_AUXILIARIES]
        + [SOURCE_OF, SOURCE_TO, SOURCE_RELATIVE]
    )
    assert forms.most_common(1)[0][1] == 1
    assert len(forms) > 2 * 4_000 + 2 * 1_500 + 5 * 1_800


def test_lexicon_sizes_and_ambiguous_verbs(lexicon):
    sizes = {valency: len(verbs) for valency, verbs in lexicon.verbs.items()}
    sizes |= {"noun": len(lexicon.nouns), "adjective": len(lexicon.adjectives)}
    sizes |= {"preposition": len(lexicon.prepositions), "time": len(lexicon.times)}
    assert sizes == SIZES
    verbs = lexicon.verbs["transitive"]
    ambiguous = [verb.target[False].finite[0] != verb.target[True].finite[0] for verb in verbs]
    assert sum(ambiguous) == len(verbs) / AMBIGUOUS_EVERY
    genders = Counter(noun.gender for noun in lexicon.nouns)
    assert min(genders.values()) > 0.2 * len(lexicon.nouns)


# Agreement, found again in the text alone.


class Analyser:
    """Finds noun phrases in target text: determiner, noun, adjectives, with what each can be."""

    def __init__(self, lexicon: Lexicon):
        self.determiners = self._agreeing(DETERMINERS[0] + DETERMINERS[1])
        self.adjectives = self._agreeing(lexicon.adjectives)
        self.nouns: dict[str, set] = {}
        self.last: dict[str, set] = {}
        for noun in lexicon.nouns:
            for form in range(8):
                features = (noun.gender, *divmod(form, 4))
                self.nouns.setdefault(noun.target[form], set()).add(features)
                self.last.setdefault(noun.last[form], set()).add(features)
        self.first = {noun.first for noun in lexicon.nouns}

    @staticmethod
    def _agreeing(words) -> dict[str, set]:
        """Form -> the (gender, number, case) that it can stand for."""
        features: dict[str, set] = {}
        for word in filter(None, words):
            for form in range(24):
                gender, rest = divmod(form, 8)
                features.setdefault(word.target[form], set()).add((gender, *divmod(rest, 4)))
        return features

    def noun(self, word: str) -> set:
        """What a noun, or a compound by its last part, can stand for."""
        found = set(self.nouns.get(word, ()))
        for end in range(1, len(word)):
            if word[:end] in self.first:
                found |= self.last.get(word[end:], set())
        return found

    def phrases(self, text: str) -> list[list[set]]:
        """The features of the words of each noun phrase that has a determiner."""
        words = (text[0].lower() + text[1:]).split()
        found = []
        for place, word in enumerate(words[:-1]):
            if word in self.determiners:
                phrase = [self.determiners[word], self.noun(words[place + 1].strip(".,?"))]
                for before, adjective in zip(words[place + 1 :], words[place + 2 :], strict=False):
                    if before[-1] in ".,?" or adjective.strip(".,?") not in self.adjectives:
                        break
                    phrase.append(self.adjectives[adjective.strip(".,?")])
                found.append(phrase)
        return found


def agrees(phrase: list[set]) -> bool:
    return bool(set.intersection(*phrase))


def test_analyser_sees_wrong_endings():
    analyser = Analyser(TINY)
    right = "Feru Wufshörter fisen hanon Fielenwuf zonon schweron nok."
    assert [len(phrase) for phrase in analyser.phrases(right)] == [2, 4]
    assert all(map(agrees, analyser.phrases(right)))
    for wrong in ("fero Wüfe", "fera Wuf", "feran Fielen", "hano Wuf zonom", "hano Wuf zono zona"):
        assert not all(map(agrees, analyser.phrases(wrong)))


def test_determiners_nouns_and_adjectives_agree(pairs, lexicon):
    analyser = Analyser(lexicon)
    copula = set(COPULA.target[0].finite[:4]) | {"wesen"}
    sizes = Counter()
    for _, target in pairs[:3_000]:
        # A predicate, which agrees with the whole subject, can stand right after one of two nouns.
        if copula.isdisjoint(target.lower().strip(".?").replace(",", "").split()):
            for phrase in analyser.phrases(target):
                assert agrees(phrase), target
                sizes[len(phrase)] += 1
    assert sizes[2] > 1_000 and sizes[3] > 500 and sizes[4] > 50


def test_verbs_stand_where_they_must(lexicon):
    """First in questions, second in main clauses, last in subordinate ones; prefixes last."""
    speaker = Speaker(lexicon, (5, 6))
    seen = Counter()
    for _ in range(5_000):
        sentence = speaker.sentence()
        clause = sentence.clause
        verb = clause.verb.target[clause.subject.noun.animate]
        inflection = 2 * clause.tense + clause.subject.number
        text = realise_target(sentence).rstrip(".?")
        words = text.split()
        finite = verb.finite[inflection]
        if sentence.question:
            assert words[0] == finite[0].upper() + finite[1:]
            seen["question"] += 1
        elif sentence.before:
            before = sentence.before.clause
            if before.complement is None:
                forms = before.verb.target[before.subject.noun.animate].final
                final = forms[2 * before.tense + before.subject.number]
                assert f" {final}, {finite} " in text
                seen["before"] += 1
        elif clause.time:
            assert words[0].lower() == clause.time.target and words[1] == finite
            seen["time"] += 1
        else:
            subject = realise_target(Sentence(Clause(clause.subject, COPULA, PRESENT)))
            subject = subject.removesuffix(" weset.").removesuffix(" wesen.")
            assert text.startswith(f"{subject} {finite}")
            seen["subject"] += 1
        if not (sentence.after or sentence.second or clause.complement or sentence.before):
            assert text.endswith(f" {verb.rest[clause.tense]}".rstrip())
            seen["rest"] += bool(verb.rest[clause.tense])
        if sentence.after and sentence.after.clause.complement is None:
            after = sentence.after.clause
            forms = after.verb.target[after.subject.noun.animate].final
            assert text.endswith(f" {forms[2 * after.tense + after.subject.number]}")
            seen["after"] += 1
    assert len(seen) == 6 and min(seen.values()) > 200, seen


def test_source_verbs_agree_in_number(pairs, lexicon):
    """The subject of a sentence that opens with determiner, noun, verb, found in the text."""
    number = {form: n for noun in lexicon.nouns for n, form in enumerate(noun.source)}
    finite = {
        form: place % 2
        for verbs in lexicon.verbs.values()
        for verb in verbs
        for place, form in enumerate(verb.source[:4])
    }
    determiners = {word.source for words in DETERMINERS for word in words if word}
    seen = Counter()
    for source, _ in pairs:
        first, second, third = source.rstrip(".?").split()[:3]
        if first.lower() in determiners and second in number and third in finite:
            assert number[second] == finite[third], source
            seen[number[second]] += 1
    assert seen[SINGULAR] > 500 and seen[PLURAL] > 200


# The law of the stems.


def test_stems_follow_zipfs_law(pairs, lexicon):
    ranks = {form: rank for rank, noun in enumerate(lexicon.nouns, 1) for form in noun.source}
    words = (word.strip(".,?").lower() for source, _ in pairs for word in source.split())
    counts = Counter(ranks[word] for word in words if word in ranks)
    assert sum(counts.values()) > 20_000
    # Bins of doubling width, for rare stems are too few each.
    edges = 2 ** np.arange(12)
    found = [sum(counts[rank] for rank in range(low, 2 * low)) / low for low in edges[:-1]]
    middles = [np.exp(np.mean(np.log(np.arange(low, 2 * low) + 2))) for low in edges[:-1]]
    slope = np.polyfit(np.log(middles), np.log(found), 1)[0]
    assert slope == pytest.approx(-1, abs=0.05)


def test_draws_follow_the_weights():
    kinds, count = 300, 200_000
    weights = zipf_weights(kinds)
    draw = endless(range(kinds), weights, (7,))
    found = np.bincount([draw() for _ in range(count)], minlength=kinds)
    expected = count * np.array(weights) / sum(weights)
    # Chi-square with 299 degrees of freedom: mean 299, standard deviation 24.5.
    assert 299 - 5 * 24.5 < ((found - expected) ** 2 / expected).sum() < 299 + 5 * 24.5
    np.testing.assert_allclose(expected * (np.arange(kinds) + 3), 3 * expected[0], rtol=1e-6)
