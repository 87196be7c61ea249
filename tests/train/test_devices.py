"""A device is held by one job at a time, in this process and in others."""

import subprocess
import sys
import tempfile

import pytest

from define.train import devices
from define.train.devices import Unwanted, take, visible

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


@pytest.mark.parametrize(
    ("listed", "script", "expected"),
    [
        ("0,1", None, ["0", "1"]),
        (" GPU-8a , 3", None, ["GPU-8a", "3"]),
        ("", None, []),
        ("-1", None, []),
        (None, "echo 0; echo 1", ["0", "1"]),
        (None, "echo no driver; exit 9", []),
    ],
)
def test_devices_are_those_of_the_environment_or_of_nvidia_smi(
    listed, script, expected, monkeypatch, tmp_path
):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if listed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert visible() == expected


def test_each_job_has_its_own_device_and_waits_for_one(monkeypatch):
    with take(["0", "1"]) as one:
        command = [sys.executable, "-c", HOLD, "0,1"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        other = subprocess.Popen(command, **pipes)
        taken = other.stdout.readline().strip()
        assert {one, taken} == {"0", "1"}
        with pytest.raises(Unwanted), take(["0", "1"], lambda: False):
            pass
        looks = []

        def kill_the_other_at_the_second_look():
            looks.append(None)
            if len(looks) == 2:
                other.kill()
                other.communicate()
            return True

        with take(["0", "1"], kill_the_other_at_the_second_look) as name:
            assert name == taken and len(looks) >= 2
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        with take([one]) as name:
            assert name == one, "an allocation of SLURM numbers its own devices"


def test_without_any_device_a_job_computes_on_the_processor():
    with take([]) as name:
        assert name == ""
