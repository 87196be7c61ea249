"""Run records: what one training run left in its `record.json`, validated before it is believed.

A loss is in nats per token, a perplexity is exp(loss), times are in seconds, memory is in MiB.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from define.errors import InputError
from define.files import write_json
from define.results.published import PARTS

SCHEMA = 1
STATUSES = ("running", "finished", "interrupted", "failed")
FILE_NAME = "record.json"
DEFAULT_FOLDERS = ("runs", "experiments")
SEARCH_FOLDER = "search"
"""Trials of a hyper-parameter search live below a folder of this name; they are nobody's result."""


@dataclass(frozen=True)
class RunRecord:
    """One validated record; each attribute is the field of the file that has its name."""

    path: Path
    table: str
    row: str
    scale: str
    seed: int
    status: str
    config: Mapping[str, Any]
    parameters: Mapping[str, int]
    epochs: Sequence[Mapping[str, Any]]
    final: Mapping[str, Mapping[str, Any]] | None
    best_epoch: int | None
    speed: Mapping[str, float]
    peak_memory_mib: float
    provenance: Mapping[str, Any]

    @property
    def data(self) -> str:
        """The name of the corpus."""
        return self.provenance["data"]["name"]

    @property
    def finished(self) -> bool:
        """Whether the run came to its end, so that its final metrics count."""
        return self.status == "finished"

    @property
    def metrics(self) -> dict[str, float]:
        """The final perplexities as {"valid_ppl": ..., "test_ppl": ...}; none until finished."""
        if not self.finished:
            return {}
        return {f"{split}_ppl": scores["ppl"] for split, scores in self.final.items()}


@dataclass(frozen=True)
class _Nullable:
    shape: Any


@dataclass(frozen=True)
class _MapOf:
    shape: Any


_LOSS = {"nll": float, "ppl": float}
_SCORED_LOSS = {**_LOSS, "scored_tokens": int}
_SHAPE = {
    "schema": int,
    "table": str,
    "row": str,
    "scale": str,
    "seed": int,
    "status": str,
    "config": dict,
    "parameters": dict.fromkeys(PARTS, int),
    "epochs": [
        {
            "epoch": int,
            "updates": int,
            "lr": float,
            "train": _LOSS,
            "valid": _SCORED_LOSS,
            "seconds": float,
            "averaged": bool,
        }
    ],
    "final": _Nullable(_MapOf(_SCORED_LOSS)),
    "best_epoch": _Nullable(int),
    "speed": {"tokens_per_second": float, "ms_per_update": float, "seconds": float},
    "peak_memory_mib": float,
    "provenance": {
        "commit": str,
        "dirty": bool,
        "command": str,
        "device": str,
        "threads": int,
        "python": str,
        "versions": _MapOf(str),
        "data": {"name": str, "sha256": _MapOf(str), "tokens": _MapOf(int), "types": int},
        "started": str,
        "finished": _Nullable(str),
    },
}


class _Fault(Exception):
    """A field that breaks a rule; becomes an InputError once the file is known."""

    def __init__(self, field: str, rule: str):
        super().__init__(f"field {field!r} {rule}")


