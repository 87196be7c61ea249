"""Jobs: runs in processes of their own."""

import os
import time

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from define.launch.job import Ended, Job, busy, override, run_job


@pytest.mark.parametrize(
    "path",
    ["runs/search/x+1", "/a b/c,d=e/[x](y){z}:q", "/it's", '/a"b', "/a\\b", "/a\\'b", "/~c$d%é"],
)
def test_any_path_comes_through_hydra_s_grammar(path):
    parsed = OverridesParser.create().parse_override(override("run.dir", path))
    assert (parsed.key_or_group, parsed.value()) == ("run.dir", path)


def test_a_job_is_judged_by_its_own_part_of_the_log(workplace):
    log = workplace / "logs" / "job.log"
    first = run_job(["experiment=table_1c/awd_lstm", "nonsense=1"], log)
    second = run_job(["seed=-1", "scale=smoke"], log)
    assert (first.code, second.code) == (2, 2)
    assert first.reason.startswith("config: nonsense is unknown")
    assert second.reason == "seed = -1 must be at least 0 and threads = 2 at least 1"
    assert not first.interrupted
    assert log.read_text(encoding="utf-8").splitlines() == [
        f"define: {first.reason}",
        f"define: {second.reason}",
    ]


def test_a_job_sees_its_variables_and_has_no_terminal_group(workplace):
    log = workplace / "job.log"
    job = Job(["scale=smoke"], log, env={"DEFINE_CONFIGS": "/nowhere"})
    assert os.getsid(job._process.pid) == job._process.pid != os.getsid(0)
    assert job.wait().reason.startswith("there are no configs in /nowhere")


def test_a_job_that_is_asked_to_end_says_so(workplace):
    log, folder = workplace / "job.log", workplace / "run"
    job = Job(["scale=smoke", "optimization.max_epoch=1000", "threads=1", f"run.dir={folder}"], log)
    deadline = time.monotonic() + 300
    while not (folder / "record.json").exists():
        assert job.poll() is None, job.poll()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    job.terminate()
    ended = job.wait()
    assert (ended.code, ended.interrupted) == (130, True)
    assert ended.reason == "interrupted; the same command goes on from here"
    assert not busy(log)
    assert not busy(workplace / "no.log")


@pytest.mark.parametrize(("code", "interrupted"), [(130, True), (-9, True), (2, False), (1, False)])
def test_whoever_is_killed_is_interrupted(code, interrupted):
    assert Ended(code, "").interrupted is interrupted
