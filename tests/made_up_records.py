"""Synthetic run records with known numbers."""

import hashlib
import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest

from define.analysis import published
from define.files import write_json
from define.report import page
from define.runs import journal, records
from define.runs.schema import TRANSLATED

SETS = {"val": 1_014, "test_2016_flickr": 1_000, "newstest2014": 2_737, "newstest2017": 3_004}
"""Evaluation set -> sentences."""
PAIRS = {"train": 29_000, "valid": 1_014, "test": 1_000}
SIGNATURE = "nrefs:1|bs:1000|seed:12345|case:mixed|eff:no|tok:{}|smooth:exp|version:2.6.0"
TOKENS = {"train": 929_589, "valid": 73_760, "test": 82_430}
PARAMETERS = {"define": 0, "context": 1_000_000, "io": 640_000, "total": 1_640_000}
ORIGIN = {
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": False,
    "command": "define",
    "device": "cpu",
    "threads": 2,
    "python": "3.11.7",
    "versions": {"torch": "2.13.0"},
    "data": {"name": "zipf", "types": 267_735},
    "started": "2026-01-02T03:04:05+00:00",
    "finished": None,
}
"""The provenance of something that was measured."""


def _loss(ppl: float) -> dict:
    return {"nll": math.log(ppl), "ppl": ppl}


def _scored(ppl: float, split: str) -> dict:
    return {**_loss(ppl), "scored_tokens": TOKENS[split]}


def _hypotheses(row: str, seed: int, set_name: str, bleu: float) -> str:
    """The text that a made-up model writes; equal scores come from equal texts."""
    return f"{row}, seed {seed}: {set_name} at {bleu} BLEU.\n" * SETS[set_name]


def _score(score: float, tokenizer: str) -> dict:
    interval = {"score": score, "mean": score + 0.05, "half_width": 1.25}
    return {**interval, "signature": SIGNATURE.format(tokenizer)}


