"""An interrupted run ends where the uninterrupted one ends, bit for bit."""

import errno
import json
import os
import signal
import time
from contextlib import suppress

import pytest
import torch
from fairseq import checkpoint_utils

from define.train import language_modeling
from define.train.observer import Interval

EPOCHS = 6
SAVE_EVERY = 4
NT_ASGD = [f"optimization.max_epoch={EPOCHS}"]
ADAMW = [
    "scale=mini",
    "model.map_dim=16",
    "model.expand_dim=64",
    "model.reduce_dim=32",
    "model.hidden_dim=32",
    "task.bptt=20",
    "lr_scheduler.warmup_updates=5",
    "optimization.max_update=40",
]
TRANSFORMER_XL = [
    "experiment=table_2/txl_256_define",
    "model.cutoffs=[20,30,40]",
    "optimization.max_update=24",
]
SGD = [
    "experiment=table_1a/lstm_r3",
    "model.cutoffs=[20,30,40]",
]
BY_PART = [
    "optimization.lr_factors.unit=0.06",
    "optimization.lr_factors.table=2.5",
    "optimization.weight_decay_factors.context=3",
]
MID_EPOCH = [f"checkpoint.save_interval_updates={SAVE_EVERY}"]
RUNS = {
    "nt_asgd": NT_ASGD,
    "nt_asgd_mid_epoch": NT_ASGD + MID_EPOCH,
    "adamw": ADAMW,
    "adamw_mid_epoch": ADAMW + MID_EPOCH,
    "transformer_xl_mid_epoch": TRANSFORMER_XL + MID_EPOCH,
    "nt_asgd_by_part": NT_ASGD + MID_EPOCH + BY_PART,
    "adamw_by_part": ADAMW + MID_EPOCH + BY_PART,
    "sgd_by_part": SGD + MID_EPOCH + BY_PART,
}


@pytest.fixture(scope="module")
def uninterrupted():
    """Name of a run -> what it left without an interruption; filled by `whole`."""
    return {}


@pytest.fixture
def whole(uninterrupted, train, left_by, workplace):
    """What a run of RUNS leaves when nothing interrupts it."""

    def get(name: str) -> dict:
        if name not in uninterrupted:
            assert train(*RUNS[name], "run.dir=whole") == 0
            uninterrupted[name] = left_by(workplace / "whole")
        return uninterrupted[name]

    return get


def switch_of(left: dict) -> int:
    """The last update before averaging began."""
    epochs = left["epochs"]
    first = next(index for index, epoch in enumerate(epochs) if epoch["averaged"])
    assert 2 <= first < len(epochs) - 1, "the switch must lie inside the run"
    return epochs[first - 1]["updates"]


# Interruptions in updates from the start, or from the switch to averaging.
@pytest.mark.parametrize(
    ("run", "after_switch", "update"),
    [
        ("nt_asgd", False, 1),  # before the first checkpoint
        ("nt_asgd", False, 11),  # falls back to the end of an epoch
        ("nt_asgd", True, -1),
        ("nt_asgd", True, 1),
        ("nt_asgd_by_part", True, 2),
        ("adamw", False, 11),
        ("adamw_by_part", False, 5 * SAVE_EVERY + 1),
        ("transformer_xl_mid_epoch", False, 3 * SAVE_EVERY + 2),
        ("sgd_by_part", False, 3 * SAVE_EVERY + 2),
    ],
)
def test_resumed_is_uninterrupted(
    run, after_switch, update, whole, train, interrupt_at, left_by, workplace, assert_same
):
    expected = whole(run)
    if after_switch:
        update += switch_of(expected)
    interrupt_at(update)
    assert train(*RUNS[run], "run.dir=run") == 130
    record = json.loads((workplace / "run" / "record.json").read_text(encoding="utf-8"))
    assert record["status"] == "interrupted"
    assert record["final"] is None
    assert len(record["epochs"]) < len(expected["epochs"])
    assert train(*RUNS[run], "run.dir=run") == 0
    assert_same(left_by(workplace / "run"), expected)


@pytest.mark.parametrize("run", ["nt_asgd_mid_epoch", "adamw_mid_epoch"])
def test_many_interruptions(
    run, whole, train, interrupt_at, left_by, checkpoint_of, workplace, assert_same
):
    expected = whole(run)
    last = expected["epochs"][-1]["updates"]
    inside, averaging = set(), set()
    for update in range(SAVE_EVERY + 1, last, SAVE_EVERY + 1):
        interrupt_at(update)
        assert train(*RUNS[run], "run.dir=run") == 130
        checkpoint = checkpoint_of(workplace / "run")
        inside.add(checkpoint["extra_state"]["train_iterator"]["iterations_in_epoch"] > 0)
        averaging.add(checkpoint["last_optimizer_state"].get("swapped"))
    assert inside == {True, False}
    assert averaging == ({True, False} if run.startswith("nt_asgd") else {None})
    assert train(*RUNS[run], "run.dir=run") == 0
    assert_same(left_by(workplace / "run"), expected)


