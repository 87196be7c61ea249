"""Records of `define bench`: medians, spreads and ratios."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from define.runs import schema
from define.runs.schema import Nullable, check_shape, require

SCHEMA = 1
BUSY = 0.5
"""A machine is busy where it has a larger load average than this, without the measurement's own."""

_SHAPE = {
    "schema": int,
    "quick": bool,
    "clock": str,
    "cores": int,
    "allocator": str,
    "load_average": {"start": [float], "end": [float]},
    "busy": Nullable(str),
    "groups": [
        {
            "part": str,
            "title": str,
            "unit": str,
            "axis": Nullable(str),
            "table": Nullable(str),
            "scale": Nullable(str),
            "tokens": schema.MapOf(int),
            "values": schema.MapOf([float]),
        }
    ],
    "provenance": {**schema.ORIGIN, "data": {"name": str, "types": int}},
}
"""load_average: over 1, 5 and 15 minutes. groups: cases that were measured in turn, with every raw
value; axis is what the names of the cases are numbers of, tokens what a call of a case scores."""


def read(path: str | Path) -> dict[str, Any]:
    """Reads and validates one record.

    Raises:
        InputError: the file cannot be read, is not JSON, or breaks a rule; names file and field.
    """
    return schema.read_checked(Path(path), "record of define bench", _check, "measure again")


def _check(value: Any) -> None:
    check_shape(value, _SHAPE)
    schema.check_names(value, SCHEMA, "clock", "allocator")
    for index, group in enumerate(value["groups"]):
        field, lengths = f"groups[{index}].values", set(map(len, group["values"].values()))
        require(
            len(lengths) == 1 and 0 not in lengths, field, "has not as many values of each case"
        )
        positive = all(min(values) > 0 for values in group["values"].values())
        require(positive, field, "holds 0: everything takes time and memory")


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile, by linear interpolation of the sorted values."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def ratios(values: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Each value over the reference's of the same round."""
    return [value / base for value, base in zip(values, reference, strict=True)]


def busy(load: Mapping[str, Sequence[float]], threads: int) -> str | None:
    """A sentence if a load average was above the bound; at the end, `threads` are our own."""
    before, after = load["start"][0], load["end"][0]
    if before <= BUSY and after <= threads + BUSY:
        return None
    return (
        f"The machine was busy: its load average was {before:.2f} at the start (bound {BUSY}) and "
        f"{after:.2f} at the end (bound {threads + BUSY}). Do not rely on the times."
    )
