"""Steps at the paper's size: time, memory and loss of some updates, read from `steps/*.json`.

`define step` writes the files. Times are in ms, memory is in MiB, a loss is in nats per token.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

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
    "tokens_per_update": int,
    "updates": int,
    "warm_up": int,
    "ms_per_update": [float],
    "loss": [float],
    "peak_memory_mib": float,
    "provenance": {**schema.ORIGIN, "data": {"name": str, "types": int}},
}


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """Some updates of one row at the paper's size; each attribute is the field of its name.

    Attributes:
        updates, warm_up: timed updates, and those before them.
        ms_per_update: of each timed update.
        loss: of each update, warm-up included.
    """

    path: Path
    table: str
    row: str
    parameters: Mapping[str, int]
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
        batch = tuple(getattr(self, name) for name in self.BATCH)
        return *batch, self.tokens_per_update, origin["device"], origin["threads"]


@dataclass(frozen=True, kw_only=True)
class StreamStep(StepRecord):
    """Updates of a language model.

    Attributes:
        streams, paper_streams: streams side by side, here and in the paper's recipe.
        bptt: tokens of each stream per update.
    """

    SHAPE: ClassVar = {"streams": int, "paper_streams": int, "bptt": int}
    BATCH: ClassVar = ("streams",)
    EQUAL: ClassVar = "streams and tokens"
    HEADER: ClassVar = ("streams", "tokens per update")
    PAPER_TIMES: ClassVar = ("ms paper", "ratio paper")
    NOTES: ClassVar = ()

    streams: int
    paper_streams: int
    bptt: int

    def cells(self) -> list[str]:
        """What stands below `HEADER`."""
        return [f"{self.streams} of {self.paper_streams}", f"{self.tokens_per_update:,}"]

    def cut(self) -> str | None:
        """How the paper's batch was made smaller, if it was."""
        if self.streams == self.paper_streams:
            return None
        return f"from {self.paper_streams} to {self.streams} streams of {self.bptt} tokens"

    @staticmethod
    def check(value: Mapping[str, Any]) -> None:
        """Raises a `Fault` unless the numbers of the batch agree."""
        for name in ("streams", "bptt"):
            require(value[name] > 0, name, "is 0")
        streams, paper = value["streams"], value["paper_streams"]
        require(streams <= paper, "streams", f"is {streams}, more than the paper's {paper}")
        tokens, actual = streams * value["bptt"], value["tokens_per_update"]
        rule = f"is {actual}, but streams x bptt is {tokens}"
        require(actual == tokens, "tokens_per_update", rule)


@dataclass(frozen=True, kw_only=True)
class BatchStep(StepRecord):
    """Updates of a translation model.

    Attributes:
        max_tokens: of a batch, padding included.
        update_freq: batches of an update.
        paper_tokens_per_update: of the paper's recipe, padding included, on all its GPUs.
        sentences, source_tokens, target_tokens: of an update, padding left out; the rounded means
            of the timed ones.
    """

    SHAPE: ClassVar = {
        "max_tokens": int,
        "update_freq": int,
        "paper_tokens_per_update": int,
        "sentences": int,
        "source_tokens": int,
        "target_tokens": int,
    }
    BATCH: ClassVar = ("max_tokens", "update_freq")
    EQUAL: ClassVar = "batches"
    HEADER: ClassVar = ("tokens per update", "batches", "sentences", "source", "target")
    PAPER_TIMES: ClassVar = ()
    NOTES: ClassVar = (
        "Tokens per update: at most, padding included; sentences, source and target subwords: the "
        "mean of the timed updates, without padding.",
    )

    max_tokens: int
    update_freq: int
    paper_tokens_per_update: int
    sentences: int
    source_tokens: int
    target_tokens: int

    def cells(self) -> list[str]:
        """What stands below `HEADER`."""
        counts = (self.update_freq, self.sentences, self.source_tokens, self.target_tokens)
        tokens = f"{self.tokens_per_update:,} of {self.paper_tokens_per_update:,}"
        return [tokens, *(f"{count:,}" for count in counts)]

    def cut(self) -> str | None:
        """How the paper's batch was made smaller, if it was."""
        if self.tokens_per_update == self.paper_tokens_per_update:
            return None
        return f"from {self.paper_tokens_per_update:,} to {self.tokens_per_update:,} tokens"

    @staticmethod
    def check(value: Mapping[str, Any]) -> None:
        """Raises a `Fault` unless the numbers of the batch agree."""
        for name in BatchStep.SHAPE:
            require(value[name] > 0, name, "is 0")
        tokens, paper = value["tokens_per_update"], value["paper_tokens_per_update"]
        expected = value["max_tokens"] * value["update_freq"]
        rule = f"is {tokens}, but max_tokens x update_freq is {expected}"
        require(tokens == expected, "tokens_per_update", rule)
        rule = f"is {tokens}, more than the paper's {paper}"
        require(tokens <= paper, "tokens_per_update", rule)
        for name in ("source_tokens", "target_tokens"):
            rule = f"is {value[name]}, more than the {tokens} of an update with its padding"
            require(value[name] <= tokens, name, rule)


