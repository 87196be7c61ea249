"""Further evaluations of a finished run, such as the neural cache, from `evaluations/*.json`.

`define evaluate --output` writes the files; the run that they score has its own record.
"""

from collections.abc import Sequence
from pathlib import Path

from define.errors import InputError
from define.runs import schema
from define.runs.evaluations import FOLDER, Evaluation, read


def read_evaluations(folder: Path, table: str) -> list[Evaluation]:
    """The evaluations of a table below `folder`, by file name; none without that folder.

    Raises:
        InputError: a malformed file, or one of another table.
    """
    found = [read(path) for path in sorted(folder.rglob("*.json"))]
    for evaluation in found:
        if evaluation.table != table:
            raise InputError(
                f"{evaluation.path} is an evaluation of table {evaluation.table!r}, not of "
                f"{table!r}; move it away"
            )
    return found


def find(folders: Sequence[str | Path]) -> dict[str, list[Evaluation]]:
    """Table -> the evaluations in every folder called "evaluations" below the folders.

    The same evaluation in two places is read from the first.

    Raises:
        InputError: a malformed file.
    """
    return schema.find(folders, FOLDER, read, lambda one: (one.row, one.run_key, one.settings))
