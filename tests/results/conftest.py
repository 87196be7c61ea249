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
    ms_per_update: float = 93.0,
    protocols: dict[str, tuple[dict, float, float]] | None = None,
) -> dict:
    """A valid record whose final validation perplexity is the last of `curve`.

    Args:
        protocols: name -> (settings, valid ppl, test ppl); the first should equal the final scores.
    """
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
        record["speed"] = {
            "tokens_per_second": 15_000.0,
            "ms_per_update": ms_per_update,
            "seconds": 600.0,
        }
        record["peak_memory_mib"] = 512.5
    if protocols:
        record["protocols"] = {
            name: {
                "settings": dict(settings),
                "scores": {"valid": _scored(valid, "valid"), "test": _scored(test, "test")},
            }
            for name, (settings, valid, test) in protocols.items()
        }
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


def _make_step(
    row: str = "lstm_r2",
    *,
    table: str = "1a",
    streams: int = 20,
    ms_per_update: tuple[float, ...] = (900.0, 1000.0, 5000.0),
    device: str = "cpu",
) -> dict:
    """A valid step record: three timed updates after one, the last loss 8.125."""
    origin = _make_record()["provenance"]
    return {
        "schema": 1,
        "table": table,
        "row": row,
        "config": {"model": {"map_dim": 256}},
        "parameters": {"define": 1, "context": 2, "io": 3, "total": 6},
        "streams": streams,
        "paper_streams": 60,
        "bptt": 140,
        "tokens_per_update": streams * 140,
        "updates": 3,
        "warm_up": 1,
        "ms_per_update": list(ms_per_update),
        "loss": [12.5, 10.0, 9.0, 8.125],
        "peak_memory_mib": 3584.0,
        "provenance": {**origin, "device": device, "data": {"name": "zipf", "types": 267_735}},
    }


@pytest.fixture
def make_step() -> Callable[..., dict]:
    """A function that makes a valid step record."""
    return _make_step


def _make_evaluation(row: str = "lstm_grave_cache", ppl: float = 90.0) -> dict:
    """A valid evaluation of table 1a's run lstm_r2, seed 1."""
    return {
        "schema": 1,
        "kind": "evaluation",
        "table": "1b",
        "row": row,
        "scale": "mini",
        "seed": 1,
        "run": {"table": "1a", "row": "lstm_r2", "seed": 1},
        "protocol": {"window": 2000, "theta": 0.3, "lambda": 0.1, "chosen": "validation"},
        "scores": {"valid": _scored(ppl, "valid"), "test": _scored(ppl - 5, "test")},
        "provenance": _make_record(data="wikitext-2")["provenance"],
    }


@pytest.fixture
def make_evaluation() -> Callable[..., dict]:
    """A function that makes a valid evaluation."""
    return _make_evaluation


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
