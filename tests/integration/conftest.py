"""Runs of the command line, in this process or in one of their own, and what they leave."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from define.cli.main import main
from define.train.observer import RunObserver

SMALL = [
    "scale=smoke",
    "threads=1",
    "task.train_tokens=1213",  # an odd number: streams of two lengths
    "dataset.batch_size=8",
    "dataset.batch_size_valid=4",
]


def command(*overrides: str) -> list[str]:
    """Arguments of `define` that train a small model on the tiny corpus."""
    return ["train", "--quiet", "experiment=table_1c/awd_lstm_define", *SMALL, *overrides]


@pytest.fixture
def train(workplace) -> Callable[..., int]:
    """`define train` in this process on the tiny corpus: (overrides...) -> exit code."""
    return lambda *overrides: main(command(*overrides))


@pytest.fixture(scope="session")
def finished(data_root, tmp_path_factory) -> Path:
    """The folder of a finished run, to be read only; its weights are averages."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEFINE_DATA", str(data_root))
        overrides = ["optimization.max_epoch=5", "optimization.lr=[2.0]", "optimizer.nonmono=0"]
        assert main(command(*overrides, f"run.dir={folder}")) == 0
    return folder


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], Any]], Any]:
    """(condition) -> its first true value, within two minutes."""

    def wait(condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 120
        while not (value := condition()):
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.1)
        return value

    return wait


@pytest.fixture
def interrupt_at(monkeypatch) -> Callable[[int], None]:
    """Interrupts the next training after so many updates of the run."""

    def arm(update: int) -> None:
        updated = RunObserver.updated

        def interrupted(self, number: int, *facts) -> None:
            updated(self, number, *facts)
            if number == update:
                monkeypatch.setattr(RunObserver, "updated", updated)
                raise KeyboardInterrupt

        monkeypatch.setattr(RunObserver, "updated", interrupted)

    return arm


@pytest.fixture
def spawn(workplace) -> Callable[..., subprocess.Popen]:
    """A program of the environment in a process of its own, one thread: (argv...) -> Popen."""

    def start(program: str, *arguments: str, devices: str = "") -> subprocess.Popen:
        # Jobs in the background of a shell ignore interrupts, and so would their children.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
        return subprocess.Popen(
            [str(Path(sys.executable).parent / program), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": devices},
        )

    return start


@pytest.fixture
def spawn_train(spawn) -> Callable[..., subprocess.Popen]:
    """As `train`, in a process of its own: (overrides..., devices="") -> Popen."""
    return lambda *overrides, **options: spawn("define", *command(*overrides), **options)


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Places where two nested values differ; tensors are compared bit for bit."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if one.dtype == other.dtype and torch.equal(one, other) else [where]
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys(), key=str)
        pairs = [(one.get(key), other.get(key), f"{where}.{key}") for key in keys]
    elif isinstance(one, (list, tuple)) and type(one) is type(other) and len(one) == len(other):
        pairs = [(*pair, f"{where}[{i}]") for i, pair in enumerate(zip(one, other, strict=True))]
    else:
        return [] if one == other else [f"{where}: {one} != {other}"]
    return [place for pair in pairs for place in differences(*pair)]


@pytest.fixture
def assert_same() -> Callable[[Any, Any], None]:
    """Asserts that two nested values are equal, tensors bit for bit."""

    def check(one: Any, other: Any) -> None:
        assert differences(one, other) == []

    return check


def load(folder: Path, name: str = "checkpoint_last") -> dict[str, Any]:
    """A checkpoint of a run folder."""
    return torch.load(folder / "checkpoints" / f"{name}.pt", weights_only=True)


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run left but times and the machine: weights, optimizer, positions, metrics."""
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    for epoch in record["epochs"]:
        del epoch["seconds"]
    left = {key: record[key] for key in ("status", "epochs", "final", "best_epoch", "parameters")}
    for name in ("checkpoint_last", "checkpoint_best"):
        checkpoint = load(folder, name)
        extra, progress = checkpoint["extra_state"], checkpoint["optimizer_history"][-1]
        # Noted after an epoch's checkpoint is written, so lost to fairseq when it resumes there;
        # only a scheduler that waits for plateaus reads it.
        progress["lr_scheduler_state"].pop("best", None)
        left[name] = {
            "model": checkpoint["model"],
            "optimizer": checkpoint["last_optimizer_state"],
            "progress": progress,
            "state": extra["StreamLanguageModelingTask"],
            "position": extra["train_iterator"],
            "losses": (extra["val_loss"], extra["best"]),
        }
    return left


@pytest.fixture
def left_by() -> Callable[[Path], dict[str, Any]]:
    """What a run left, without times: (run folder) -> nested values for `assert_same`."""
    return outcome


@pytest.fixture
def checkpoint_of() -> Callable[..., dict[str, Any]]:
    """(run folder, name) -> a checkpoint's content."""
    return load
