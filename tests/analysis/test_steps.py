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
