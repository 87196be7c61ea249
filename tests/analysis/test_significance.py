"""Paired bootstrap tests: refused where they contradict themselves."""

import json
import math

import pytest

from define.analysis import significance
from define.errors import InputError


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
