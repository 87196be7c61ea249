"""Trainings in processes of their own."""

import os
import time
from pathlib import Path

from define.files import is_held
from define.train.process import TrainProcess


def test_a_process_is_judged_by_its_own_part_of_the_log(workplace):
    log = workplace / "logs" / "job.log"
    first = TrainProcess(["experiment=table_1c/awd_lstm", "nonsense=1"], log, "mine").wait()
    second = TrainProcess(["seed=-1", "scale=smoke"], log, "mine").wait()
    assert (first.code, second.code, first.interrupted) == (2, 2, False)
    assert first.reason.startswith("config: nonsense is unknown")
    assert second.reason.startswith("seed = -1 must be at least 0")
    lines = log.read_text(encoding="utf-8").splitlines()
    assert lines == [f"define: {first.reason}", f"define: {second.reason}"]


def test_a_process_has_its_variables_and_saves_when_it_is_asked_to_end(workplace):
    log, folder = workplace / "job.log", workplace / "run"
    overrides = ["scale=smoke", "optimization.max_epoch=1000", "threads=1", f"run.dir={folder}"]
    process = TrainProcess(overrides, log, "mine", device="7")
    assert os.getsid(process.pid) == process.pid != os.getsid(0), "no terminal reaches it"
    variables = Path(f"/proc/{process.pid}/environ").read_text(encoding="utf-8").split("\0")
    assert {"DEFINE_SWEEP=mine", "CUDA_VISIBLE_DEVICES=7"} <= set(variables)
    held, deadline = [], time.monotonic() + 300

    def not_yet_training() -> bool:
        held.append(is_held(log))
        return not (folder / "record.json").exists() and time.monotonic() < deadline

    ended = process.wait(not_yet_training)
    assert all(held) and not is_held(log)
    assert (ended.code, ended.interrupted) == (130, True)
    assert ended.reason.startswith("interrupted; ")
