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


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("schema",), 0, "field 'schema' is 0, not 1"),
        (("kind",), "run", "field 'kind' is 'run', not 'evaluation'"),
        (("row",), "", "field 'row' is empty"),
        (("seed",), 2, "field 'seed' is 2, but the run's is 1"),
        (("protocol",), {}, "field 'protocol' is empty: say how"),
        (("protocol", "theta"), [0.1], r"field 'protocol.theta' is \[0.1\], not a plain value"),
        (("scores", "test", "ppl"), 1.0, "field 'scores.test.ppl' is 1.0, but"),
        (("scores", "test", "scored_tokens"), 5, "is 5, but provenance.data.tokens.test is 82430"),
        (("scores",), {}, "field 'scores.valid' is missing"),
        (("run", "row"), 7, "field 'run.row' is 7"),
    ],
)
def test_a_faulty_field_is_named(tmp_path, make_evaluation, path, value, sentence):
    evaluation = make_evaluation()
    *parents, last = path
    target = evaluation
    for key in parents:
        target = target[key]
    target[last] = value
    file = _write(tmp_path, evaluation)
    with pytest.raises(InputError, match=sentence) as refusal:
        evaluations.read(file)
    assert str(file) in str(refusal.value)


def test_every_field_is_required(tmp_path, make_evaluation):
    for field in make_evaluation():
        evaluation = make_evaluation()
        del evaluation[field]
        with pytest.raises(InputError, match=f"field '{field}' is missing"):
            evaluations.read(_write(tmp_path, evaluation))


def test_another_tables_evaluation_is_refused(tmp_path, make_evaluation):
    _write(tmp_path, make_evaluation())
    with pytest.raises(InputError, match="is an evaluation of table '1b', not of '1a'"):
        evaluations.read_evaluations(tmp_path, "1a")
    assert evaluations.read_evaluations(tmp_path / "none", "1a") == []