def new(
    *,
    table: str,
    row: str,
    scale: str,
    seed: int,
    config: Mapping[str, Any],
    parameters: Mapping[str, int],
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """The record of a run that is about to start, as a plain dict to fill in and `write`."""
    return {
        "schema": SCHEMA,
        "table": table,
        "row": row,
        "scale": scale,
        "seed": seed,
        "status": "running",
        "config": dict(config),
        "parameters": dict(parameters),
        "epochs": [],
        "final": None,
        "best_epoch": None,
        "speed": {"tokens_per_second": 0.0, "ms_per_update": 0.0, "seconds": 0.0},
        "peak_memory_mib": 0.0,
        "provenance": dict(provenance),
    }


def write(path: str | Path, record: Mapping[str, Any]) -> None:
    """Validates a record and writes it whole or not at all.

    Raises:
        InputError: a field is missing, has the wrong type or contradicts another one.
    """
    _validate(record, path)
    write_json(path, record)


def read_plain(path: str | Path) -> dict[str, Any]:
    """Reads and validates one record, as the plain dict that `write` takes.

    Raises:
        InputError: as `read`.
    """
    path = Path(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a run record") from error
    except ValueError as error:
        raise InputError(
            f"{path} is not a run record: it is not valid JSON ({error}); run the training again"
        ) from error
    _validate(record, path)
    return record


def read(path: str | Path) -> RunRecord:
    """Reads and validates one record.

    Raises:
        InputError: the file cannot be read, is not JSON, or breaks a rule; names file and field.
    """
    path = Path(path)
    record = read_plain(path)
    names = [field.name for field in fields(RunRecord) if field.name != "path"]
    return RunRecord(path=path, **{name: record[name] for name in names})


def find(
    folders: Sequence[str | Path] | None = None, corpora: Sequence[str] | None = None
) -> list[RunRecord]:
    """All records below the folders, one per table, row, scale, corpus and seed.

    Where several folders hold the same run, a finished record wins over an unfinished one, then the
    one of the earlier folder. Folders named "search" are passed over.

    Args:
        folders: where to look; by default `runs` and `experiments`, each if it is there.
        corpora: only runs on these corpora, e.g. ["ptb"]; by default on all.
    Raises:
        InputError: a given folder is missing, a given corpus has no run, a record is malformed, or
            one folder holds two finished records of the same run with different results.
    """
    if folders is None:
        folders = [folder for folder in DEFAULT_FOLDERS if Path(folder).is_dir()]
    chosen: dict[tuple, RunRecord] = {}
    for folder in folders:
        if not Path(folder).is_dir():
            raise InputError(f"{str(folder)!r} is not a folder; give one that holds run records")
        in_folder: dict[tuple, RunRecord] = {}
        for path in _record_paths(folder):
            _keep(in_folder, read(path))
        for key, record in in_folder.items():
            if key not in chosen or (record.finished and not chosen[key].finished):
                chosen[key] = record
    found = [chosen[key] for key in sorted(chosen)]
    known = sorted({record.data for record in found})
    for name in corpora or ():
        if name not in known:
            raise InputError(f"no run on data {name!r} was found; there are runs on: {known}")
    return [record for record in found if not corpora or record.data in corpora]


def _record_paths(folder: str | Path) -> Iterator[Path]:
    for parent, children, files in os.walk(folder):
        children[:] = sorted(child for child in children if child != SEARCH_FOLDER)
        if FILE_NAME in files:
            yield Path(parent) / FILE_NAME


def _keep(records: dict[tuple, RunRecord], record: RunRecord) -> None:
    key = (record.table, record.row, record.scale, record.data, record.seed)
    other = records.setdefault(key, record)
    if record.finished and other.finished and record.final != other.final:
        raise InputError(
            f"{other.path} and {record.path} both claim to be the finished run of table "
            f"{record.table}, row {record.row}, scale {record.scale}, seed {record.seed}, with "
            "different results; move one of them away"
        )
    if record.finished and not other.finished:
        records[key] = record


def _validate(record: Any, path: str | Path) -> None:
    try:
        _check_shape(record, _SHAPE, "")
        _check_values(record)
    except _Fault as fault:
        raise InputError(f"{path}: {fault}; run the training or its evaluation again") from None


def _check_shape(value: Any, shape: Any, field: str) -> None:
    """Compares `value` with `shape`: a type, a dict of required fields, or a list of one shape."""
    if isinstance(shape, _Nullable):
        if value is not None:
            _check_shape(value, shape.shape, field)
    elif isinstance(shape, _MapOf):
        _require(isinstance(value, Mapping), field, "must be an object")
        for key, item in value.items():
            _check_shape(item, shape.shape, f"{field}.{key}")
    elif isinstance(shape, dict):
        _require(isinstance(value, Mapping), field or "record", "must be an object")
        for key, item_shape in shape.items():
            name = f"{field}.{key}" if field else key
            _require(key in value, name, "is missing")
            _check_shape(value[key], item_shape, name)
    elif isinstance(shape, list):
        _require(isinstance(value, list), field, "must be a list")
        for index, item in enumerate(value):
            _check_shape(item, shape[0], f"{field}[{index}]")
    elif shape is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _require(number and math.isfinite(value), field, f"is {value!r}, not a finite number")
        _require(value >= 0, field, f"is {value!r}, which must not be negative")
    elif shape is int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        _require(whole and value >= 0, field, f"is {value!r}, not a whole number from 0 on")
    else:
        _require(isinstance(value, shape), field, f"is {value!r}, not of type {shape.__name__}")


def _check_values(record: Mapping[str, Any]) -> None:
    _require(record["schema"] == SCHEMA, "schema", f"is {record['schema']}, not {SCHEMA}")
    for field in ("table", "row", "scale"):
        _require(record[field] != "", field, "is empty")
    status = record["status"]
    _require(status in STATUSES, "status", f"is {status!r}, not one of {', '.join(STATUSES)}")
    parts = record["parameters"]
    total = sum(parts[part] for part in PARTS if part != "total")
    rule = f"is {parts['total']}, but the parts sum to {total}"
    _require(parts["total"] == total, "parameters.total", rule)
    _check_epochs(record)
    _check_final(record)


def _check_epochs(record: Mapping[str, Any]) -> None:
    previous = 0
    for index, epoch in enumerate(record["epochs"]):
        field = f"epochs[{index}]"
        number = epoch["epoch"]
        _require(number > previous, f"{field}.epoch", f"is {number}, after epoch {previous}")
        previous = number
        _check_loss(epoch["train"], f"{field}.train")
        _check_loss(epoch["valid"], f"{field}.valid")
        scored = epoch["valid"]["scored_tokens"]
        _require(scored > 0, f"{field}.valid.scored_tokens", "is 0: a number from nothing")
    best = record["best_epoch"]
    numbers = [epoch["epoch"] for epoch in record["epochs"]]
    _require(best is None or best in numbers, "best_epoch", f"is {best}, no epoch of the record")


def _check_final(record: Mapping[str, Any]) -> None:
    final = record["final"]
    if final is None:
        _require(record["status"] != "finished", "final", "is null though the run is finished")
        return
    _require("valid" in final, "final.valid", "is missing")
    tokens = record["provenance"]["data"]["tokens"]
    for split, scores in final.items():
        _check_loss(scores, f"final.{split}")
        scored, expected = scores["scored_tokens"], tokens.get(split)
        _require(
            scored == expected and scored > 0,
            f"final.{split}.scored_tokens",
            f"is {scored}, but provenance.data.tokens.{split} is {expected}",
        )


def _check_loss(scores: Mapping[str, Any], field: str) -> None:
    try:
        expected = math.exp(scores["nll"])
    except OverflowError:
        raise _Fault(f"{field}.nll", f"is {scores['nll']}, too large for a perplexity") from None
    _require(
        math.isclose(scores["ppl"], expected, rel_tol=1e-6),
        f"{field}.ppl",
        f"is {scores['ppl']}, but exp(nll) is {expected:.6f}",
    )


def _require(condition: bool, field: str, rule: str) -> None:
    if not condition:
        raise _Fault(field, rule)