def test_interrupted_while_the_final_scores_are_computed(
    whole, train, left_by, workplace, assert_same, monkeypatch
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(language_modeling, "evaluate", interrupted)
        assert train(*RUNS["nt_asgd"], "run.dir=run") == 130
    record = json.loads((workplace / "run" / "record.json").read_text(encoding="utf-8"))
    assert (record["status"], record["final"]) == ("interrupted", None)
    assert train(*RUNS["nt_asgd"], "run.dir=run") == 0
    assert_same(left_by(workplace / "run"), whole("nt_asgd"))


def cut(path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flip(path) -> None:
    """Changes a byte in the middle: a weight, which every reader takes for another number."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["checkpoint_last", "checkpoint_best"])
def test_a_flipped_byte_is_noticed_and_the_run_falls_back(
    name, whole, train, interrupt_at, left_by, workplace, assert_same
):
    expected = whole("nt_asgd_mid_epoch")
    interrupt_at(switch_of(expected) + SAVE_EVERY + 1)
    assert train(*RUNS["nt_asgd_mid_epoch"], "run.dir=run") == 130
    flip(workplace / "run" / "checkpoints" / f"{name}.pt")
    assert train(*RUNS["nt_asgd_mid_epoch"], "run.dir=run") == 0
    assert_same(left_by(workplace / "run"), expected)


def test_a_best_checkpoint_that_nothing_leads_to_is_refused(train, workplace, capsys, monkeypatch):
    interrupted = lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)  # noqa: E731
    overrides = ["optimization.max_epoch=3", "optimization.lr=[30]", "run.dir=run"]
    with monkeypatch.context() as patch:
        patch.setattr(language_modeling, "evaluate", interrupted)
        assert train(*overrides) == 130
    folder = workplace / "run" / "checkpoints"
    best = folder / "checkpoint_best.pt"
    flip(best)
    for copy in set(folder.iterdir()) - {best}:
        other = torch.load(copy, weights_only=True)
        other["extra_state"]["val_loss"] = other["extra_state"]["best"] + 1
        torch.save(other, copy)
    assert train(*overrides) == 2
    assert f"{best} is damaged, and no other checkpoint there leads to it; " in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("kind", ["cut", "missing"])
def test_a_copy_of_the_checkpoint_that_was_cut_short(
    kind, whole, train, interrupt_at, left_by, workplace, assert_same
):
    expected = whole("nt_asgd")
    interrupt_at(switch_of(expected) + 1)
    assert train(*RUNS["nt_asgd"], "run.dir=run") == 130
    last = workplace / "run" / "checkpoints" / "checkpoint_last.pt"
    if kind == "missing":
        last.unlink()
    else:
        cut(last)
    assert train(*RUNS["nt_asgd"], "run.dir=run") == 0
    assert_same(left_by(workplace / "run"), expected)


def test_damaged_checkpoints_are_one_sentence(train, interrupt_at, workplace, capsys):
    interrupt_at(20)
    assert train(*RUNS["nt_asgd"], "run.dir=run") == 130
    folder = workplace / "run" / "checkpoints"
    for path in folder.iterdir():
        cut(path)
    capsys.readouterr()
    assert train(*RUNS["nt_asgd"], "run.dir=run") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"define: no checkpoint in {folder} is readable; ")
    assert captured.err.count("\n") == 1


def epochs_of(folder) -> int:
    path = folder / "record.json"
    return len(json.loads(path.read_text(encoding="utf-8"))["epochs"]) if path.exists() else 0


def test_a_swallowed_interruption_comes_again_with_the_next_update(train, workplace, monkeypatch):
    add, after = Interval.add, []

    def swallowing(self, update: int, *facts) -> None:
        add(self, update, *facts)
        if update == 3:
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
        elif update > 3:
            after.append(update)

    monkeypatch.setattr(Interval, "add", swallowing)
    assert train("optimization.max_epoch=2", "run.dir=run") == 130
    assert after == []
    record = json.loads((workplace / "run" / "record.json").read_text(encoding="utf-8"))
    assert record["status"] == "interrupted"


def test_a_full_disk_is_one_sentence_and_the_same_command_resumes(
    train, left_by, workplace, assert_same, capsys
):
    run = "optimization.max_epoch=4", "optimizer.nonmono=8"
    assert train(*run, "run.dir=whole") == 0
    save, saves = torch.save, []

    def full(value, stream):
        saves.append(1)
        if len(saves) > 3:
            stream.write(b"the beginning")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(value, stream)

    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_utils.torch, "save", full)
        patch.setattr(checkpoint_utils.time, "sleep", lambda seconds: None)
        assert train(*run, "run.dir=run") == 2
    error = capsys.readouterr().err
    assert error.startswith("define: the disk is full (No space left on device); make room ")
    assert error.count("\n") == 1
    folder = workplace / "run"
    assert json.loads((folder / "record.json").read_text(encoding="utf-8"))["status"] == "failed"
    assert not list(folder.rglob("*.tmp"))
    assert train(*run, "run.dir=run") == 0
    assert_same(left_by(folder), left_by(workplace / "whole"))


def test_signals_and_then_the_same_command(
    train, spawn_train, left_by, workplace, assert_same, capsys
):
    overrides = ["optimization.max_epoch=30", "optimizer.nonmono=8"]
    assert train(*overrides, "run.dir=whole") == 0
    expected = left_by(workplace / "whole")
    switch_of(expected)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        process, before = spawn_train(*overrides, "run.dir=run"), epochs_of(workplace / "run")
        deadline = time.monotonic() + 60
        while epochs_of(workplace / "run") < before + 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 130, output
        assert output.splitlines()[-1] == (
            "define: interrupted; run the same command again to resume"
        )
        assert before + 4 <= epochs_of(workplace / "run") < 30
    assert train(*overrides, "run.dir=run") == 0
    assert_same(left_by(workplace / "run"), expected)
