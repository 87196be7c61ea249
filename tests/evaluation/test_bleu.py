"""Scores of translations: worked examples, and sacreBLEU's own command line."""

import json
import math
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
import sacrebleu

from define.errors import InputError
from define.evaluation import bleu
from define.evaluation.bleu import compare, compound_split, digest, score
from define.files import sha256

WORDS = "der die das Hund rich-text „ja“ Format läuft, 20-30 schnell grün-weiß heute Haus".split()


@pytest.fixture(autouse=True)
def default_seed(monkeypatch):
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)


def sentences(number: int) -> list[str]:
    generator = np.random.default_rng(number)
    return [
        " ".join(generator.choice(WORDS, length)) + "."
        for length in generator.integers(5, 12, number)
    ]


def garbled(lines: list[str], rate: float) -> list[str]:
    """A translation with a share of its words replaced."""
    generator = np.random.default_rng(int(100 * rate))
    return [
        " ".join(
            str(generator.choice(WORDS)) if generator.random() < rate else word
            for word in line.split()
        )
        for line in lines
    ]


def sacrebleu_command(folder, files, *options: str):
    """What sacreBLEU's command prints as JSON for texts, the first of which is the reference."""
    paths = []
    for index, lines in enumerate(files):
        paths.append(folder / f"{index}.txt")
        paths[-1].write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", paths[0], "-i", *paths[1:], *options]
    command += ["--format", "json", "--width", "12"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    return json.loads(done.stdout)


def test_bleu_by_hand():
    """Clipped matches of 1 to 4 words over all sentences, and a brevity penalty for 10 of 11."""
    references = ["the cat sat on the mat", "a dog barked loudly today"]
    hypotheses = ["the cat sat on a mat", "a dog barked today"]
    found = score(hypotheses, references, "en")
    precisions = 9 / 10 * 5 / 8 * 3 / 6 * 1 / 4
    assert found["sentences"] == 2
    assert found["bleu"]["score"] == pytest.approx(100 * math.exp(-0.1) * precisions**0.25)


@pytest.mark.parametrize(
    ("hypothesis", "reference", "precisions"),
    [
        ("A b c d e", "a b c d e", 4 / 5 * 3 / 4 * 2 / 3 * 1 / 2),  # case counts
        ("a b c x e", "a b c d e", 4 / 5 * 2 / 4 * 1 / 3 * (1 / 2) / 2),  # exponential smoothing
        ("a b, c d.", "a b , c d .", 1),  # 13a sets punctuation off
    ],
)
def test_settings_of_bleu_by_hand(hypothesis, reference, precisions):
    found = score([hypothesis], [reference], "en")
    assert found["bleu"]["score"] == pytest.approx(100 * precisions**0.25)


def test_chrf_by_hand():
    """Means of precision and recall over 1 and 2 characters; recall weighs 2 * 2 times as much."""
    precision, recall = 1, (2 / 3 + 1 / 2) / 2
    found = score(["a b"], ["abc"], "en")
    assert found["chrf"]["score"] == pytest.approx(
        100 * 5 * precision * recall / (4 * precision + recall)
    )


def test_a_compound_counts_as_three_tokens():
    """4 tokens with one wrong by 13a, 6 with one wrong when the compound is split."""
    found = score(["ein rich-text Format dort"], ["ein rich-text Format hier"], "de")
    assert found["bleu"]["score"] == pytest.approx(
        100 * (3 / 4 * 2 / 3 * 1 / 2 * (1 / 2) / 1) ** 0.25
    )
    assert found["bleu_compound_split"]["score"] == pytest.approx(
        100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25
    )


@pytest.mark.parametrize(
    ("language", "line", "tokens"),
    [
        ("de", "ein rich-text Format hier.", "ein rich ##AT##-##AT## text Format hier ."),
        (
            "de",
            "Er sagte: „Rich-Text-Format“, d.h. 20-30 % & mehr - oder …",
            "Er sagte : &quot; Rich ##AT##-##AT## Text ##AT##-##AT## Format &quot; , d.h. "
            "20 ##AT##-##AT## 30 % &amp; mehr - oder ...",
        ),
        # The character between two hyphens is used up by the first of them, as in the original.
        ("de", "A-B-C", "A ##AT##-##AT## B-C"),
        ("de", "Nr. 5 -ja-", "Nr. 5 -ja-"),
        ("en", "Nr. 5, it's", "Nr. 5 , it &apos;s"),
        ("de", "usw. Das", "usw. Das"),
        ("en", "usw. Das", "usw . Das"),
        ("de", "", ""),
    ],
)
def test_tokens_with_compounds_split(language, line, tokens):
    """The expected tokens are those of the Perl scripts."""
    assert compound_split([line], language) == [tokens]


def test_scores_are_those_of_sacrebleus_command(tmp_path):
    references = sentences(40)
    hypotheses = garbled(references, 0.3)
    found = score(hypotheses, references, "de")
    split = [compound_split(lines, "de") for lines in (references, hypotheses)]
    expected = [
        *sacrebleu_command(
            tmp_path, [references, hypotheses], "--metrics", "bleu", "chrf", "--confidence"
        ),
        sacrebleu_command(tmp_path, split, "--tokenize", "none", "--force", "--confidence"),
    ]
    for metric, theirs in zip(bleu.METRICS, expected, strict=True):
        ours = found[metric]
        assert 0 < ours["score"] < 100 and ours["half_width"] > 0
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-9)
        # sacreBLEU sums a sentence's statistics in single precision.
        assert ours["mean"] == pytest.approx(theirs["confidence_mean"], rel=1e-6)
        assert ours["half_width"] == pytest.approx(theirs["confidence_var"], rel=1e-6)
    assert found["bleu"]["signature"] == expected[0]["signature"]
    assert found["chrf"]["signature"] == expected[1]["signature"]


