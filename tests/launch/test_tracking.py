"""wandb as a view of the record, with a stand-in for wandb."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from define.launch.tracking import Tracker, make_tracker

RECORD = {
    "table": "3",
    "row": "transformer",
    "scale": "mini",
    "seed": 7,
    "config": {"seed": 7},
    "parameters": {"total": 9},
    "provenance": {"started": "2020-01-01T00:00:00+00:00"},
}
FINAL = {"valid": {"ppl": 12.5}, "test": {"ppl": 13.5}}


@pytest.fixture
def wandb(monkeypatch) -> SimpleNamespace:
    """What a run was started with and what it was told."""
    told = SimpleNamespace(arguments={}, summary={}, logged=[], finished=0)

    def finish():
        told.finished += 1

    def init(**arguments):
        told.arguments = arguments
        log = lambda values, step: told.logged.append((step, values))  # noqa: E731
        return SimpleNamespace(summary=told.summary, log=log, finish=finish)

    module = ModuleType("wandb")
    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return told


def test_a_finished_translation_has_the_bleu_of_its_first_decoding(wandb, tmp_path):
    tracker = make_tracker(RECORD, tmp_path, "offline")
    translations = {
        name: {"scores": {s: {"bleu": {"score": score}} for s, score in scores.items()}}
        for name, scores in (("beam_5", {"a": 27.0, "b": 28.5}), ("other", {"a": 1.0, "b": 2.0}))
    }
    tracker.finish(RECORD | {"final": FINAL, "translations": translations})
    perplexities = {"final/valid_ppl": 12.5, "final/test_ppl": 13.5}
    assert wandb.summary == perplexities | {"final/a_bleu": 27.0, "final/b_bleu": 28.5}
    assert wandb.finished == 1
    assert wandb.arguments["name"] == "table_3/transformer/mini/seed_7"
    assert wandb.arguments["mode"] == "offline" and wandb.arguments["resume"] == "allow"


def test_a_finished_language_model_has_perplexities_alone(wandb, tmp_path):
    tracker = make_tracker(RECORD, tmp_path, "online")
    tracker.log(
        {
            "epoch": 2,
            "updates": 40,
            "lr": 0.5,
            "train": {"ppl": 3.0},
            "valid": {"ppl": 4.0},
        }
    )
    tracker.finish(RECORD | {"final": FINAL})
    assert wandb.logged == [(40, {"epoch": 2, "lr": 0.5, "train/ppl": 3.0, "valid/ppl": 4.0})]
    assert wandb.summary == {"final/valid_ppl": 12.5, "final/test_ppl": 13.5}


def test_disabled_tracks_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    tracker = make_tracker(RECORD, tmp_path, "disabled")
    assert type(tracker) is Tracker
    assert tracker.finish(RECORD) is None
