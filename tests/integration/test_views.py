"""A real training under the eyes of wandb and TensorBoard, interrupted and gone on with."""

import json
from pathlib import Path

import pytest

from define.runs import journal

OVERRIDES = [
    "optimization.max_epoch=3",
    "checkpoint.save_interval_updates=4",
    "common.log_interval=2",
    "wandb=offline",
    "tensorboard=true",
    "run.dir=run",
]


@pytest.fixture
def resumed(train, interrupt_at, workplace, monkeypatch) -> Path:
    """The folder of a run that was interrupted behind its last checkpoint; a job of a sweep."""
    monkeypatch.setenv("DEFINE_SWEEP", "seeds")
    interrupt_at(7)
    assert train(*OVERRIDES) == 130
    assert train(*OVERRIDES) == 0
    return workplace / "run"


def test_views_show_what_the_journal_and_the_record_have(resumed, wandb_runs, scalars):
    record = json.loads((resumed / "record.json").read_text(encoding="utf-8"))
    events = journal.read(resumed / journal.FILE_NAME)
    training = journal.curve(events, "trained")
    assert [event["updates"] for event in training[:4]] == [2, 4, 6, 8]

    first, second = wandb_runs(resumed)
    assert first["id"] == second["id"]
    assert (first["exit_code"], second["exit_code"]) == (255, 0)
    assert first["group"] == record["provenance"]["sweep"] == "seeds"
    assert first["name"] == "table_1c/awd_lstm_define/smoke/python_docs/seed_1"
    assert first["config"]["parameters"] == record["parameters"]
    assert first["config"]["model"] == record["config"]["model"]
    rows = [row for row in first["history"] if row["updates"] <= 4] + second["history"]
    losses = [(row["updates"], row["train/nll"]) for row in rows if "train/nll" in row]
    assert losses == [(event["updates"], event["train"]["nll"]) for event in training]
    validations = [(row["updates"], row["valid/ppl"]) for row in rows if "valid/ppl" in row]
    validated = journal.curve(events, "validated")
    assert validations == [(event["updates"], event["valid"]["ppl"]) for event in validated]
    assert second["summary"]["final/test_ppl"] == record["final"]["test"]["ppl"]

    curves = scalars(resumed)
    steps, values = zip(*curves["train/nll"], strict=True)
    assert list(steps) == [event["updates"] for event in training]
    assert values == pytest.approx([event["train"]["nll"] for event in training], rel=1e-6)
    assert [step for step, _ in curves["valid/ppl"]] == [event["updates"] for event in validated]
    assert curves["final/test_ppl"][0][1] == pytest.approx(record["final"]["test"]["ppl"])


def test_a_run_goes_on_with_other_views(train, interrupt_at, workplace, wandb_runs):
    quietly = [key for key in OVERRIDES if not key.startswith(("wandb", "tensorboard"))]
    interrupt_at(5)
    assert train(*quietly) == 130
    assert not (workplace / "run" / "wandb").exists()
    assert not (workplace / "run" / "tensorboard").exists()
    assert train(*OVERRIDES) == 0
    (run,) = wandb_runs(workplace / "run")
    assert run["exit_code"] == 0