def _form(value: Mapping[str, Any]) -> type[StreamStep | BatchStep]:
    return BatchStep if "max_tokens" in value else StreamStep


def read(path: str | Path) -> StepRecord:
    """Reads and validates one file.

    Raises:
        InputError: the file cannot be read, is not JSON, or breaks a rule; names file and field.
    """
    path = Path(path)
    value = schema.read_checked(path, "step record", _check, "run define step again")
    return schema.filled(_form(value), path, value)


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
                f"{other.path} and {path} are steps of row {step.row!r} with the same {step.EQUAL} "
                "on the same device; move one of them away"
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


def _check(value: Any) -> None:
    check_shape(value, _SHAPE)
    check_shape(value, _form(value).SHAPE)
    schema.check_names(value, SCHEMA, "table", "row")
    schema.check_parameters(value["parameters"])
    _form(value).check(value)
    require(value["updates"] > 0, "updates", "is 0")
    updates, times, losses = value["updates"], value["ms_per_update"], value["loss"]
    require(len(times) == updates, "ms_per_update", f"has {len(times)} values, not {updates}")
    require(min(times) > 0, "ms_per_update", "holds 0: an update takes time")
    every = updates + value["warm_up"]
    require(len(losses) == every, "loss", f"has {len(losses)} values, not {every}")
    require(value["peak_memory_mib"] > 0, "peak_memory_mib", "is 0")


def explanation(steps: Sequence[StepRecord]) -> str:
    """How to read the steps of a table."""
    return (
        "The models at the paper's size, trained for some updates. Time is the median of the timed "
        "updates; memory is the peak; the loss, in nats per token, is that of the last update, and "
        "no result. Ratios are to the row named, the table's first with equal "
        f"{origins.distinct(step.EQUAL for step in steps)}; the paper's hardware is another, so "
        "only ratios can be compared."
    )


def made_on(steps: Sequence[StepRecord]) -> str:
    """The corpus of the steps, and how many updates were timed."""
    corpora = [step.provenance["data"] for step in steps]
    what = origins.distinct(f"{data['name']}, {data['types']:,} types" for data in corpora)
    warm_up = origins.distinct(f"{step.updates} after {step.warm_up}" for step in steps)
    return f"Corpus: {what}. Updates timed: {warm_up} of warm-up."


def by_device(steps: Sequence[StepRecord]) -> dict[str, list[StepRecord]]:
    """Device -> its steps: times of two devices never stand in one table."""
    devices = dict.fromkeys(step.provenance["device"] for step in steps)
    return {name: [s for s in steps if s.provenance["device"] == name] for name in devices}


def grids(steps: Sequence[StepRecord]) -> list[Grid]:
    """The steps of one table on one device; language models and translation apart."""
    forms = ([s for s in steps if isinstance(s, form)] for form in (StreamStep, BatchStep))
    return [_grid(of_form) for of_form in forms if of_form]


def chapter(steps: Sequence[StepRecord]) -> list[str]:
    """The report's blocks of one table's steps; none without steps."""
    if not steps:
        return []
    blocks = ["## One paper-scale step", explanation(steps), made_on(steps)]
    for device, here in by_device(steps).items():
        facts = origins.facts([step.provenance for step in here])
        blocks += [f"### {device}", "\n".join(f"* {fact}" for fact in facts)]
        blocks += map(markdown, grids(here))
    return blocks


def _grid(steps: Sequence[StepRecord]) -> Grid:
    table, ours = steps[0].table, published.our_labels(steps[0].table)
    labels = {step.row: ours.get(step.row, step.row) for step in steps}
    times = {row.row: row.raw.get("ms_per_batch") for row in published.table(table)}
    first: dict[tuple, StepRecord] = {}
    lines, cuts = [], {}
    for step in steps:
        reference = first.setdefault(step.setting, step)
        paper, reference_paper = times.get(step.row), times.get(reference.row)
        paper_ratio = ratio(paper, reference_paper) if reference_paper else ABSENT
        paper_cells = [number(paper, 0), paper_ratio] if step.PAPER_TIMES else []
        lines.append(
            [
                labels[step.row],
                *step.cells(),
                f"{step.median_ms:,.1f}",
                ratio(step.median_ms, reference.median_ms),
                *paper_cells,
                labels[reference.row],
                number(step.peak_memory_mib / 1024),
                number(step.loss[-1], 3),
            ]
        )
        if cut := step.cut():
            cuts.setdefault(cut, []).append(labels[step.row])
    header = ["row", *steps[0].HEADER, "ms per update", "ratio ours", *steps[0].PAPER_TIMES]
    notes = [
        *steps[0].NOTES,
        *(f"The paper's batch was cut {cut}: {', '.join(of)}." for cut, of in cuts.items()),
        *machine_notes(table, labels),
    ]
    return Grid("Steps", [*header, "ratio to", "peak GiB", "last loss"], lines, notes)
