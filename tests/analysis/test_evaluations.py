"""Further evaluations: refused where they contradict themselves."""

import json

import pytest

from define.analysis import evaluations
from define.errors import InputError


def _write(folder, evaluation, name="a"):
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(evaluation))
    return path


def test_another_tables_evaluation_is_refused(tmp_path, make_evaluation):
    _write(tmp_path, make_evaluation())
    with pytest.raises(InputError, match="is an evaluation of table '1b', not of '1a'"):
        evaluations.read_evaluations(tmp_path, "1a")
    assert evaluations.read_evaluations(tmp_path / "none", "1a") == []
