"""Further evaluations of a finished run, such as the neural cache, from `evaluations/*.json`.

`define evaluate --output` writes the files; the run that they score has its own record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from define.errors import InputError
from define.runs import schema
from define.runs.schema import check_shape, require

SCHEMA = 1
FOLDER = "evaluations"

_SHAPE = {
    "schema": int,
    "kind": str,
    "table": str,
    "row": str,
    "scale": str,
    "seed": int,
    "run": {"table": str, "row": str, "seed": int},
    "protocol": dict,
    "scores": schema.SCORES,
    "provenance": {**schema.ORIGIN, "data": schema.CORPUS},
}
_REMEDY = "run define evaluate again"


@dataclass(frozen=True)
class Evaluation:
    """One evaluation; each attribute is the field of its name.

    Attributes:
        run: table, row and seed of the run whose checkpoint was scored, at the same scale.
        protocol: the settings; its key "chosen", if it is there, says how they were chosen.
    """

    path: Path
    table: str
    row: str
    scale: str
    seed: int
    run: Mapping[str, Any]
    protocol: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, Any]]
    provenance: Mapping[str, Any]

    @property
    def run_key(self) -> tuple:
        """What names the record of the run."""
        data = self.provenance["data"]["name"]
        return self.run["table"], self.run["row"], self.scale, data, self.run["seed"]

    @property
    def settings(self) -> str:
        """The protocol in words."""
        settings = dict(self.protocol)
        chosen = settings.pop("chosen", None)
        return schema.sentence(settings) + (f"; chosen by: {chosen}" if chosen else "")


def read(path: str | Path) -> Evaluation:
    """Reads and validates one file.

    Raises:
        InputError: the file cannot be read, is not JSON, or breaks a rule; names file and field.
    """
    path = Path(path)
    value = schema.read_checked(path, "evaluation", _check, _REMEDY)
    return schema.filled(Evaluation, path, value)


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


def _check(value: Any) -> None:
    check_shape(value, _SHAPE)
    schema.check_names(value, SCHEMA, "table", "row", "scale")
    require(value["kind"] == "evaluation", "kind", f"is {value['kind']!r}, not 'evaluation'")
    require(
        value["seed"] == value["run"]["seed"],
        "seed",
        f"is {value['seed']}, but the run's is {value['run']['seed']}",
    )
    require(len(value["protocol"]) > 0, "protocol", "is empty: say how it was scored")
    schema.check_settings(value["protocol"], "protocol")
    schema.check_scores(value["scores"], "scores", value["provenance"]["data"]["tokens"])
