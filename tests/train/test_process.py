"""Trainings in processes of their own."""

import os
import time
from pathlib import Path

import pytest

from define.files import is_held
from define.train.process import Ended, TrainProcess


def test_a_process_is_judged_by_its_own_part_of_the_log(workplace):
    log = workplace / "logs" / "job.log"
    first = TrainProcess(["experiment=table_1c/awd_lstm", "nonsense=1"], log, "mine").wait()
    second = TrainProcess(["seed=-1", "scale=smoke"], log, "mine").wait()
    assert (first.code, second.code) == (2, 2)
    assert first.reason.startswith("config: nonsense is unknown")
    assert second.reason == "seed = -1 must be at least 0 and threads = 1 at least 1"
    assert not first.interrupted
    assert log.read_text(encoding="utf-8").splitlines() == [
        f"define: {first.reason}",
        f"define: {second.reason}",
    ]


def test_a_process_has_its_variables_and_says_that_it_was_asked_to_end(workplace):
    log, folder = workplace / "job.log", workplace / "run"
    overrides = ["scale=smoke", "optimization.max_epoch=1000", "threads=1", f"run.dir={folder}"]
    process = TrainProcess(overrides, log, "mine", device="7")
    assert os.getsid(process.pid) == process.pid != os.getsid(0), "no terminal reaches it"
    variables = Path(f"/proc/{process.pid}/environ").read_text(encoding="utf-8").split("\0")
    assert {"DEFINE_SWEEP=mine", "CUDA_VISIBLE_DEVICES=7"} <= set(variables)
    deadline = time.monotonic() + 300
    while not (folder / "record.json").exists():
        assert process.poll() is None, process.poll()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert is_held(log)
    process.terminate()
    ended = process.wait()
    assert (ended.code, ended.interrupted) == (130, True)
    assert ended.reason == "interrupted; the same command goes on from here"
    assert not is_held(log)


@pytest.mark.parametrize(("code", "interrupted"), [(130, True), (-9, True), (2, False), (1, False)])
def test_whoever_is_killed_is_interrupted(code, interrupted):
    assert Ended(code, "").interrupted is interrupted
