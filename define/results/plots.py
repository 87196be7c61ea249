"""Validation perplexity against epochs, drawn from run records; matplotlib is imported on use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from define.errors import InputError
from define.results import published
from define.results.compare import of_table, sections
from define.results.records import RunRecord
from define.results.style import COLOURS, DASHES, STYLE, scale_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """Validation perplexity of one row by epoch: mean, minimum and maximum over the seeds."""

    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    seeds: int

    @property
    def best(self) -> tuple[int, float]:
        """The epoch with the lowest mean, and that mean."""
        return min(zip(self.epochs, self.mean, strict=True), key=lambda point: point[1])


def ylabel(table: str) -> str:
    """What the figure of a table shows: a translation model's perplexity is one of subwords."""
    of = " of target subwords" if published.metric(table) == "bleu" else ""
    return f"validation perplexity{of}"


def curve(runs: Sequence[RunRecord]) -> Curve | None:
    """The curve of one row: over its finished runs, or over all if none is finished.

    Only epochs that every run has are used, so that a line never jumps where a seed ends; None if
    there is no such epoch.
    """
    runs = [record for record in runs if record.finished] or list(runs)
    by_epoch = [{e["epoch"]: e["valid"]["ppl"] for e in record.epochs} for record in runs]
    epochs = sorted(set.intersection(*map(set, by_epoch))) if by_epoch else []
    if not epochs:
        return None
    values = [[perplexities[epoch] for perplexities in by_epoch] for epoch in epochs]
    return Curve(
        epochs=tuple(epochs),
        mean=tuple(sum(seeds) / len(seeds) for seeds in values),
        low=tuple(map(min, values)),
        high=tuple(map(max, values)),
        seeds=len(runs),
    )


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
        runs: dict[str, list[RunRecord]] = {}
        for record in records:
            if (record.scale, record.data) == (scale, data):
                runs.setdefault(record.row, []).append(record)
        curves = {row: found for row, group in runs.items() if (found := curve(group))}
        if curves:
            panels.append((f"scale {scale}, data {data}", curves))
    if not panels:
        raise InputError(f"table {table!r} has no validated run to plot; train a row of it first")

    import matplotlib
    from matplotlib.figure import Figure

    labels = published.our_labels(table)
    drawn = {row for _, curves in panels for row in curves}
    order = [row for row in labels if row in drawn] + sorted(drawn - labels.keys())
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.0 * len(panels)), layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, (title, curves) in zip(grid, panels, strict=True):
            _draw_panel(axes, title, curves, order, labels)
            axes.set_ylabel(ylabel(table))
    return figure


def _draw_panel(
    axes: "Axes",
    title: str,
    curves: Mapping[str, Curve],
    order: Sequence[str],
    labels: Mapping[str, str],
) -> None:
    from matplotlib.ticker import MaxNLocator

    for index, row in enumerate(order):
        if row not in curves:
            continue
        line = curves[row]
        colour = COLOURS[index % len(COLOURS)]
        best_epoch, best = line.best
        seeds = "1 seed" if line.seeds == 1 else f"{line.seeds} seeds"
        axes.plot(
            line.epochs,
            line.mean,
            DASHES[index % len(DASHES)],
            color=colour,
            linewidth=1.6,
            label=f"{labels.get(row, row)} ({seeds}): {best:.1f} at epoch {best_epoch}",
        )
        axes.fill_between(line.epochs, line.low, line.high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(best_epoch, best, "o", color=colour, markersize=6, markeredgecolor="white")
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    lowest = min(min(line.low) for line in curves.values())
    highest = max(max(line.high) for line in curves.values())
    scale_axis(axes.yaxis, lowest, highest)
    axes.legend(
        loc="upper right",
        alignment="left",
        frameon=False,
        title="mean, band from lowest to highest, ● best epoch",
    )
