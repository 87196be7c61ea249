"""Paper-scale steps: refused where they contradict themselves, ordered like the paper's rows."""

import json

import pytest

from define.analysis import steps
from define.errors import InputError


def _write(folder, step, name=None):
    path = folder / f"{name or step['row']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(step))
    return path


def test_a_step_is_read(tmp_path, make_step, make_batch_step):
    step = steps.read(_write(tmp_path, make_step()))
    assert (step.row, step.tokens_per_update, step.paper_tokens_per_update) == (
        "lstm_r2",
        20 * 140,
        60 * 140,
    )
    assert step.median_ms == 1000.0 and step.loss[-1] == 8.125
    step = steps.read(_write(tmp_path, make_batch_step()))
    assert (step.tokens_per_update, step.paper_tokens_per_update) == (4_096, 32_768)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"schema": 2}, "field 'schema' is 2, not 1"),
        ({"row": ""}, "field 'row' is empty"),
        ({"streams": 0}, "field 'streams' is 0"),
        ({"streams": 61, "tokens_per_update": 8_540}, "is 8540, more than the paper's 8400"),
        ({"tokens_per_update": 2801}, "is 2801, but streams x bptt is 2800"),
        ({"updates": 0}, "field 'updates' is 0"),
        ({"updates": 2}, "field 'ms_per_update' has 3 values, not 2"),
        ({"ms_per_update": [1.0, 0.0, 1.0]}, "field 'ms_per_update' holds 0"),
        ({"ms_per_update": [1.0, "fast"]}, r"field 'ms_per_update\[1\]' is 'fast'"),
        ({"loss": [9.0, 8.0, 7.0]}, "field 'loss' has 3 values, not 4"),
        ({"loss": [float("nan")]}, r"field 'loss\[0\]' is nan, not a finite number"),
        ({"peak_memory_mib": 0.0}, "field 'peak_memory_mib' is 0"),
        ({"parameters": {"define": 1, "context": 2, "io": 3, "total": 7}}, "is 7, but the parts"),
    ],
)
def test_a_faulty_field_is_named(tmp_path, make_step, values, sentence):
    file = _write(tmp_path, make_step() | values, "step")
    with pytest.raises(InputError, match=sentence) as refusal:
        steps.read(file)
    assert str(file) in str(refusal.value) and "run define step again" in str(refusal.value)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"max_tokens": 0}, "field 'max_tokens' is 0"),
        ({"tokens_per_update": 4_097}, "is 4097, but max_tokens x update_freq is 4096"),
        ({"paper_tokens_per_update": 4_095}, "is 4096, more than the paper's 4095"),
    ],
)
def test_a_faulty_field_of_a_translation_step_is_named(tmp_path, make_batch_step, values, sentence):
    with pytest.raises(InputError, match=sentence):
        steps.read(_write(tmp_path, make_batch_step() | values))


def test_every_field_is_required(tmp_path, make_step):
    for field in make_step():
        step = make_step()
        del step[field]
        with pytest.raises(InputError, match=f"field '{field}' is missing"):
            steps.read(_write(tmp_path, step, "step"))


def test_without_a_folder_there_are_none(tmp_path):
    assert steps.read_steps(tmp_path / "none", "1a") == []


def test_steps_follow_the_papers_rows(tmp_path, make_step):
    for row in ("lstm_r3", "lstm_wide", "lstm_r1"):
        _write(tmp_path, make_step(row))
    _write(tmp_path / "gpu", make_step("lstm_r1", device="H100"))
    found = [(s.provenance["device"], s.row) for s in steps.read_steps(tmp_path, "1a")]
    rows = ("lstm_r1", "lstm_r3", "lstm_wide")
    assert found == [("H100", "lstm_r1"), *(("cpu", row) for row in rows)]


def test_steps_of_another_table_and_two_of_one_row_are_refused(tmp_path, make_step):
    _write(tmp_path, make_step())
    with pytest.raises(InputError, match="is a step of table '1a', not of '2'"):
        steps.read_steps(tmp_path, "2")
    _write(tmp_path, make_step(), "again")
    with pytest.raises(InputError, match="are steps of row 'lstm_r2' with as many tokens"):
        steps.read_steps(tmp_path, "1a")
