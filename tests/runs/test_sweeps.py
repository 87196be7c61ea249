"""How a job stands follows from the journal, the locks and its run's record."""

import json

import pytest

from define.cli.main import main
from define.errors import InputError
from define.files import hold
from define.runs import journal, records, sweeps
from define.runs.recipe import digest
from define.runs.sweeps import Job, Sweep

CONFIG = {
    "seed": 1,
    "run": {"row": "awd_lstm"},
    "task": {"bptt": 70},
    "common": {},
    "checkpoint": {},
}
STARTED = {"event": "started", "job": 1, "attempt": 1}
ENDED = {"job": 1, "attempt": 1, "exit_code": 2, "seconds": 90.0}


@pytest.fixture
def sweep(tmp_path):
    job = Job(1, ["seed=1"], "1c", "awd_lstm", "mini", "ptb", 1, "run", True, 5, digest(CONFIG))
    made = Sweep(tmp_path / "sweeps" / "mine", "define train -m seed=1,2", "now", [job])
    sweeps.write(made)
    return made


@pytest.fixture
def stands(sweep):
    """(events...) -> how the job stands after them."""

    def after(*events):
        for event in events:
            journal.append(sweep.journal, event)
        (state,) = sweeps.states(sweep)
        return state.state, state.reason

    return after


def test_a_sweep_is_read_as_it_was_written(sweep, tmp_path):
    assert sweeps.read(sweep.folder) == sweep
    assert sweeps.find(tmp_path) == [sweep] and sweeps.find_one(tmp_path, "mine") == sweep
    assert sweep.name == "mine" and sweep.run_dir(sweep.job(1)) == tmp_path / "run"
    with pytest.raises(InputError, match="there is no sweep 'other' .*; there are: mine"):
        sweeps.find_one(tmp_path, "other")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"schema": 2}, "'schema' is 2; it should be 1"),
        ({"jobs": [{}]}, "'jobs.0..number' is missing"),
        ({"name": ""}, "'name' is ''; it should have at least 1"),
    ],
)
def test_a_malformed_plan_is_one_sentence(change, fault, sweep):
    path = sweep.folder / "sweep.json"
    plan = json.loads(path.read_text(encoding="utf-8")) | change
    path.write_text(json.dumps(plan), encoding="utf-8")
    with pytest.raises(InputError, match=fault):
        sweeps.read(sweep.folder)


def test_the_last_event_counts(stands):
    assert stands() == ("pending", "")
    assert stands(STARTED) == ("interrupted", "its process was killed")
    assert stands({"event": "failed", "reason": "no corpus", **ENDED}) == ("failed", "no corpus")
    assert stands({"event": "skipped", "job": 1, "reason": "finished"}) == ("failed", "no corpus")
    assert stands(STARTED, {"event": "interrupted", "reason": "interrupted", **ENDED}) == (
        "interrupted",
        "interrupted",
    )
    assert stands({"event": "stopping", "invocation": "a"})[0] == "interrupted"


def test_a_job_runs_as_long_as_its_claim_or_its_run_s_folder_is_held(stands, sweep, tmp_path):
    with hold(sweep.claim(sweep.job(1))):
        assert stands(STARTED) == ("running", "")
    with hold(tmp_path / "run" / ".lock"):
        assert stands() == ("running", "")
    assert stands()[0] == "interrupted"


def test_a_job_is_finished_if_its_record_is_and_has_its_config(stands, sweep, tmp_path, put):
    path = tmp_path / "run" / records.FILE_NAME

    def left(**fields):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(put(tmp_path / "elsewhere", **fields).read_bytes())

    left(config=CONFIG)
    assert stands(STARTED, {"event": "failed", "reason": "x", **ENDED}) == ("finished", "")
    (state,) = sweeps.states(sweep)
    assert (state.attempts, state.seconds, state.record.path) == (1, 90.0, path)
    left(config=CONFIG | {"seed": 2})
    assert stands() == ("failed", "x")
    left(config=CONFIG, status="running")
    assert stands() == ("failed", "x")
    path.write_text("{", encoding="utf-8")
    assert stands({"event": "finished", "job": 1}) == ("pending", "")


def test_a_label_leaves_out_what_all_jobs_have(tmp_path):
    jobs = [Job(seed, ["scale=smoke", f"seed={seed}"]) for seed in (1, 2)]
    two = Sweep(tmp_path / "two", "define", "now", jobs)
    assert [two.label(job) for job in jobs] == ["seed=1", "seed=2"]
    one = Sweep(tmp_path / "one", "define", "now", jobs[:1])
    assert one.label(jobs[0]) == "scale=smoke seed=1"


def test_status_lists_sweeps_and_jobs(stands, sweep, tmp_path, capsys):
    stands(STARTED, {"event": "failed", "reason": "no corpus", **ENDED})
    assert main(["status", "--runs", str(tmp_path), "--json"]) == 0
    states = {"finished": 0, "failed": 1, "interrupted": 0, "running": 0, "pending": 0}
    assert json.loads(capsys.readouterr().out) == [{"name": "mine", "jobs": 1, **states}]
    assert main(["status", "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-2].split() == "mine 1 0 1 0 0 0".split()
    assert main(["status", "--runs", str(tmp_path), "mine"]) == 0
    output = capsys.readouterr().out
    assert "1.5" in output and "Job 1 failed: no corpus." in output
    assert "Its command: define train -m seed=1,2" in output
    assert main(["status", "--runs", str(tmp_path), "mine", "--json"]) == 0
    (job,) = json.loads(capsys.readouterr().out)["jobs"]
    assert job["state"] == "failed" and job["reason"] == "no corpus" and job["attempts"] == 1
    assert main(["status", "--runs", str(tmp_path), "other"]) == 2
    assert main(["status", "--runs", str(tmp_path / "none")]) == 0
    assert "No sweeps yet" in capsys.readouterr().out
