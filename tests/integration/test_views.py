"""A real training with wandb and TensorBoard, interrupted and resumed."""

import json

import pytest

from define.runs import journal

OVERRIDES = [
    "optimization.max_epoch=3",
    "checkpoint.save_interval_updates=4",
    "common.log_interval=2",
    "run.dir=run",
]
VIEWS = ["wandb=offline", "tensorboard=true"]


def test_views_show_what_the_journal_and_the_record_have(
    train, interrupt_at, workplace, monkeypatch, wandb_runs, scalars
):
    """A first start without views, a second and a third with them."""
    monkeypatch.setenv("DEFINE_SWEEP", "seeds")
    folder = workplace / "run"
    interrupt_at(5)
    assert train(*OVERRIDES) == 130
    assert not (folder / "wandb").exists() and not (folder / "tensorboard").exists()
    interrupt_at(11)
    assert train(*OVERRIDES, *VIEWS) == 130
    assert train(*OVERRIDES, *VIEWS) == 0
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    events = journal.read(folder / journal.FILE_NAME)
    starts = [event["updates"] for event in events if event["event"] == "started"]
    assert starts == [0, 4, 8]
    seen = [e for e in journal.curve(events, "trained") if e["updates"] > 4]
    validated = [e for e in journal.curve(events, "validated") if e["updates"] > 4]
    assert [event["updates"] for event in seen[:4]] == [6, 8, 10, 12]

    first, second = wandb_runs(folder)
    assert first["id"] == second["id"]
    assert (first["exit_code"], second["exit_code"]) == (255, 0)
    assert first["group"] == record["provenance"]["sweep"] == "seeds"
    assert first["name"] == "table_1c/awd_lstm_define/smoke/python_docs/seed_1"
    assert first["config"]["parameters"] == record["parameters"]
    assert first["config"]["model"] == record["config"]["model"]
    rows = [row for row in first["history"] if row["updates"] <= 8] + second["history"]
    losses = [(row["updates"], row["train/nll"]) for row in rows if "train/nll" in row]
    assert losses == [(event["updates"], event["train"]["nll"]) for event in seen]
    validations = [(row["updates"], row["valid/ppl"]) for row in rows if "valid/ppl" in row]
    assert validations == [(event["updates"], event["valid"]["ppl"]) for event in validated]
    assert second["summary"]["final/test_ppl"] == record["final"]["test"]["ppl"]

    curves = scalars(folder)
    steps, values = zip(*curves["train/nll"], strict=True)
    assert list(steps) == [event["updates"] for event in seen]
    assert values == pytest.approx([event["train"]["nll"] for event in seen], rel=1e-6)
    assert [step for step, _ in curves["valid/ppl"]] == [event["updates"] for event in validated]
    assert curves["final/test_ppl"][0][1] == pytest.approx(record["final"]["test"]["ppl"])
