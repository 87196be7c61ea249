"""Steps, evaluations and tests are found in their folders, in the order of the tables' rows."""

import json

import pytest

from define.analysis import extras
from define.errors import InputError


def _write(folder, value, name):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(value))


def test_each_table_has_its_own_and_a_copy_counts_once(
    tmp_path, make_step, make_batch_step, make_evaluation, make_significance
):
    for place in (tmp_path / "steps", tmp_path / "copy" / "steps"):
        for row in ("lstm_r3", "lstm_wide", "lstm_r1"):
            _write(place, make_step(row), row)
    _write(tmp_path / "steps" / "gpu", make_step("lstm_r1", device="H100"), "lstm_r1")
    _write(tmp_path / "steps", make_batch_step(), "transformer")
    _write(tmp_path / "evaluations", make_evaluation(), "cache")
    _write(tmp_path / "significance", make_significance(), "define")
    found = extras.find([tmp_path])
    assert [(s.provenance["device"], s.row) for s in found["1a"].steps] == [
        ("H100", "lstm_r1"),
        *(("cpu", row) for row in ("lstm_r1", "lstm_r3", "lstm_wide")),
    ]
    assert [s.row for s in found["3"].steps] == ["transformer"]
    (evaluation,) = extras.read(tmp_path, "1b").evaluations
    assert evaluation.settings == "window 2000, theta 0.3, lambda 0.1; chosen by: validation"
    (test,) = extras.read(tmp_path, "3").tests
    assert test.systems["define"]["chrf"]["p_value"] == 0.001
    assert extras.read(tmp_path / "none", "1a") == extras.Extras(tests=[])


@pytest.mark.parametrize("folder", ["steps", "evaluations", "significance"])
def test_malformed_files_are_refused(tmp_path, folder):
    _write(tmp_path / folder, {}, "a")
    with pytest.raises(InputError, match="a.json: field 'schema' is missing"):
        extras.read(tmp_path, "1a")
