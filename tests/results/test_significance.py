"""Paired bootstrap tests: refused where they contradict themselves, shown with their runs."""

import json
import math

import pytest

from define.analysis import significance
from define.errors import InputError
from define.runs import records


def _write(folder, test, name="a"):
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(test))
    return path


def test_a_test_is_read(tmp_path, make_significance):
    test = significance.read(_write(tmp_path, make_significance()))
    assert (test.set, test.sentences, test.baseline) == ("test_2016_flickr", 1_000, "plain")
    assert test.systems["define"]["chrf"]["p_value"] == 0.001
    assert significance.read_tests(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("schema",), 2, "field 'schema' is 2, not 1"),
        (("kind",), "scores", "field 'kind' is 'scores', not 'significance'"),
        (("set",), "", "field 'set' is empty"),
        (("sentences",), 0, "field 'sentences' is 0: a number from nothing"),
        (("baseline",), "other", "field 'baseline' is 'other', no system of the file"),
        (("systems",), {"plain": {}}, "field 'systems.plain.bleu' is missing"),
        (("systems", "define", "bleu", "p_value"), None, "define.bleu.p_value' is null"),
        (("systems", "define", "bleu", "p_value"), 1.5, "define.bleu.p_value' is 1.5, above 1"),
        (("systems", "define", "bleu", "p_value"), -0.5, "p_value' is -0.5, which must not"),
        (("systems", "plain", "chrf", "p_value"), 0.5, "is 0.5, but that is the baseline"),
        (("systems", "plain", "chrf", "score"), 101.0, "plain.chrf.score' is 101.0, above 100"),
        (("systems", "plain", "chrf", "mean"), math.nan, "plain.chrf.mean' is nan, not a finite"),
        (("signatures", "chrf"), "", "field 'signatures.chrf' is empty"),
        (("hypotheses_sha256", "plain"), "0", "hypotheses_sha256.plain' is '0', not 64 hexa"),
        (("hypotheses_sha256", "more"), "0" * 64, "has .*'more'.*, but the systems are"),
        (("references_sha256",), "", "references_sha256' is '', not 64 hexadecimal digits"),
    ],
)
def test_a_faulty_field_is_named(tmp_path, make_significance, path, value, sentence):
    test = make_significance()
    *parents, last = path
    target = test
    for key in parents:
        target = target[key]
    target[last] = value
    file = _write(tmp_path, test)
    with pytest.raises(InputError, match=sentence) as refusal:
        significance.read(file)
    assert str(file) in str(refusal.value) and "run define score again" in str(refusal.value)


def test_one_system_is_no_test(tmp_path, make_significance):
    test = make_significance()
    for name in ("define", "linear"):
        del test["systems"][name], test["hypotheses_sha256"][name]
    with pytest.raises(InputError, match="field 'systems' has 1; a test takes two"):
        significance.read(_write(tmp_path, test))


def test_every_field_is_required(tmp_path, make_significance):
    for field in make_significance():
        test = make_significance()
        del test[field]
        with pytest.raises(InputError, match=f"field '{field}' is missing"):
            significance.read(_write(tmp_path, test))


def _cells(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_chapter_names_the_run_with_the_hypotheses(tmp_path, translation_runs, make_significance):
    found = records.find([translation_runs])
    test = make_significance()
    runs = {(r.row, r.seed): r.translations["beam_5"]["scores"] for r in found}
    digests = test["hypotheses_sha256"]
    digests["plain"] = runs["transformer", 2]["test_2016_flickr"]["hypotheses_sha256"]
    digests["define"] = runs["transformer_define", 3]["test_2016_flickr"]["hypotheses_sha256"]
    # The hypotheses of another set are not those of this one.
    digests["linear"] = runs["transformer_linear", 1]["val"]["hypotheses_sha256"]
    _write(tmp_path / "significance", test)
    labels = {
        "transformer": "Transformer",
        "transformer_define": "DeFINE",
        "transformer_linear": "L",
    }
    tests = significance.read_tests(tmp_path / "significance")
    blocks = significance.chapter(tests, found, labels)
    assert blocks[0] == "## Paired bootstrap"
    text = "\n".join(blocks)
    assert "### test_2016_flickr, 1,000 sentences, against plain\n" in text
    plain, define = (
        "Transformer, mini, multi30k, seed 2, beam_5", "DeFINE, mini, multi30k, seed 3, beam_5",
    )  # fmt: skip
    rows = _cells(text)
    assert rows[:3] == [
        ["plain", plain, "BLEU", "33.00", "[31.80, 34.30]", "-", "-"],
        ["define", define, "BLEU", "35.00", "[33.80, 36.30]", "+2.00", "0.001"],
        ["linear", "-", "BLEU", "32.50", "[31.30, 33.80]", "-0.50", "0.400"],
    ]
    assert [row[2] for row in rows[3::3]] == ["chrF2", "tokenised BLEU, compounds split"]
    assert "* BLEU: `bs:1000|bleu`\n* chrF2: `bs:1000|chrf`\n" in text
    assert significance.chapter([], found, labels) == []
