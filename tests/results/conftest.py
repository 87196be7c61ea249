"""Synthetic run records with known numbers."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from define.results import records

TOKENS = {"train": 929_589, "valid": 73_760, "test": 82_430}


def _loss(ppl: float) -> dict:
    return {"nll": math.log(ppl), "ppl": ppl}


def _scored(ppl: float, split: str) -> dict:
    return {**_loss(ppl), "scored_tokens": TOKENS[split]}


def _make_record(
    row: str = "awd_lstm",
    seed: int = 1,
    *,
    table: str = "1c",
    scale: str = "mini",
    data: str = "ptb",
    status: str = "finished",
    curve: tuple[float, ...] = (300.0, 150.0, 120.0),
    test_ppl: float = 116.0,
    define_parameters: int = 0,
    config: dict | None = None,
) -> dict:
    """A valid record whose final validation perplexity is the last of `curve`."""
    record = records.new(
        table=table,
        row=row,
        scale=scale,
        seed=seed,
        config=config or {"seed": seed},
        parameters={
            "define": define_parameters,
            "context": 1_000_000,
            "io": 640_000,
            "total": 1_640_000 + define_parameters,
        },
        provenance={
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "dirty": False,
            "command": f"define train experiment=table_{table}/{row} scale={scale} seed={seed}",
            "device": "cpu",
            "threads": 2,
            "python": "3.11.7",
            "versions": {"torch": "2.13.0"},
            "data": {
                "name": data,
                "sha256": {"train.npy": "00"},
                "tokens": dict(TOKENS),
                "types": 10_000,
            },
            "started": "2026-01-02T03:04:05+00:00",
            "finished": "2026-01-02T03:14:05+00:00" if status == "finished" else None,
        },
    )
    record["status"] = status
    record["epochs"] = [
        {
            "epoch": epoch,
            "updates": 660 * epoch,
            "lr": 0.004,
            "train": _loss(1.1 * ppl),
            "valid": _scored(ppl, "valid"),
            "seconds": 31.2,
            "averaged": False,
        }
        for epoch, ppl in enumerate(curve, start=1)
    ]
    if curve:
        record["best_epoch"] = 1 + curve.index(min(curve))
    if status == "finished":
        record["final"] = {"valid": _scored(curve[-1], "valid"), "test": _scored(test_ppl, "test")}
        record["speed"] = {"tokens_per_second": 15_000.0, "ms_per_update": 93.0, "seconds": 600.0}
        record["peak_memory_mib"] = 512.5
    return record


def _put(folder: Path, **values) -> Path:
    """Writes a synthetic record where a run would; returns the file."""
    record = _make_record(**values)
    path = (
        folder
        / f"table_{record['table']}"
        / record["row"]
        / record["scale"]
        / f"seed_{record['seed']}"
        / "record.json"
    )
    records.write(path, record)
    return path


@pytest.fixture
def make_record() -> Callable[..., dict]:
    """A function that makes a valid record; its options are the fields that tests vary."""
    return _make_record


@pytest.fixture
def put() -> Callable[..., Path]:
    """A function that writes a valid record below a folder and returns the file."""
    return _put


@pytest.fixture
def mini_runs(tmp_path: Path) -> Path:
    """Three seeds of the baseline and of DeFINE, two of a control, at scale mini."""
    folder = tmp_path / "runs"
    for seed, (plain, define) in enumerate([(120.0, 118.0), (122.0, 117.0), (124.0, 122.0)], 1):
        _put(folder, row="awd_lstm", seed=seed, curve=(310.0, 160.0, plain), test_ppl=plain - 4)
        _put(
            folder,
            row="awd_lstm_define",
            seed=seed,
            curve=(250.0, 140.0, define),
            test_ppl=define - 4,
            define_parameters=360_000,
        )
    for seed in (1, 2):
        curve = (280.0, 150.0, 119.0 + seed)
        _put(folder, row="awd_lstm_wide", seed=seed, curve=curve, test_ppl=115.0 + seed)
    return folder
