"""Curves of training and validation, drawn from run records; matplotlib is imported on use."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from define.analysis import published
from define.analysis.compare import by_row, of_table, sections
from define.errors import InputError
from define.report.style import PAGE_WIDTH, WIDTH, look, new_figure, rule, scale_axis
from define.runs import journal
from define.runs.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Course = Callable[[RunRecord], Mapping[int, float]]
"""What a run's curve is made of: epoch or update -> value."""
TRAINING_LABEL = "training loss, nats/token"


@dataclass(frozen=True)
class Curve:
    """The course of one row, at epochs or updates: mean, minimum and maximum over the seeds."""

    at: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    seeds: int

    @property
    def best(self) -> tuple[int, float]:
        """Where the lowest mean is, and that mean."""
        return min(zip(self.at, self.mean, strict=True), key=lambda point: point[1])


def ylabel(table: str) -> str:
    """What the figure of a table shows: a translation model's perplexity is one of subwords."""
    of = " of target subwords" if published.metric(table) == "bleu" else ""
    return f"validation perplexity{of}"


def valid_by_epoch(record: RunRecord) -> dict[int, float]:
    """Epoch -> validation perplexity."""
    return {epoch["epoch"]: epoch["valid"]["ppl"] for epoch in record.epochs}


def valid_by_update(record: RunRecord) -> dict[int, float]:
    """Update -> validation perplexity; the journal has those inside an epoch as well."""
    course = {epoch["updates"]: epoch["valid"]["ppl"] for epoch in record.epochs}
    course |= {e["updates"]: e["valid"]["ppl"] for e in _journal(record, "validated")}
    return dict(sorted(course.items()))


def training_by_update(record: RunRecord) -> dict[int, float]:
    """Update -> training loss, nats per token, since the update before; only a journal has it."""
    return {e["updates"]: e["train"]["nll"] for e in _journal(record, "trained")}


def _journal(record: RunRecord, kind: str) -> list[dict]:
    path = record.path.with_name(journal.FILE_NAME)
    events = journal.curve(journal.read(path), kind)
    part = "train" if kind == "trained" else "valid"
    for event in events:
        if not isinstance(event.get(part), dict) or not {"nll", "ppl"} <= event[part].keys():
            raise InputError(
                f"{path}: the event {kind!r} at update {event['updates']} has no losses; remove "
                "the file or run the training again"
            )
    return events


def curve(runs: Sequence[RunRecord], course: Course = valid_by_epoch) -> Curve | None:
    """The curve of one row: over its finished runs, or over all if none is finished.

    Only epochs (or updates) that every run has are used, so that a line never jumps where a seed
    ends; None if there is none.
    """
    runs = [record for record in runs if record.finished] or list(runs)
    courses = [course(record) for record in runs]
    at = sorted(set.intersection(*map(set, courses))) if courses else []
    if not at:
        return None
    values = [[one[moment] for one in courses] for moment in at]
    return Curve(
        at=tuple(at),
        mean=tuple(sum(seeds) / len(seeds) for seeds in values),
        low=tuple(map(min, values)),
        high=tuple(map(max, values)),
        seeds=len(runs),
    )


def curves(
    runs: Sequence[RunRecord], course: Course = valid_by_epoch, points: int = 1
) -> dict[str, Curve]:
    """Row -> curve, for the rows whose curve has at least so many `points`."""
    found = {row: curve(group, course) for row, group in by_row(runs).items()}
    return {row: line for row, line in found.items() if line and len(line.at) >= points}


def validation_figure(
    table: str, records: Sequence[RunRecord], scales: Sequence[str] | None = None
) -> "Figure":
    """A figure with one panel per scale and corpus, one line per row, the best epoch marked.

    Raises:
        InputError: no run of the table has been validated yet.
    """
    records = of_table(table, records)
    panels = []
    for scale, data in sections(table, records, scales):
        runs = [record for record in records if (record.scale, record.data) == (scale, data)]
        if found := curves(runs):
            panels.append((f"scale {scale}, data {data}", found))
    if not panels:
        raise InputError(f"table {table!r} has no validated run to plot; train a row of it first")

    labels = published.our_labels(table)
    order = _order(table, [row for _, found in panels for row in found])
    with new_figure(WIDTH, 4.0 * len(panels)) as figure:
        grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, (title, found) in zip(grid, panels, strict=True):
            names = {row: _with_best(labels.get(row, row), line) for row, line in found.items()}
            _draw_panel(axes, found, order, names)
            axes.set_title(title)
            axes.set_xlabel("epoch")
            axes.set_ylabel(ylabel(table))
            axes.legend(
                loc="upper right",
                alignment="left",
                frameon=False,
                title="mean, band from lowest to highest, ● best epoch",
            )
    return figure


def learning_figure(
    table: str, found: Mapping[str, Curve], label: str, mark_best: bool = True
) -> "Figure":
    """Curves of one scale and corpus by updates, for a page: narrow, the rows named below.

    Args:
        found: row -> curve; at least one.
        label: what the curves are of.
    """
    names = {row: published.our_labels(table).get(row, row) for row in found}
    with new_figure(PAGE_WIDTH, 2.8 + 0.17 * len(found)) as figure:
        axes = figure.subplots()
        _draw_panel(axes, found, _order(table, found), names, mark_best)
        axes.set_xlabel("updates")
        axes.set_ylabel(textwrap.fill(label, 28))
        figure.legend(loc="outside lower left", frameon=False, handlelength=3)
    return figure


def _order(table: str, rows: Sequence[str]) -> list[str]:
    """The rows as the paper has them, then the controls: this decides their colours."""
    labels = published.our_labels(table)
    return [row for row in labels if row in rows] + sorted(set(rows) - labels.keys())


def _with_best(label: str, line: Curve) -> str:
    epoch, best = line.best
    seeds = "1 seed" if line.seeds == 1 else f"{line.seeds} seeds"
    return f"{label} ({seeds}): {best:.1f} at epoch {epoch}"


def _draw_panel(
    axes: "Axes",
    found: Mapping[str, Curve],
    order: Sequence[str],
    names: Mapping[str, str],
    mark_best: bool = True,
) -> None:
    from matplotlib.ticker import MaxNLocator

    for index, row in enumerate(order):
        if row not in found:
            continue
        line, style = found[row], look(index)
        colour = style["color"]
        style["marker"] = "none"
        axes.plot(line.at, line.mean, label=names[row], **style)
        axes.fill_between(line.at, line.low, line.high, color=colour, alpha=0.18, linewidth=0)
        if mark_best:
            axes.plot(*line.best, "o", color=colour, markersize=6, markeredgecolor="white")
    rule(axes, "y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    lowest = min(min(line.low) for line in found.values())
    highest = max(max(line.high) for line in found.values())
    scale_axis(axes.yaxis, lowest, highest)
