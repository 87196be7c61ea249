"""Records of `define bench`: cases that were measured in turn, with every raw value."""

from pathlib import Path
from typing import Annotated, Any, Literal

from typing_extensions import TypedDict

from define.runs import reading
from define.runs.schema import Count, Duration, Measured, Name, Number, Rule

SCHEMA = 1


def _check_values(values: dict[str, list[float]]) -> None:
    counts = {case: len(of_case) for case, of_case in values.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ValueError(f"has not as many values of each case: {counts}")


class Group(TypedDict):
    """Cases that were measured in turn.

    axis: what the names of the cases are numbers of. tokens: what a call of a case scores.
    """

    part: str
    title: str
    unit: str
    axis: str | None
    table: str | None
    scale: str | None
    tokens: dict[str, Count]
    values: Annotated[dict[str, list[Duration]], Rule(_check_values)]


class Load(TypedDict):
    """Load averages over 1, 5 and 15 minutes."""

    start: list[Number]
    end: list[Number]


class Benchmark(TypedDict):
    """The file. busy: a sentence if other processes had the machine too."""

    schema: Literal[1]
    quick: bool
    clock: Name
    cores: Count
    allocator: Name
    load_average: Load
    busy: str | None
    groups: list[Group]
    provenance: Measured


def read(path: str | Path) -> dict[str, Any]:
    """Reads and validates one record.

    Raises:
        InputError: the file cannot be read, is not JSON, or breaks a rule; names file and field.
    """
    return reading.read_plain(Benchmark, Path(path), "record of define bench", "measure again")
