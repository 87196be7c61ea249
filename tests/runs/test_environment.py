"""The allocator and the wait policy that a process of `define` gets before torch is loaded."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from define.errors import InputError
from define.runs import environment
from define.runs.environment import SYSTEM, VARIABLE, WAITING, chosen, set_waiting

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="preloads on Linux alone")

SCRIPT = """
import json, os, signal, sys
if "--ignore" in sys.argv and "DEFINE_LD_PRELOAD_BEFORE" not in os.environ:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
print(os.getpid(), flush=True)
from define.runs import environment
environment.prepare()
print(json.dumps({
    "allocator": environment.allocator(),
    "arguments": sys.argv[1:],
    "ignored": signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN,
    "torch": "torch" in sys.modules,
    "preload": os.environ.get("LD_PRELOAD"),
    "marks": [name for name in os.environ if name.startswith("DEFINE_LD")],
    "waiting": {name: os.environ.get(name) for name in environment.WAITING},
}))
sys.exit(7)
"""


@pytest.fixture
def library(tmp_path) -> Path:
    """A library that can be preloaded, under an allocator's name."""
    folder = Path(torch.__file__).parent / "lib"
    return shutil.copy(folder / "libc10.so", tmp_path / "libjemalloc.so.2")


def run(tmp_path: Path, name: str, *arguments: str, **variables: str) -> tuple[list[str], dict]:
    """The process ids that the script printed, one per execution, and its findings."""
    script = tmp_path / name
    script.write_text(SCRIPT)
    unset = {VARIABLE, "LD_PRELOAD", "OMP_WAIT_POLICY", *WAITING}
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        env=env | variables,
    )
    assert done.returncode == 7, done.stderr
    *pids, found = done.stdout.splitlines()
    return pids, json.loads(found)


@ON_LINUX
def test_the_command_executes_itself_once_with_the_library(tmp_path, library):
    libc10 = {"LD_LIBRARY_PATH": str(Path(torch.__file__).parent / "lib")}
    pids, found = run(tmp_path, "define", "a=1", "--ignore", **{VARIABLE: str(library)}, **libc10)
    assert len(pids) == 2 and len(set(pids)) == 1, "the same process, twice"
    assert found == {
        "allocator": "libjemalloc.so.2",
        "arguments": ["a=1", "--ignore"],
        "ignored": True,
        "torch": False,
        "preload": None,
        "marks": [],
        "waiting": WAITING,
    }


@ON_LINUX
@pytest.mark.parametrize("name, value", [("define", "none"), ("other.py", "")])
def test_the_option_and_other_programs_keep_the_system_s(tmp_path, name, value):
    pids, found = run(tmp_path, name, **{VARIABLE: value}, LD_PRELOAD="")
    assert len(pids) == 1 and found["allocator"] == SYSTEM
    assert found["waiting"] == WAITING


@ON_LINUX
def test_what_the_user_has_preloaded_is_kept(tmp_path, library):
    lib = str(Path(torch.__file__).parent / "lib")
    pids, found = run(tmp_path, "define", LD_PRELOAD=str(library), LD_LIBRARY_PATH=lib)
    assert len(pids) == 1
    assert (found["allocator"], found["preload"]) == ("libjemalloc.so.2", str(library))


def test_the_user_s_wait_policy_is_kept():
    policy = {"OMP_WAIT_POLICY": "active"}
    set_waiting(policy)
    assert policy == {"OMP_WAIT_POLICY": "active"}
    own = {"GOMP_SPINCOUNT": "7"}
    set_waiting(own)
    assert own == WAITING | {"GOMP_SPINCOUNT": "7"}


@ON_LINUX
def test_the_first_library_that_is_there_is_chosen(tmp_path, monkeypatch):
    second = tmp_path / "x86_64-linux-gnu" / "libtcmalloc.so.4"
    patterns = (
        f"{tmp_path}/*-linux-gnu/libtcmalloc_minimal.so.4",
        f"{tmp_path}/*/libtcmalloc.so.4",
    )
    monkeypatch.setattr(environment, "LIBRARIES", patterns)
    assert chosen({}) is None
    second.parent.mkdir()
    second.touch()
    assert chosen({}) == str(second)
    first = second.with_name("libtcmalloc_minimal.so.4")
    first.touch()
    assert chosen({}) == str(first)
    assert chosen({VARIABLE: "none"}) is None
    assert chosen({VARIABLE: str(second)}) == str(second)
    with pytest.raises(
        InputError, match=r"DEFINE_ALLOCATOR = jemaloc is not a file; name a library"
    ):
        chosen({VARIABLE: "jemaloc"})
