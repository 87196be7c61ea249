"""Steps at the paper's size: time, memory and loss of some updates, read from `steps/*.json`.

`define step` writes the files. Times are in ms, memory is in MiB, a loss is in nats per token.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from define.analysis import published
from define.errors import InputError
from define.runs import schema
from define.runs.steps import FOLDER, StepRecord, read


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
