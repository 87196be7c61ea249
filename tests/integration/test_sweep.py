"""`define train -m` with Hydra's launchers: real processes, failures, retries, interruptions."""

import json
import os
import signal
import tempfile
from pathlib import Path

import pytest

from define.errors import InputError
from define.files import hold
from define.runs import journal, sweeps

PATIENCE_S = 120


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


def trains(folder: Path) -> bool:
    """Whether a run has had its first epoch."""
    path = folder / "record.json"
    return path.is_file() and bool(json.loads(path.read_text(encoding="utf-8"))["epochs"])


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return "\nState:\tZ" not in status  # nobody may be there to ask for its exit code


def environment(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8").split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def test_what_failed_is_tried_again_and_what_is_finished_stays(
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
    titles = [n for n, line in enumerate(lines) if "] define train experiment=" in line]
    refused = lines.index(f"define: {unprepared.reason}")
    assert len(titles) == 2 and titles[0] < titles[1] < refused
    assert lines[-1] == "sweep mine: 3 jobs: 1 finished, 2 failed"
    told = [line for line in errors.splitlines() if line.startswith("define: job")]
    assert [line.split(":")[1] for line in told] == [" job 2 failed", " job 3 failed"]
    assert told[0].endswith(f"data=ptb: {unprepared.reason}")
    logs = mine().folder / "logs"
    assert sorted(path.name for path in logs.iterdir()) == ["1.log", "2.log"]
    assert "valid ppl" in (logs / "1.log").read_text(encoding="utf-8")
    (end,) = [e for e in events(mine(), "failed") if e["job"] == 2]
    assert end["exit_code"] == 2 and end["attempt"] == 1 and end["device"] is None

    (data / "ptb").symlink_to(data_root / "ptb")
    written = good.record.path.stat().st_mtime_ns
    assert sweep(*overrides) == 1
    output, _ = capfd.readouterr()
    states = sweeps.states(mine())
    assert [s.state for s in states] == ["finished", "finished", "failed"]
    assert [s.attempts for s in states] == [1, 2, 0]
    assert good.record.path.stat().st_mtime_ns == written
    assert "[1/3]" in output and "data=python_docs: is finished: table 1c" in output
    assert f"{states[1].record.final['valid']['ppl']:.2f}" in output

    (mine().run_dir(mine().job(2)) / "record.json").unlink()
    with hold(mine().claim(mine().job(2))):
        assert sweep(*overrides) == 1  # nothing but the plan
    output, errors = capfd.readouterr()
    assert "data=ptb: another process trains it" in output
    assert "define: job 2 running: " in errors
    assert len(events(mine(), "started")) == 3


def test_submitit_s_local_executor_runs_a_job(sweep, mine, monkeypatch, capfd):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    job = ["optimization.max_epoch=1", "common.cpu=false"]
    assert sweep(*job, "hydra/launcher=submitit_local") == 0
    assert [s.state for s in sweeps.states(mine())] == ["finished"]
    assert [e["device"] for e in events(mine(), "started")] == ["3"]
    assert len(list((mine().folder / "hydra" / ".submitit").glob("*/*_result.pkl"))) == 1
    assert capfd.readouterr().out.count("finished: table 1c") == 1


def test_an_interrupted_sweep_lets_its_job_save_and_starts_no_other(
    start, mine, started, wait_for, workplace
):
    process = start("optimization.max_epoch=500", "--seeds", "1-2")
    pid = started(1)
    wait_for(lambda: trains(mine().run_dir(mine().job(1))))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, output
    assert not is_alive(pid)
    states = sweeps.states(mine())
    assert [s.state for s in states] == ["interrupted", "pending"]
    record = json.loads((mine().run_dir(mine().job(1)) / "record.json").read_text(encoding="utf-8"))
    assert record["status"] == "interrupted"
    assert "the same command goes on from here" in output


def test_with_joblib_a_killed_job_fails_alone_and_an_interruption_ends_the_others(
    start, mine, started, wait_for, monkeypatch, workplace
):
    monkeypatch.setenv("TMPDIR", str(workplace))
    jobs = ["optimization.max_epoch=500", "common.cpu=false", "--seeds", "1-3"]
    process = start(*jobs, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", devices="0,1")
    first, second = started(1), started(2)
    freed = environment(first)["CUDA_VISIBLE_DEVICES"]
    os.kill(first, signal.SIGKILL)
    third = started(3)
    wait_for(lambda: trains(mine().run_dir(mine().job(2))))
    assert environment(second)["DEFINE_SWEEP"] == "mine"
    devices = [event["device"] for event in events(mine(), "started")]
    assert set(devices[:2]) == {"0", "1"}
    assert environment(third)["CUDA_VISIBLE_DEVICES"] == devices[2] == freed
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, output
    assert not any(map(is_alive, (first, second, third)))
    states = sweeps.states(mine())
    assert [s.state for s in states] == ["failed", "interrupted", "interrupted"]
    assert states[0].reason == "killed by SIGKILL, perhaps for want of memory"
    assert "failed: killed by SIGKILL" in output
    assert output.count(": started on device") == 3
    record = json.loads((mine().run_dir(mine().job(2)) / "record.json").read_text(encoding="utf-8"))
    assert record["status"] == "interrupted"


def test_a_killed_sweep_leaves_no_job_behind(start, mine, started, wait_for):
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]
    process = start("optimization.max_epoch=500", *launcher)
    pid = started(1)
    process.kill()
    process.communicate()
    wait_for(lambda: not is_alive(pid))
    assert wait_for(lambda: sweeps.states(mine())[0].state == "interrupted")
