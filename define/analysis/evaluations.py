"""Further evaluations of a finished run, such as the neural cache, from `evaluations/*.json`.

`define evaluate --output` writes the files; the run that they score has its own record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from define.analysis import published
from define.errors import InputError
from define.report.grid import Grid, markdown
from define.report.render import ABSENT, millions, number
from define.runs import schema
from define.runs.records import RunRecord
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
_HEADER = (
    "model",
    "run",
    "scale",
    "data",
    "seed",
    "valid without",
    "valid",
    "test without",
    "test",
    "M par.",
)


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
    return schema.find(folders, FOLDER, read, lambda one: (one.row, one.run_key, _settings(one)))


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


def chapter(evaluations: Sequence[Evaluation], every_record: Sequence[RunRecord]) -> list[str]:
    """The report's blocks of evaluations, each beside its run's own scores; none without any.

    Args:
        every_record: records of all tables, in which the runs are looked up.
    """
    if not evaluations:
        return []
    settings: dict[str, list[str]] = {}
    for evaluation in evaluations:
        settings.setdefault(_settings(evaluation), []).append(_label(evaluation))
    return [
        "## Further evaluations",
        "Checkpoints of finished runs, scored once more with the settings below; `without` is the "
        "run's own perplexity, from its record.",
        markdown(grid(evaluations, every_record)),
        "\n".join(
            f"* {', '.join(dict.fromkeys(models))}: {text}." for text, models in settings.items()
        ),
    ]


def grid(evaluations: Sequence[Evaluation], every_record: Sequence[RunRecord]) -> Grid:
    """Each evaluation beside its run's own scores; `every_record` as in `chapter`."""
    runs = {(r.table, r.row, r.scale, r.data, r.seed): r for r in every_record}
    lines = [_cells(evaluation, runs.get(evaluation.run_key)) for evaluation in evaluations]
    return Grid("Further evaluations", _HEADER, lines)


def _settings(evaluation: Evaluation) -> str:
    settings = dict(evaluation.protocol)
    chosen = settings.pop("chosen", None)
    return schema.sentence(settings) + (f"; chosen by: {chosen}" if chosen else "")


def _label(evaluation: Evaluation) -> str:
    labels = {row.row: row.label for row in published.table(evaluation.table)}
    return labels.get(evaluation.row, evaluation.row)


def _cells(evaluation: Evaluation, run: RunRecord | None) -> list[str]:
    without = run.metrics if run else {}
    scores = {split: score["ppl"] for split, score in evaluation.scores.items()}
    return [
        _label(evaluation),
        f"{evaluation.run['table']}/{evaluation.run['row']}",
        evaluation.scale,
        evaluation.provenance["data"]["name"],
        str(evaluation.seed),
        number(without.get("valid_ppl")),
        number(scores["valid"]),
        number(without.get("test_ppl")),
        number(scores.get("test")),
        millions(run.parameters["total"]) if run else ABSENT,
    ]
