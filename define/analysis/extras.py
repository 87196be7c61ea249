"""What is recorded of a table besides its runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from define.analysis import published
from define.analysis.search import SearchTrial
from define.runs import evaluations, schema, significance, steps
from define.runs.evaluations import Evaluation
from define.runs.significance import Significance
from define.runs.steps import StepRecord


@dataclass(frozen=True)
class Extras:
    """Steps at the paper's size, further evaluations, paired bootstrap tests, search trials."""

    steps: Sequence[StepRecord] = ()
    evaluations: Sequence[Evaluation] = ()
    tests: Sequence[Significance] = ()
    trials: Sequence[SearchTrial] = ()


def read(folder: Path, table: str) -> Extras:
    """Steps, evaluations and tests below the folder of a table's report.

    Raises:
        InputError: a malformed file.
    """
    found = find([folder]).get(table, Extras())
    tests = sorted((folder / significance.FOLDER).rglob("*.json"))
    return replace(found, tests=[significance.read(path) for path in tests])


def find(folders: Sequence[str | Path]) -> dict[str, Extras]:
    """Table -> its steps and evaluations in folders of these names anywhere below the folders.

    A copy in a second place is ignored.

    Raises:
        InputError: a malformed file.
    """
    of_steps = schema.find(folders, steps.FOLDER, steps.read, lambda step: (step.row, step.setting))
    further = schema.find(
        folders,
        evaluations.FOLDER,
        evaluations.read,
        lambda one: (one.row, one.run_key, one.settings),
    )
    return {
        table: Extras(_in_order(table, of_steps.get(table, ())), further.get(table, ()))
        for table in of_steps.keys() | further.keys()
    }


def _in_order(table: str, found: Iterable[StepRecord]) -> list[StepRecord]:
    """By device, then in the order of the table's rows."""
    order = {row.row: index for index, row in enumerate(published.table(table))}
    return sorted(
        found, key=lambda s: (s.provenance["device"], order.get(s.row, len(order)), s.row)
    )
