"""Figures of curves, depth and width, and speed; matplotlib is imported on use."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from define.analysis import published
from define.analysis.compare import compare
from define.analysis.curves import Curve, curves
from define.analysis.sizes import DepthAndWidth
from define.analysis.speed import Timing
from define.errors import InputError
from define.report.style import (
    COLOURS,
    PAGE_WIDTH,
    WIDTH,
    bars,
    look,
    new_figure,
    rule,
    scale_axis,
)
from define.report.tradeoff import score_label
from define.runs.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAINING_LABEL = "training loss, nats/token"


def valid_label(table: str) -> str:
    """The label of a validation curve: a translation model's perplexity is that of subwords."""
    of = " of target subwords" if published.metric(table) == "bleu" else ""
    return f"validation perplexity{of}"


def validation(
    table: str, records: Sequence[RunRecord], scales: Sequence[str] | None = None
) -> "Figure":
    """Validation perplexity by epoch: a panel per scale and corpus, a line per row.

    Raises:
        InputError: no run of the table has been validated yet.
    """
    panels = []
    for section in compare(table, records, scales):
        if found := curves(section.runs):
            panels.append((section.place, found))
    if not panels:
        raise InputError(f"table {table!r} has no validated run to plot; train a row of it first")
    labels = published.our_labels(table)
    order = _order(table, [row for _, found in panels for row in found])
    rows = sum(len(found) for _, found in panels)
    with new_figure(WIDTH, 4.0 * len(panels) + 0.17 * rows) as figure:
        grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, (title, found) in zip(grid, panels, strict=True):
            names = {row: _with_best(labels.get(row, row), line) for row, line in found.items()}
            _draw_curves(axes, found, order, names)
            axes.set(title=title, xlabel="epoch", ylabel=valid_label(table))
            axes.legend(
                loc="upper left",
                bbox_to_anchor=(0, -0.15),  # below the axis, where it covers no curve
                borderaxespad=0,
                alignment="left",
                frameon=False,
                title="mean, band from lowest to highest, ● best epoch",
            )
    return figure


def learning(
    table: str, found: Mapping[str, Curve], label: str, mark_best: bool = True
) -> "Figure":
    """Curves of a section by update, for the page: narrow, the rows named below.

    Args:
        found: row -> curve; at least one.
        label: of the y axis.
    """
    names = {row: published.our_labels(table).get(row, row) for row in found}
    with new_figure(PAGE_WIDTH, 2.8 + 0.17 * len(found)) as figure:
        axes = figure.subplots()
        _draw_curves(axes, found, _order(table, found), names, mark_best)
        axes.set(xlabel="updates", ylabel=textwrap.fill(label, 28))
        figure.legend(loc="outside lower left", frameon=False, handlelength=3)
    return figure


def _order(table: str, rows: Sequence[str]) -> list[str]:
    """The rows in the paper's order, then the controls: this decides their colours."""
    labels = published.our_labels(table)
    return [row for row in labels if row in rows] + sorted(set(rows) - labels.keys())


def _with_best(label: str, line: Curve) -> str:
    epoch, best = line.best
    seeds = "1 seed" if line.seeds == 1 else f"{line.seeds} seeds"
    return f"{label} ({seeds}): {best:.1f} at epoch {epoch}"


def _draw_curves(
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
        line, style = found[row], look(index) | {"marker": "none"}
        axes.plot(line.at, line.mean, label=names[row], **style)
        band = {"color": style["color"], "alpha": 0.18, "linewidth": 0}
        axes.fill_between(line.at, line.low, line.high, **band)
        if mark_best:
            dot = {"color": style["color"], "markersize": 6, "markeredgecolor": "white"}
            axes.plot(*line.best, "o", **dot)
    rule(axes, "y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    lowest = min(min(line.low) for line in found.values())
    highest = max(max(line.high) for line in found.values())
    scale_axis(axes.yaxis, lowest, highest)


def depth_and_width(shown: DepthAndWidth) -> "Figure":
    """Two panels below each other: perplexity by N, parameters by N."""
    with new_figure(PAGE_WIDTH, 5.2) as figure:
        scores, sizes = figure.subplots(2, 1, sharex=True)
        for index, (width, line) in enumerate(shown.models.items()):
            depths, points = zip(*line, strict=True)
            means = [p.mean for p in points]
            reach, style = bars(means, points), look(index)
            scores.errorbar(depths, means, yerr=reach, capsize=3, label=f"k {width}", **style)
            sizes.plot(depths, [p.millions for p in points], **style)
        scores.set_ylabel(score_label(shown.metric))
        sizes.set(ylabel="parameters in millions", xlabel="N, layers of the expansion")
        sizes.set_xticks(sorted({depth for line in shown.models.values() for depth, _ in line}))
        for axes in (scores, sizes):
            rule(axes, "y")
            axes.margins(x=0.08, y=0.12)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, handlelength=3)
    return figure


def speed(rows: Sequence[Timing]) -> "Figure":
    """A bar for each row, its mean at the end, a whisker from the fastest to the slowest seed."""
    with new_figure(PAGE_WIDTH, 0.7 + 0.32 * len(rows)) as figure:
        axes = figure.subplots()
        at = range(len(rows))
        means = [row.ms.mean for row in rows]
        spread = bars(means, rows)
        axes.barh(at, means, height=0.62, color=COLOURS[0])
        if spread:
            axes.errorbar(means, at, xerr=spread, linestyle="none", color="black", capsize=2)
        for y, row in zip(at, rows, strict=True):
            place = {"xytext": (5, 0), "textcoords": "offset points", "va": "center"}
            axes.annotate(f"{row.ms.mean:,.0f}", (row.high, y), **place)
        axes.set_yticks(at, [row.label for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.15 * max(row.high for row in rows))
        axes.set_xlabel("ms per update")
        axes.tick_params(axis="y", length=0)
        rule(axes, "x")
    return figure


def band(title: str, axis: str, unit: str, values: Mapping[float, Sequence[float]]) -> "Figure":
    """Medians with a band between the quartiles.

    Args:
        values: x -> lower quartile, median and upper quartile.
    """
    low, middle, high = zip(*values.values(), strict=True)
    with new_figure(WIDTH, 3.2) as figure:
        axes = figure.subplots()
        axes.plot(list(values), middle, **look(0))
        axes.fill_between(list(values), low, high, color=COLOURS[0], alpha=0.18, linewidth=0)
        axes.set(title=title, xlabel=axis, ylabel=unit)
        rule(axes, "both")
        scale_axis(axes.xaxis, min(values), max(values))
        scale_axis(axes.yaxis, min(low), max(high))
    return figure
