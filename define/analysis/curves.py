"""Curves of training and validation, from run records and journals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from define.analysis.compare import by_row
from define.runs import journal
from define.runs.records import RunRecord


@dataclass(frozen=True)
class Curve:
    """The values of one row, at epochs or updates: mean, minimum and maximum over the seeds."""

    at: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    seeds: int

    @property
    def best(self) -> tuple[int, float]:
        """Where the lowest mean is, and that mean."""
        return min(zip(self.at, self.mean, strict=True), key=lambda point: point[1])


def valid_by_epoch(record: RunRecord) -> dict[int, float]:
    """Epoch -> validation perplexity."""
    return {epoch["epoch"]: epoch["valid"]["ppl"] for epoch in record.epochs}


def valid_by_update(record: RunRecord) -> dict[int, float]:
    """Update -> validation perplexity; the journal has the validations within an epoch too."""
    values = {epoch["updates"]: epoch["valid"]["ppl"] for epoch in record.epochs}
    values |= {e["updates"]: e["valid"]["ppl"] for e in _journal(record, "validated", "valid")}
    return dict(sorted(values.items()))


def training_by_update(record: RunRecord) -> dict[int, float]:
    """Update -> training loss since the previous one, nats per token; from the journal alone."""
    return {e["updates"]: e["train"]["nll"] for e in _journal(record, "trained", "train")}


def _journal(record: RunRecord, kind: str, part: str) -> list[dict]:
    events = journal.curve(journal.read(record.path.with_name(journal.FILE_NAME)), kind)
    return [event for event in events if part in event]


def curve(
    runs: Sequence[RunRecord], values: Callable[[RunRecord], Mapping[int, float]] = valid_by_epoch
) -> Curve | None:
    """The curve of one row: over its finished runs, or over all if none has finished.

    It covers only the epochs (or updates) that every run has, so that a line never jumps where a
    seed ends; None if there are none.
    """
    runs = [record for record in runs if record.finished] or runs
    seeds = [values(record) for record in runs]
    at = sorted(set.intersection(*map(set, seeds))) if seeds else []
    columns = [[seed[x] for seed in seeds] for x in at]
    means = (sum(column) / len(column) for column in columns)
    low, high = map(min, columns), map(max, columns)
    return Curve(tuple(at), tuple(means), tuple(low), tuple(high), len(runs)) if at else None


def curves(
    runs: Sequence[RunRecord],
    values: Callable[[RunRecord], Mapping[int, float]] = valid_by_epoch,
    points: int = 1,
) -> dict[str, Curve]:
    """Row -> curve, for the rows whose curve has at least `points` points."""
    found = {row: curve(group, values) for row, group in by_row(runs).items()}
    return {row: line for row, line in found.items() if line and len(line.at) >= points}
