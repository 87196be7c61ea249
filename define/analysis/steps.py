"""Steps at the paper's size: time, memory and loss of some updates, read from `steps/*.json`.

`define step` writes the files. Times are in ms, memory is in MiB, a loss is in nats per token.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from define.analysis import published
from define.errors import InputError
from define.runs import schema
from define.runs.schema import check_shape, require

SCHEMA = 1
FOLDER = "steps"

_SHAPE = {
    "schema": int,
    "table": str,
    "row": str,
    "config": dict,
    "parameters": schema.PARAMETERS,
    "tokens_per_update": int,
    "updates": int,
    "warm_up": int,
    "ms_per_update": [float],
    "loss": [float],
    "peak_memory_mib": float,
    "provenance": {**schema.ORIGIN, "data": {"name": str, "types": int}},
}
_STREAMS = dict.fromkeys(("streams", "bptt", "paper_streams"), int)
_BATCHES = dict.fromkeys(("max_tokens", "update_freq", "paper_tokens_per_update"), int)
"""What a language model's step has of its size, and a translation's. The first two multiplied are
the tokens of an update, at most and with padding."""


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """Some updates of one row at the paper's size; each attribute is the field of its name.

    Attributes:
        tokens_per_update, paper_tokens_per_update: here and in the paper's recipe, on all its GPUs;
            of a translation at most, padding included.
        updates, warm_up: timed updates, and those before them.
        ms_per_update: of each timed update.
        loss: of each update, warm-up included.
    """

    path: Path
    table: str
    row: str
    parameters: Mapping[str, int]
    tokens_per_update: int
    paper_tokens_per_update: int
    updates: int
    warm_up: int
    ms_per_update: Sequence[float]
    loss: Sequence[float]
    peak_memory_mib: float
    provenance: Mapping[str, Any]

    @property
    def median_ms(self) -> float:
        """The median time of a timed update."""
        return median(self.ms_per_update)

    @property
    def setting(self) -> tuple:
        """What two steps must share so that their times can be compared."""
        return self.tokens_per_update, self.provenance["device"], self.provenance["threads"]


def read(path: str | Path) -> StepRecord:
    """Reads and validates one file.

    Raises:
        InputError: the file cannot be read, is not JSON, or breaks a rule; names file and field.
    """
    path = Path(path)
    value = schema.read_checked(path, "step record", _check, "run define step again")
    paper_tokens = {"paper_tokens_per_update": _paper_tokens(value)}
    return schema.filled(StepRecord, path, {**value, **paper_tokens})


def read_steps(folder: Path, table: str) -> list[StepRecord]:
    """The steps of a table below `folder`, in the order of its rows; none without that folder.

    Raises:
        InputError: a malformed file, one of another table, or two of one row and setting.
    """
    found: dict[tuple, StepRecord] = {}
    for path in sorted(folder.rglob("*.json")):
        step = read(path)
        if step.table != table:
            raise InputError(
                f"{path} is a step of table {step.table!r}, not of {table!r}; move it away"
            )
        other = found.setdefault((step.row, step.setting), step)
        if other is not step:
            raise InputError(
                f"{other.path} and {path} are steps of row {step.row!r} with as many tokens on the "
                "same device; move one of them away"
            )
    return _in_order(table, found.values())


def find(folders: Sequence[str | Path]) -> dict[str, list[StepRecord]]:
    """Table -> its steps in every folder called "steps" below the folders, as `read_steps` orders.

    The same step in two places is read from the first.

    Raises:
        InputError: a malformed file.
    """
    tables = schema.find(folders, FOLDER, read, lambda step: (step.row, step.setting))
    return {table: _in_order(table, found) for table, found in tables.items()}


def _in_order(table: str, steps: Iterable[StepRecord]) -> list[StepRecord]:
    order = {row.row: index for index, row in enumerate(published.table(table))}
    return sorted(
        steps, key=lambda s: (s.provenance["device"], order.get(s.row, len(order)), s.row)
    )


def _paper_tokens(value: Mapping[str, Any]) -> int:
    return value.get("paper_tokens_per_update") or value["paper_streams"] * value["bptt"]


def _check(value: Any) -> None:
    check_shape(value, _SHAPE)
    size = _BATCHES if "max_tokens" in value else _STREAMS
    check_shape(value, size)
    schema.check_names(value, SCHEMA, "table", "row")
    schema.check_parameters(value["parameters"])
    for field in (*size, "updates", "peak_memory_mib"):
        require(value[field] > 0, field, "is 0")
    one, other, _ = size
    tokens, expected = value["tokens_per_update"], value[one] * value[other]
    rule = f"is {tokens}, but {one} x {other} is {expected}"
    require(tokens == expected, "tokens_per_update", rule)
    rule = f"is {tokens}, more than the paper's {_paper_tokens(value)}"
    require(tokens <= _paper_tokens(value), "tokens_per_update", rule)
    updates, times, losses = value["updates"], value["ms_per_update"], value["loss"]
    require(len(times) == updates, "ms_per_update", f"has {len(times)} values, not {updates}")
    require(min(times) > 0, "ms_per_update", "holds 0: an update takes time")
    every = updates + value["warm_up"]
    require(len(losses) == every, "loss", f"has {len(losses)} values, not {every}")