def test_languages_with_a_tokenizer_of_their_own(tmp_path):
    references = ["今天天气很好。", "他在公园里看书。"]
    hypotheses = ["今天的天气很好。", "他在公园看书。"]
    found = score(hypotheses, references, "zh")
    assert "bleu_compound_split" not in found
    expected = sacrebleu_command(tmp_path, [references, hypotheses], "-l", "en-zh")
    assert found["bleu"]["score"] == pytest.approx(expected["score"]) and expected["score"] > 20
    assert score(hypotheses, references, "de")["bleu"]["score"] < 1


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("xx", "--language xx is unknown; take the two letters of ISO 639-1"),
        ("", "--language  is unknown"),
        ("th", "--language th is written without spaces between words"),
        ("ja", r"--language ja needs a tokenizer that is not installed; .*'sacrebleu\[ja\]'"),
    ],
)
def test_languages_that_cannot_be_scored(code, named, monkeypatch):
    monkeypatch.setitem(sys.modules, "MeCab", None)
    with pytest.raises(InputError, match=named):
        bleu.require_language(code)


@pytest.mark.parametrize("code", ["de", "zh", "yue", "da", "mni"])
def test_languages_that_can_be_scored(code):
    bleu.require_language(code)


def test_doubts_about_a_text():
    plain = ["läuft schnell", "weiß\u00adkohl"]
    assert bleu.doubts(plain, plain) == bleu.doubts(["other"], plain) == []
    decomposed = [unicodedata.normalize("NFD", line) for line in plain]
    (form,) = bleu.doubts(decomposed, plain)
    assert form.startswith("is not in the Unicode normal form NFC, but the references are; ")
    (form,) = bleu.doubts(plain, decomposed)
    assert form.startswith("is in the Unicode normal form NFC, but the references are not; ")
    (marks,) = bleu.doubts(["\ufeffläuft\r", plain[1]], plain)
    assert "(U+000D, U+FEFF)" in marks


def test_signatures():
    found = score(["a b"], ["a b"], "en")
    start = "nrefs:1|bs:1000|seed:12345|case:mixed"
    assert {metric: found[metric]["signature"] for metric in bleu.METRICS} == {
        "bleu": f"{start}|eff:no|tok:13a|smooth:exp|version:2.6.0",
        "chrf": f"{start}|eff:yes|nc:6|nw:0|space:no|version:2.6.0",
        "bleu_compound_split": (
            f"{start}|eff:no|tok:moses-compound-split|smooth:exp|sacremoses:0.2.0|version:2.6.0"
        ),
    }


def test_a_perfect_translation_has_100():
    lines = sentences(7)
    found = score(lines, lines, "de")
    for metric in bleu.METRICS:
        assert found[metric]["score"] == pytest.approx(100)
        assert found[metric]["mean"] == pytest.approx(100)
        assert found[metric]["half_width"] == 0


def test_each_line_meets_its_own_reference():
    lines = sentences(7)
    found = score(lines[::-1], lines, "de")
    assert all(found[metric]["score"] < 90 for metric in bleu.METRICS)


def test_nothing_translated_is_0_and_never_nan():
    found = score(["", ""], ["ein Hund", ""], "de")
    for metric in bleu.METRICS:
        assert found[metric] == {**found[metric], "score": 0, "mean": 0, "half_width": 0}


