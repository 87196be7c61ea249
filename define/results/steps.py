"""Steps at the paper's size: time, memory and loss of some updates, read from `steps/*.json`.

`define step` writes the files. Times are in ms, memory is in MiB, a loss is in nats per token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from define.errors import InputError
from define.results import origins, published, schema
from define.results.chapters import machine_notes, ratio
from define.results.grid import Grid, markdown
from define.results.render import ABSENT, number
from define.results.schema import check_shape, require

SCHEMA = 1
FOLDER = "steps"

_SHAPE = {
    "schema": int,
    "table": str,
    "row": str,
    "config": dict,
    "parameters": schema.PARAMETERS,
    "streams": int,
    "paper_streams": int,
    "bptt": int,
    "tokens_per_update": int,
    "updates": int,
    "warm_up": int,
    "ms_per_update": [float],
    "loss": [float],
    "peak_memory_mib": float,
    "provenance": {**schema.ORIGIN, "data": {"name": str, "types": int}},
}
_HEADER = (
    "row",
    "streams",
    "tokens per update",
    "ms per update",
    "ratio ours",
    "ms paper",
    "ratio paper",
    "ratio to",
    "peak GiB",
    "last loss",
)


@dataclass(frozen=True)
class StepRecord:
    """Some updates of one row at the paper's size; each attribute is the field of its name.

    Attributes:
        streams, paper_streams: streams side by side, here and in the paper's recipe.
        bptt: tokens of each stream per update.
        updates, warm_up: timed updates, and those before them.
        ms_per_update: of each timed update.
        loss: of each update, warm-up included.
    """

    path: Path
    table: str
    row: str
    parameters: Mapping[str, int]
    streams: int
    paper_streams: int
    bptt: int
    tokens_per_update: int
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
        origin = self.provenance
        return self.streams, self.tokens_per_update, origin["device"], origin["threads"]


def read(path: str | Path) -> StepRecord:
    """Reads and validates one file.

    Raises:
        InputError: the file cannot be read, is not JSON, or breaks a rule; names file and field.
    """
    path = Path(path)
    remedy = "run define step again"
    value = schema.read_json(path, "step record", remedy)
    schema.validate(value, _check, path, remedy)
    names = [field.name for field in fields(StepRecord) if field.name != "path"]
    return StepRecord(path=path, **{name: value[name] for name in names})


def read_steps(folder: Path, table: str) -> list[StepRecord]:
    """The steps of a table below `folder`, in the order of its rows; none without that folder.

    Raises:
        InputError: a malformed file, one of another table, or two of one row and setting.
    """
    order = {row.row: index for index, row in enumerate(published.table(table))}
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
                f"{other.path} and {path} are steps of row {step.row!r} with the same streams on "
                "the same device; move one of them away"
            )
    steps = list(found.values())
    return sorted(
        steps, key=lambda s: (s.provenance["device"], order.get(s.row, len(order)), s.row)
    )


def _check(value: Any) -> None:
    check_shape(value, _SHAPE)
    schema.check_names(value, SCHEMA, "table", "row")
    schema.check_parameters(value["parameters"])
    for name in ("streams", "bptt", "updates"):
        require(value[name] > 0, name, "is 0")
    streams, paper = value["streams"], value["paper_streams"]
    require(streams <= paper, "streams", f"is {streams}, more than the paper's {paper}")
    tokens = streams * value["bptt"]
    actual = value["tokens_per_update"]
    require(actual == tokens, "tokens_per_update", f"is {actual}, but streams x bptt is {tokens}")
    updates, times, losses = value["updates"], value["ms_per_update"], value["loss"]
    require(len(times) == updates, "ms_per_update", f"has {len(times)} values, not {updates}")
    require(min(times) > 0, "ms_per_update", "holds 0: an update takes time")
    every = updates + value["warm_up"]
    require(len(losses) == every, "loss", f"has {len(losses)} values, not {every}")
    require(value["peak_memory_mib"] > 0, "peak_memory_mib", "is 0")


def chapter(steps: Sequence[StepRecord]) -> list[str]:
    """The report's blocks of one table's steps; none without steps."""
    if not steps:
        return []
    corpora = [step.provenance["data"] for step in steps]
    what = origins.distinct(f"{data['name']}, {data['types']:,} types" for data in corpora)
    warm_up = origins.distinct(f"{step.updates} after {step.warm_up}" for step in steps)
    blocks = [
        "## One paper-scale step",
        "The models at the paper's size, trained for some updates. Time is the median of the timed "
        "updates; memory is the peak; the loss, in nats per token, is that of the last update, and "
        "no result. Ratios are to the row named, the table's first with equal streams and tokens; "
        "the paper's hardware is another, so only ratios can be compared.",
        f"Corpus: {what}. Updates timed: {warm_up} of warm-up.",
    ]
    for device in dict.fromkeys(step.provenance["device"] for step in steps):
        here = [step for step in steps if step.provenance["device"] == device]
        facts = origins.facts([step.provenance for step in here])
        blocks += [f"### {device}", "\n".join(f"* {fact}" for fact in facts), markdown(_grid(here))]
    return blocks


def _grid(steps: Sequence[StepRecord]) -> Grid:
    rows = {row.row: row for row in published.table(steps[0].table)}
    labels = {step.row: rows[step.row].label if step.row in rows else step.row for step in steps}
    times = {row.row: row.raw.get("ms_per_batch") for row in rows.values()}
    first: dict[tuple, StepRecord] = {}
    lines, cuts = [], {}
    for step in steps:
        reference = first.setdefault(step.setting, step)
        paper, reference_paper = times.get(step.row), times.get(reference.row)
        lines.append(
            [
                labels[step.row],
                f"{step.streams} of {step.paper_streams}",
                f"{step.tokens_per_update:,}",
                f"{step.median_ms:,.1f}",
                ratio(step.median_ms, reference.median_ms),
                number(paper, 0),
                ratio(paper, reference_paper) if reference_paper else ABSENT,
                labels[reference.row],
                number(step.peak_memory_mib / 1024),
                number(step.loss[-1], 3),
            ]
        )
        if step.streams < step.paper_streams:
            cut = f"from {step.paper_streams} to {step.streams} streams of {step.bptt} tokens"
            cuts.setdefault(cut, []).append(labels[step.row])
    notes = [
        f"The paper's batch was cut {cut}: {', '.join(cut_rows)}." for cut, cut_rows in cuts.items()
    ]
    return Grid("Steps", _HEADER, lines, notes + machine_notes(steps[0].table, labels))
