"""`define train -m` with Hydra's launchers: real processes, failures, retries, interruptions."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from define.errors import InputError
from define.files import hold
from define.runs import journal, sweeps

PATIENCE_S = 120
LONG = "optimization.max_epoch=500"


@pytest.fixture
def sweep(workplace, monkeypatch, train):
    """`define train -m` in this process, its jobs in others: (overrides...) -> exit code."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TMPDIR", str(workplace))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return lambda *overrides: train("-m", "--name", "mine", *overrides)


@pytest.fixture
def start(workplace, spawn_train):
    """The same in a process of its own: (overrides..., devices="") -> process."""
    return lambda *words, **options: spawn_train("-m", "--name", "mine", *words, **options)


@pytest.fixture
def mine(workplace):
    """The sweep that the others start: () -> it, once it is written."""
    return lambda: sweeps.read(workplace / "runs" / "sweeps" / "mine")


def events(found: sweeps.Sweep, kind: str) -> list[dict]:
    return [e for e in journal.read(found.journal) if e["event"] == kind]


@pytest.fixture
def started(mine, wait_for):
    """(number of a job) -> its process, once it runs."""

    def pid(number):
        try:
            return next((e["pid"] for e in events(mine(), "started") if e["job"] == number), None)
        except InputError:  # the sweep is not written yet
            return None

    return lambda number: wait_for(lambda: pid(number))


@pytest.fixture
def record_of(mine):
    """(number of a job) -> the record of its run, {} if there is none."""

    def read(number):
        path = mine().run_dir(mine().job(number)) / "record.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    return read


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return "\nState:\tZ" not in status  # nobody may be there to ask for its exit code


def environment(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8").split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def test_failed_jobs_are_tried_again_and_finished_ones_are_skipped(
    sweep, mine, workplace, data_root, monkeypatch, capfd
):
    data = workplace / "data"
    data.mkdir()
    (data / "python_docs").symlink_to(data_root / "python_docs")
    monkeypatch.setenv("DEFINE_DATA", str(data))
    overrides = ["optimization.max_epoch=1", "data=python_docs,ptb,nowhere"]

    assert sweep(*overrides) == 1
    output, errors = capfd.readouterr()
    good, unprepared, unknown = sweeps.states(mine())
    assert [s.state for s in (good, unprepared, unknown)] == ["finished", "failed", "failed"]
    assert unprepared.reason.startswith("There is no prepared corpus in")
    assert "nowhere" in unknown.reason and unknown.attempts == 0
    assert good.record.provenance["sweep"] == "mine"
    lines = output.splitlines()
    assert lines[0] == "sweep mine: 3 jobs: 3 pending"
    assert [line for line in lines if "data=python_docs: started" in line]
    assert [line for line in lines if "data=python_docs: finished: table 1c" in line]
    assert [line for line in lines if line.endswith(f"data=ptb: failed: {unprepared.reason}")]
    assert lines[-1] == "sweep mine: 3 jobs: 1 finished, 2 failed"
    told = [line for line in errors.splitlines() if line.startswith("define: job")]
    assert [line.split(":")[1] for line in told] == [" job 2 failed", " job 3 failed"]
    assert told[0].endswith(f"data=ptb: {unprepared.reason}")
    logs = mine().folder / "logs"
    assert sorted(path.name for path in logs.iterdir()) == ["1.log", "2.log"]
    assert "valid ppl" in (logs / "1.log").read_text(encoding="utf-8")

    (data / "ptb").symlink_to(data_root / "ptb")
    written = good.record.path.stat().st_mtime_ns
    assert sweep(*overrides, "hydra/launcher=submitit_local") == 1
    output, _ = capfd.readouterr()
    states = sweeps.states(mine())
    assert [(s.state, s.attempts) for s in states] == [
        ("finished", 1),
        ("finished", 2),
        ("failed", 0),
    ]
    assert good.record.path.stat().st_mtime_ns == written
    assert "data=python_docs: is finished: table 1c" in output
    assert f"{states[1].record.final['valid']['ppl']:.2f}" in output
    assert len(list((mine().folder / "hydra" / ".submitit").glob("*/*_result.pkl"))) == 1

    (mine().run_dir(mine().job(2)) / "record.json").unlink()
    with hold(mine().claim(mine().job(2))):
        assert sweep(*overrides) == 1  # nothing to start
    output, errors = capfd.readouterr()
    assert "data=ptb: another process trains it" in output
    assert "define: job 2 running: " in errors
    assert len(events(mine(), "started")) == 3


def test_a_killed_job_ends_alone_and_an_interruption_ends_the_others(
    start, mine, started, wait_for, record_of, monkeypatch, workplace
):
    monkeypatch.setenv("TMPDIR", str(workplace))
    jobs = [LONG, "common.cpu=false", "--seeds", "1-4"]
    process = start(*jobs, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", devices="0,1")
    first, second = started(1), started(2)
    freed = environment(first)["CUDA_VISIBLE_DEVICES"]
    os.kill(first, signal.SIGKILL)
    third = started(3)
    wait_for(lambda: record_of(2).get("epochs"))
    assert environment(second)["DEFINE_SWEEP"] == "mine"
    devices = [event["device"] for event in events(mine(), "started")]
    assert set(devices[:2]) == {"0", "1"}
    assert environment(third)["CUDA_VISIBLE_DEVICES"] == devices[2] == freed
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, output
    assert not any(map(is_alive, (first, second, third)))
    states = sweeps.states(mine())
    assert [s.state for s in states] == [*["interrupted"] * 3, "pending"]
    assert states[0].reason == "killed by SIGKILL, perhaps for lack of memory"
    assert "interrupted: killed by SIGKILL" in output
    assert output.count(": started on device") == 3
    assert record_of(2)["status"] == "interrupted"


def test_a_killed_sweep_leaves_no_job_behind_and_shows_progress_until_then(
    mine, started, wait_for, monkeypatch, workplace
):
    """The sweep has a terminal; its one job has one line there, which is kept current."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["experiment=table_1c/awd_lstm_define", "scale=smoke", "threads=1", LONG]
    words = ["train", "-m", "--name", "mine", *words, "common.log_interval=5"]
    terminal, other_end = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "define", *words], stdout=other_end)
    os.close(other_end)
    os.set_blocking(terminal, False)
    shown = bytearray()

    def shows_the_remaining_time():
        try:
            shown.extend(os.read(terminal, 65536))
        except BlockingIOError:
            pass
        return re.search(rb"\[1/1\] update [\d,]+ of [\d,]+, valid ppl [\d.]+, [\d:]+ left:", shown)

    wait_for(shows_the_remaining_time)
    job = started(1)
    process.kill()
    process.wait()
    os.close(terminal)
    wait_for(lambda: not is_alive(job))
    assert wait_for(lambda: sweeps.states(mine())[0].state == "interrupted")