def test_test_is_that_of_sacrebleus_command(tmp_path, monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    references = sentences(30)
    systems = {"plain": garbled(references, 0.3), "define": garbled(references, 0.25)}
    found = compare(systems, references, "de")
    theirs = sacrebleu_command(tmp_path, [references, *systems.values()], "--paired-bs")
    assert 0.01 < theirs[1]["BLEU"]["p_value"] < 0.99
    assert theirs[0]["BLEU"]["p_value"] is None
    for ours, expected in zip(found["systems"].values(), theirs, strict=True):
        expected = expected["BLEU"]
        assert ours["bleu"]["p_value"] == expected["p_value"]
        assert ours["bleu"]["score"] == pytest.approx(expected["score"], abs=1e-9)
        assert ours["bleu"]["mean"] == pytest.approx(expected["mean"], rel=1e-6)
        assert ours["bleu"]["half_width"] == pytest.approx(expected["ci"], rel=1e-6)
    assert "|seed:7|" in found["signatures"]["bleu"]


@pytest.mark.parametrize("metric", ["chrf", "bleu_compound_split"])
def test_test_by_its_definition(metric):
    """Both systems on the same resampled sentences; differences are centred on their mean."""
    references = [" ".join(line.split()[:5]) for line in sentences(5)]
    systems = [garbled(references, 0.4), garbled(references, 0.3)]
    found = compare({"a": systems[0], "b": systems[1]}, references, "de")["systems"]["b"][metric]
    if metric == "bleu_compound_split":
        references, *systems = (compound_split(lines, "de") for lines in (references, *systems))

    def corpus(lines, chosen):
        parts = [lines[i] for i in chosen], [[references[i] for i in chosen]]
        if metric == "chrf":
            return sacrebleu.corpus_chrf(*parts).score
        return sacrebleu.corpus_bleu(*parts, tokenize="none", force=True).score

    everything = range(len(references))
    difference = abs(corpus(systems[0], everything) - corpus(systems[1], everything))
    resamples = np.random.default_rng(12345).choice(len(references), (1000, len(references)))
    scores = np.array([[corpus(lines, chosen) for lines in systems] for chosen in resamples])
    sampled = abs(scores[:, 0] - scores[:, 1])
    beyond = int((sampled - sampled.mean() > difference).sum())
    assert 10 < beyond < 900
    assert found["p_value"] == pytest.approx((beyond + 1) / 1001, abs=1e-12)
    assert found["mean"] == pytest.approx(scores[:, 1].mean(), rel=1e-5)


def test_baseline_and_system_may_change_places():
    references = sentences(25)
    a, b = garbled(references, 0.3), garbled(references, 0.2)
    one = compare({"a": a, "b": b}, references, "de")["systems"]
    other = compare({"b": b, "a": a}, references, "de")["systems"]
    alone = score(a, references, "de")
    for metric in bleu.METRICS:
        assert one["a"][metric]["p_value"] is None and other["b"][metric]["p_value"] is None
        assert one["b"][metric]["p_value"] == other["a"][metric]["p_value"] < 1
        for name in "ab":
            for key in ("score", "mean", "half_width"):
                assert one[name][metric][key] == pytest.approx(other[name][metric][key], rel=1e-6)
        assert one["a"][metric]["mean"] == alone[metric]["mean"]


def test_no_difference_is_not_significant():
    references = sentences(12)
    lines = garbled(references, 0.3)
    spaced = [f"{line} " for line in lines]
    found = compare({"plain": lines, "same": lines, "spaced": spaced}, references, "de")
    for metric in bleu.METRICS:
        assert found["systems"]["same"][metric]["p_value"] == 1
        assert found["systems"]["spaced"][metric]["p_value"] == 1


@pytest.mark.parametrize(
    ("hypotheses", "references", "named"),
    [
        ([], [], "has 0 lines and the references have 0;"),
        ([], ["a", "b"], "has 0 lines and the references have 2;"),
        (["a", "b", "c"], ["a", "b"], "has 3 lines and the references have 2;"),
        (["a"] * 1_200, ["b"] * 1_201, "has 1,200 lines and the references have 1,201;"),
    ],
)
def test_numbers_of_lines_must_agree(hypotheses, references, named):
    with pytest.raises(InputError, match=f"^the translation {named}"):
        score(hypotheses, references, "de")
    with pytest.raises(InputError, match=f"^define {named}"):
        compare({"define": hypotheses, "plain": references}, references, "de")


def test_digest_is_that_of_the_file(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes("ein Hund\n\ngrün\n".encode())
    assert digest(["ein Hund", "", "grün"]) == sha256(path)