def _translated(row: str, seed: int, set_name: str, bleu: float, seconds: float) -> dict:
    text = _hypotheses(row, seed, set_name, bleu)
    return {
        "sentences": SETS[set_name],
        "seconds": seconds,
        "hypotheses_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "bleu": _score(bleu, "13a"),
        "chrf": _score(bleu + 20.0, "chrf"),
        "bleu_compound_split": _score(bleu + 1.5, "moses-compound-split"),
    }


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
    translations: dict[str, tuple[dict, dict[str, float]]] | None = None,
) -> dict:
    """A valid record whose final validation perplexity is the last of `curve`.

    Args:
        protocols: name -> (settings, valid ppl, test ppl); the first should equal the final scores.
        translations: name -> (settings, BLEU by set); each set takes 2.5 s, or 4 s without cache.
    """
    record = records.new(
        table=table,
        row=row,
        scale=scale,
        seed=seed,
        config=config or {"seed": seed},
        parameters=PARAMETERS
        | {"define": define_parameters, "total": 1_640_000 + define_parameters},
        provenance=deepcopy(ORIGIN)
        | {
            "command": f"define train experiment=table_{table}/{row} scale={scale} seed={seed}",
            "data": {
                "name": data,
                "sha256": {"train.npy": "00"},
                "tokens": dict(TOKENS),
                "types": 10_000,
            },
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
        record["speed"] = {"tokens_per_second": 15_000.0, "ms_per_update": ms_per_update}
        record["speed"]["seconds"] = 600.0
        record["peak_memory_mib"] = 512.5
    if protocols:
        record["protocols"] = {
            name: {
                "settings": dict(settings),
                "scores": {"valid": _scored(valid, "valid"), "test": _scored(test, "test")},
            }
            for name, (settings, valid, test) in protocols.items()
        }
    if translations:
        record["provenance"]["data"] |= {"pairs": dict(PAIRS), "source_types": 8_000}
        record["translations"] = {
            name: {
                "settings": dict(settings),
                "scores": {
                    s: _translated(row, seed, s, bleu, 2.5 if settings.get("cache", True) else 4.0)
                    for s, bleu in scores.items()
                },
            }
            for name, (settings, scores) in translations.items()
        }
    return record


def _put(folder: Path, **values) -> Path:
    """Writes a synthetic record, and its translations, where a run would; returns the file."""
    record = _make_record(**values)
    place = (f"table_{record['table']}", record["row"], record["scale"], f"seed_{record['seed']}")
    path = folder.joinpath(*place, "record.json")
    records.write(path, record)
    for name, (_, scores) in (values.get("translations") or {}).items():
        for set_name, bleu in scores.items():
            file = path.parent / "hypotheses" / name / f"{set_name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_hypotheses(record["row"], record["seed"], set_name, bleu))
    return path


@pytest.fixture(scope="session")
def make_record() -> Callable[..., dict]:
    """A function that makes a valid record; its options are the fields that tests vary."""
    return _make_record


@pytest.fixture(scope="session")
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
        "provenance": deepcopy(ORIGIN) | {"device": device},
    }


@pytest.fixture(scope="session")
def make_step() -> Callable[..., dict]:
    """A function that makes a valid step record."""
    return _make_step


@pytest.fixture
def bench_record() -> dict:
    """A valid record of `define bench`: two cases and a curve, on a quiet machine."""
    plain = {"unit": "ms", "axis": None, "table": None, "scale": None, "tokens": {}}
    slow = {"base": [10.0, 20.0, 30.0], "slow": [20.0, 50.0, 90.0]}
    curve = {"10": [1.0, 2.0, 3.0], "1000": [4.0, 5.0, 6.0]}
    tokens = {"base": 40, "slow": 40}
    return {
        "schema": 1,
        "quick": False,
        "clock": "wall",
        "cores": 2,
        "allocator": "system",
        "load_average": {"start": [0.1, 0.1, 0.1], "end": [1.2, 0.4, 0.1]},
        "busy": None,
        "groups": [
            {**plain, "part": "unit", "title": "a", "values": slow, "tokens": tokens},
            {**plain, "part": "growth", "title": "by N", "axis": "N", "values": curve},
        ],
        "provenance": deepcopy(ORIGIN) | {"command": "define bench unit"},
    }


def _make_batch_step(row: str = "transformer", **values) -> dict:
    """A valid step record of Table 3: an eighth of the paper's batch."""
    step = _make_step(row, table="3", **values)
    for name in ("streams", "paper_streams", "bptt"):
        del step[name]
    return step | {
        "max_tokens": 2_048,
        "update_freq": 2,
        "tokens_per_update": 4_096,
        "paper_tokens_per_update": 32_768,
    }


@pytest.fixture
def make_batch_step() -> Callable[..., dict]:
    """A function that makes a valid step record of a translation model."""
    return _make_batch_step


BEAM = {"beam": 5, "length_penalty": 1.0, "cache": True, "average": 0}
BLEU = {
    "transformer": (33.0, 34.5, 33.6),
    "transformer_define": (35.0, 36.0, 35.9),
    "transformer_linear": (32.0, 33.1),
}
"""Row of Table 3 -> BLEU of each seed on test_2016_flickr; on val it is 1.5 lower."""


@pytest.fixture
def translation_runs(tmp_path: Path) -> Path:
    """Three seeds of the baseline and of DeFINE, two of a control, on another corpus."""
    folder = tmp_path / "runs"
    for row, tests in BLEU.items():
        for seed, test in enumerate(tests, start=1):
            scores = {"val": test - 1.5, "test_2016_flickr": test}
            ways = {"beam_5": (BEAM, scores)}
            if row == "transformer_define":
                average = {name: bleu + 0.25 for name, bleu in scores.items()}
                ways["average_of_5"] = ({**BEAM, "average": 5}, average)
                ways["beam_5_uncached"] = ({**BEAM, "cache": False}, scores)
            _put(
                folder,
                table="3",
                row=row,
                seed=seed,
                data="multi30k",
                curve=(40.0, 14.0, 11.0 + 0.1 * seed),
                test_ppl=10.5,
                define_parameters=0 if row == "transformer" else 400_000,
                translations=ways,
            )
    return folder


def _tested(score, p_value):
    return {"score": score, "mean": score + 0.05, "half_width": 1.25, "p_value": p_value}


def _make_significance():
    """A valid test of two systems against "plain"."""
    systems = {"plain": (33.0, None), "define": (35.0, 0.001), "linear": (32.5, 0.4)}
    return {
        "schema": 1,
        "kind": "significance",
        "set": "test_2016_flickr",
        "sentences": 1_000,
        "language": "de",
        "baseline": "plain",
        "systems": {
            name: {metric: _tested(score, p_value) for metric in TRANSLATED}
            for name, (score, p_value) in systems.items()
        },
        "signatures": {metric: f"bs:1000|{metric}" for metric in TRANSLATED},
        "hypotheses_sha256": {name: f"{i}" * 64 for i, name in enumerate(systems)},
        "references_sha256": "f" * 64,
    }


@pytest.fixture
def make_significance() -> Callable[..., dict]:
    """A function that makes a valid significance test."""
    return _make_significance


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


WIDTHS = {1024: 256, 1536: 384, 2048: 512}
"""k of the paper's Table 5 -> that of the runs."""


def _put_curves(record: Path, updates: int) -> None:
    """A journal beside the record: training loss every tenth of the updates, two validations."""
    path = record.with_name(journal.FILE_NAME)
    journal.append(path, {"event": "started", "updates": 0, "commit": "0" * 40})
    for step in range(1, 11):
        event = {"epoch": 1, "updates": updates * step // 10}
        journal.append(path, {"event": "trained", **event, "train": _loss(1000.0 / step)})
        if step in (5, 10):
            journal.append(path, {"event": "validated", **event, "valid": _loss(1200.0 / step)})
    journal.append(path, {"event": "finished"})


@pytest.fixture(scope="session")
def everything(tmp_path_factory) -> Path:
    """A folder of every kind of record: several scales, corpora, devices, seeds and states."""
    folder = tmp_path_factory.mktemp("everything") / "experiments"
    table = folder / "table_1a"
    language = {"table": "1a", "data": "wikitext-2"}
    for index, row in enumerate(("lstm_r1", "lstm_r2", "lstm_r3", "lstm_r4")):
        for seed in (1, 2, 3):
            last = 350.0 - 12 * index + 3 * seed
            values = {"curve": (600.0, 420.0, last), "ms_per_update": 60.0 + 9 * index + seed}
            values |= {"test_ppl": last - 20, "define_parameters": 90_000 * index}
            _put_curves(_put(table / "mini", row=row, seed=seed, **language, **values), 1980)
    _put(table / "mini", row="lstm_r5", status="running", curve=(500.0,), **language)
    _put(table / "smoke", row="lstm_r1", scale="smoke", table="1a", data="python_docs")
    (table / "README.md").write_text("# Table 1a\n")
    write_json(table / "steps" / "lstm_r2.json", _make_step())
    write_json(folder / "table_1b" / "evaluations" / "cache.json", _make_evaluation())
    other = _make_record("awd_lstm_wide", seed=2, ms_per_update=9.5)
    other["provenance"] |= {"device": "NVIDIA H100", "dirty": True}
    other["provenance"]["data"]["sha256"] = {"train.npy": "a" * 64, "valid.npy": "b" * 64}
    records.write(folder / "table_1c" / "other" / "record.json", other)
    for row in ("awd_lstm", "awd_lstm_define", "awd_lstm_define_with_a_long_name"):
        _put(folder / "table_1c", row=row, curve=(300.0, 150.0, 110.0 + len(row)))
    _put(folder / "table_1c", row="awd_lstm", scale="paper", status="interrupted", curve=())
    for index, row in enumerate(published.table("2")):
        config = {"model": {"map_dim": row.raw["n"] // 4}}
        perplexity = {"test_ppl": 220.0 + 7 * index, "curve": (500.0, 300.0, 240.0 + 7 * index)}
        size = {"define_parameters": 450_000 * index}
        _put(folder, table="2", row=row.row, data="wikitext-2", config=config, **perplexity, **size)
    for row in published.table("5"):
        depth, width = row.raw["N"], WIDTHS[row.raw["k"]]
        config = {"model": {"map_dim": row.raw["n"] // 4, "depth": depth, "expand_dim": width}}
        perplexity = 400.0 - 5 * depth - width / 20
        place, slug = row.same_run or ("5", row.row)
        run = {"table": place, "row": slug, "data": "wikitext-2", "config": config}
        run |= {"curve": (perplexity + 20,), "test_ppl": perplexity}
        run |= {"define_parameters": 1000 * depth * width}
        _put_curves(_put(folder, **run), 600)
    for row in ("transformer", "transformer_define", "transformer_linear"):
        for seed in (1, 2):
            bleu = 30.0 + len(row) % 7 + seed
            ways = {"beam_5": (BEAM, {"val": bleu - 1.5, "test_2016_flickr": bleu})}
            size = 0 if row == "transformer" else 300_000
            run = {"table": "3", "row": row, "seed": seed, "data": "multi30k"}
            _put(folder, **run, translations=ways, define_parameters=size)
    return folder


@pytest.fixture(scope="session")
def written_page(everything) -> Path:
    """The page over `everything`, in a folder beside it."""
    output = everything.parent / "reports" / "report.html"
    page.write_page([everything], output)
    return output
