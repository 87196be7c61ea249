"""The generated language pair: worked examples, translation as a function, the law of the words."""

import hashlib
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from define.data.parallel import grammar
from define.data.parallel.grammar import NOUNS, SOURCE, TARGET, Speaker


@pytest.fixture(scope="module")
def pairs() -> list[tuple[str, str]]:
    return list(grammar.build({"train": 10_000})["train"])


def words(text: str) -> list[str]:
    return text.replace(",", "").rstrip(".?").split()


class Scripted(Speaker):
    """Makes the choices of a list of (probability or rank) instead of drawing."""

    def __init__(self, chances: str, ranks: list[int]):
        super().__init__("")
        self.chances, self.ranks = iter(chances), iter(ranks)

    def _chance(self, percent: int) -> bool:
        return next(self.chances) == "y"

    def _rank(self, kinds: int) -> int:
        return next(self.ranks, 0) % kinds


@pytest.mark.parametrize(
    ("chances", "ranks", "source", "target"),
    [
        # no question, no other clause; a singular noun with "da", no adjective, no owner; present
        ("nn" + "nnnn" + "nnn", [0, 0, 3], "Da S0 V3o.", "Fero T0 W3et nok."),
        # a question; the plural of noun 1, no determiner; past
        ("yn" + "ynnnn" + "ynn", [1, 3], "Dul S1is V3edan?", "W3eten T1en nok?"),
        # two adjectives, in reverse order; place in the dative
        (
            *("nn" + "nyyn" + "n" + "yn" + "nnnn" + "n"[:0], [2, 0, 1, 0, 3, 0, 0, 0]),
            *("Da A1 A0 S2 V3o gim da S0.", "Fere T2 a0e a1e W3et zin ferom T0 nok."),
        ),
        # a time adverb comes first, then the verb; object in the accusative, verb 1 without prefix
        (
            *("nn" + "nnnn" + "n" + "nnnn" + "ny", [0, 0, 1, 1, 0, 0]),
            *("Da S0 V1o da S1 leam.", "Heut W1et fero T0 feran T1."),
        ),
        # another clause first, with its verb last and the prefix in front of it; owner; inversion
        (
            *("nyy" + "nnnn" + "nnn" + "nnny" + "nnnn" + "ynn", [0, 0, 3, 1, 0, 0, 0, 3, 1]),
            *(
                "Lis da S1 de da S0 V3edo, da S0 V3o.",
                "Fels fera T1 feros T0 nokW3etet, W3et fero T0 nok.",
            ),
        ),
        # a verb with a second translation for animate subjects
        ("nn" + "nnnn" + "nnn", [0, 0, 0], "Da S0 V0o.", "Fero T0 X0et."),
        ("nn" + "nnnn" + "nnn", [1, 0, 0], "Da S1 V0o.", "Fera T1 W0et."),
    ],
)
def test_example(chances, ranks, source, target):
    def filled(text: str, stems: list[str], starts: dict[str, int]) -> str:
        for letter, start in starts.items():
            for number in range(4):
                stem = stems[start + number]
                text = text.replace(
                    f"{letter}{number}", stem.capitalize() if letter == "T" else stem
                )
        return text[0].upper() + text[1:]

    adjectives, others = NOUNS + grammar.VERBS, grammar.OTHER_VERBS
    expected = (
        filled(source, SOURCE, {"S": 0, "V": NOUNS, "A": adjectives}),
        filled(target, TARGET, {"T": 0, "W": NOUNS, "a": adjectives, "X": others}),
    )
    assert Scripted(chances, ranks).sentence() == expected


def test_the_same_on_every_machine():
    splits = grammar.build({"train": 1_000, "valid": 200, "test": 200})
    text = "".join(f"{source}\t{target}\n" for split in splits.values() for source, target in split)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "d16bed73dbe53055f1d0235f3a7123bbb7008cdc94d13e1663da11ceeab6383c"


def test_a_prefix_of_any_larger_corpus_and_other_splits_are_unseen(pairs):
    large = grammar.build({"train": 4_500_000, "test": 2_000})
    assert list(islice(large["train"], 100)) == pairs[:100]
    seen = {source for source, _ in pairs}
    assert sum(source in seen for source, _ in large["test"]) <= 10


def test_translation_is_a_function(monkeypatch):
    """With few words many sentences are drawn again: equal sources have equal targets."""
    monkeypatch.setattr(Speaker, "_rank", lambda self, kinds: int(self.random() * min(kinds, 2)))
    targets: dict[str, str] = {}
    for source, target in grammar.build({"train": 20_000})["train"]:
        assert targets.setdefault(source, target) == target, source
    assert len(targets) < 19_000


def test_lengths_and_word_forms(pairs):
    lengths = [len(source.split()) for source, _ in pairs]
    assert (min(lengths), max(lengths)) == (4, 25) and 8 < np.mean(lengths) < 11
    source, target = ({word for pair in pairs for word in words(pair[n].lower())} for n in (0, 1))
    assert len(source) > 3_000 and len(target) > 3_000
    assert not source & target
    assert len(set(SOURCE)) == len(SOURCE) and len(set(TARGET)) == len(TARGET)


def test_stems_follow_zipfs_law(pairs):
    ranks = {form: rank for rank in range(NOUNS) for form in (SOURCE[rank], SOURCE[rank] + "is")}
    counts = Counter(ranks[w] for source, _ in pairs for w in words(source.lower()) if w in ranks)
    # Bins of doubling width, for rare stems are too few each.
    edges = 2 ** np.arange(11)
    found = [sum(counts[rank - 1] for rank in range(low, 2 * low)) / low for low in edges]
    middles = [np.exp(np.mean(np.log(np.arange(low, 2 * low) + 2))) for low in edges]
    assert np.polyfit(np.log(middles), np.log(found), 1)[0] == pytest.approx(-1, abs=0.07)
