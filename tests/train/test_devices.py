"""A device is held by one job at a time, in this process and in others."""

import subprocess
import sys
import tempfile

import pytest

from define.train import devices
from define.train.devices import Stopped, take, visible

HOLD = """
import sys
from define.train.devices import take
with take(sys.argv[1].split(",")) as name:
    print(name, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_locks(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(devices, "PAUSE_S", 0.02)


@pytest.fixture
def hold():
    """("0,1") -> a process that holds a device until its input ends, and the device's name."""
    processes = []

    def start(among):
        command = [sys.executable, "-c", HOLD, among]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, **pipes)
        processes.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("listed", "expected"),
    [("0,1", ["0", "1"]), (" GPU-8a , 3", ["GPU-8a", "3"]), ("", []), ("-1", [])],
)
def test_visible_devices_are_those_of_the_environment(listed, expected, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert visible() == expected


@pytest.mark.parametrize(
    ("script", "expected"), [("echo 0; echo 1", ["0", "1"]), ("echo no driver; exit 9", [])]
)
def test_without_the_variable_they_are_those_of_nvidia_smi(script, expected, monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert visible() == expected


def test_each_of_two_jobs_has_its_own_and_the_third_waits_for_the_first(hold):
    first, one = hold("0,1")
    _, other = hold("0,1")
    assert {one, other} == {"0", "1"}
    looks = []

    def free_the_first_at_the_second_look():
        looks.append(None)
        if len(looks) == 2:
            first.kill()
            first.wait()
        return False

    with take(["0", "1"], free_the_first_at_the_second_look) as name:
        assert name == one
    assert len(looks) >= 2


def test_whoever_is_stopped_waits_no_longer(hold):
    _, name = hold("0")
    assert name == "0"
    with pytest.raises(Stopped):
        with take(["0"], lambda: True):
            pass


def test_without_any_device_a_job_computes_on_the_processor():
    with take([]) as name:
        assert name == ""


def test_an_allocation_of_slurm_numbers_its_devices_for_itself(hold, monkeypatch):
    hold("0")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with take(["0"]) as name:
        assert name == "0"
