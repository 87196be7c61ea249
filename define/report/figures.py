"""The figures of reports and of the page; matplotlib is imported on use."""

import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from define.analysis import published
from define.analysis.compare import by_section, compare, of_table, section_runs
from define.analysis.curves import Curve, curves
from define.analysis.sizes import CONTROL, PERPLEXITIES, DepthAndWidth, Panel, Point
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
from define.runs.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

TRAINING_LABEL = "training loss, nats/token"
_LABEL_GAP = 7.0
"""Points between a mark and the nearest label."""
_DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))


def valid_label(table: str) -> str:
    """What a curve of validation shows: a translation model's perplexity is one of subwords."""
    of = " of target subwords" if published.metric(table) == "bleu" else ""
    return f"validation perplexity{of}"


def validation(
    table: str, records: Sequence[RunRecord], scales: Sequence[str] | None = None
) -> "Figure":
    """One panel per scale and corpus, one line per row, the best epoch marked.

    Raises:
        InputError: no run of the table has been validated yet.
    """
    records = of_table(table, records)
    panels = []
    for section in by_section(compare(table, records, scales)):
        if found := curves(section_runs(section, records)):
            panels.append((f"scale {section[0].scale}, data {section[0].data}", found))
    if not panels:
        raise InputError(f"table {table!r} has no validated run to plot; train a row of it first")
    labels = published.our_labels(table)
    order = _order(table, [row for _, found in panels for row in found])
    with new_figure(WIDTH, 4.0 * len(panels)) as figure:
        grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, (title, found) in zip(grid, panels, strict=True):
            names = {row: _with_best(labels.get(row, row), line) for row, line in found.items()}
            _draw_curves(axes, found, order, names)
            axes.set(title=title, xlabel="epoch", ylabel=valid_label(table))
            axes.legend(
                loc="upper right",
                alignment="left",
                frameon=False,
                title="mean, band from lowest to highest, ● best epoch",
            )
    return figure


def learning(
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
        _draw_curves(axes, found, _order(table, found), names, mark_best)
        axes.set(xlabel="updates", ylabel=textwrap.fill(label, 28))
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


def tradeoff(table: str, panels: Sequence[Panel], for_page: bool = False) -> "Figure":
    """Scores against total parameters: the panels of a table below each other.

    Args:
        for_page: narrow, and what the bars are is left to the caption.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # Nothing lies between two controls: they are no series.
    joined = {series.label: series.joined for series in published.series(table)} | {CONTROL: False}
    with new_figure(PAGE_WIDTH if for_page else WIDTH, 0.6 + 3.4 * len(panels)) as figure:
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, panel in zip(grid, panels, strict=True):
            _draw_panel(axes, panel, joined)
            if for_page and axes.get_xscale() == "linear":
                axes.locator_params(axis="x", nbins=6)
        _draw_legend(figure, list(joined), for_page)
        # Where a label is free can only be seen once the axes have their final place.
        figure.draw_without_rendering()
        for axes, panel in zip(grid, panels, strict=True):
            _place_labels(axes, panel.points, joined, fontsize=9 if for_page else 8)
    return figure


def score_label(metric: str) -> str:
    """What an axis with the metric says."""
    return PERPLEXITIES.get(metric) or f"BLEU on {metric.removesuffix('_bleu')}"


def _draw_panel(axes: "Axes", panel: Panel, joined: Mapping[str, bool]) -> None:
    every = [point for line in panel.points.values() for point in line]
    for label, line in panel.points.items():
        means = [point.mean for point in line]
        style = look(list(joined).index(label))
        if len(line) == 1 or not joined[label]:
            style["linestyle"] = "none"
        axes.errorbar(
            [point.millions for point in line],
            means,
            yerr=bars(means, [point.low for point in line], [point.high for point in line]),
            markersize=6,
            elinewidth=1.2,
            capsize=3,
            label=label,
            **style,
        )
    axes.set(
        title=panel.title, xlabel="total parameters in millions", ylabel=score_label(panel.metric)
    )
    axes.margins(x=0.10, y=0.16)
    rule(axes, "both")
    sizes = [point.millions for point in every]
    scale_axis(axes.xaxis, min(sizes), max(sizes))
    if panel.metric in PERPLEXITIES:  # BLEU may be 0
        scale_axis(axes.yaxis, min(p.low for p in every), max(p.high for p in every))


def _draw_legend(figure: "Figure", order: Sequence[str], for_page: bool) -> None:
    """One legend for all panels, above them, where it covers no point."""
    handles = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    labels = [label for label in order if label in handles]
    if for_page and len(labels) < 2:  # the points are named
        return
    several = any(container.has_yerr for axes in figure.axes for container in axes.containers)
    figure.legend(
        [handles[label] for label in labels],
        labels,
        loc="outside upper center",
        ncols=1 if for_page else 2,
        frameon=False,
        title="mean, bar from lowest to highest seed" if several and not for_page else None,
    )


def _place_labels(
    axes: "Axes",
    points: Mapping[str, Sequence[Point]],
    joined: Mapping[str, bool],
    fontsize: float,
) -> None:
    """Names each point where the name covers no mark, line or earlier name, as near as it goes."""
    renderer = axes.figure.canvas.get_renderer()
    taken = _occupied(axes, points, joined)
    for label, line in points.items():
        colour = COLOURS[list(joined).index(label) % len(COLOURS)]
        for point in line:
            text = axes.annotate(
                point.name,
                (point.millions, point.mean),
                xytext=(0, 0),
                textcoords="offset points",
                color=colour,
                fontsize=fontsize,
            )
            # Else the layout would move the axes, and with them the places found free.
            text.set_in_layout(False)
            choices = []
            for step in (1.0, 1.8, 2.6):
                for x, y in _DIRECTIONS:
                    place = {
                        "position": (step * _LABEL_GAP * x, step * _LABEL_GAP * y),
                        "ha": ("center", "left", "right")[x],
                        "va": ("center", "bottom", "top")[y],
                    }
                    text.set(**place)
                    box, inside = text.get_window_extent(renderer), axes.bbox
                    outside = box.x0 < inside.x0 or box.x1 > inside.x1
                    outside |= box.y0 < inside.y0 or box.y1 > inside.y1
                    cost = sum(map(box.overlaps, taken)) + len(taken) * outside
                    choices.append((cost, len(choices), place))
            text.set(**min(choices)[2])
            taken.append(text.get_window_extent(renderer))


def _occupied(
    axes: "Axes", points: Mapping[str, Sequence[Point]], joined: Mapping[str, bool]
) -> list["Bbox"]:
    """Boxes, in pixels, along bars and lines."""
    from matplotlib.transforms import Bbox

    taken = []
    for label, line in points.items():
        lines = [((p.millions, p.low), (p.millions, p.high), 3.0) for p in line]
        if joined[label]:
            places = [(point.millions, point.mean) for point in line]
            lines += [(start, end, 1.0) for start, end in pairwise(places)]
        for start, end, half in lines:
            ends = axes.transData.transform([start, end])
            for share in range(41):
                centre = ends[0] + share / 40 * (ends[1] - ends[0])
                reach = half * axes.figure.dpi / 72
                taken.append(Bbox([centre - reach, centre + reach]))
    return taken


def depth_and_width(shown: DepthAndWidth) -> "Figure":
    """Two panels below each other: perplexity by N, parameters by N."""
    with new_figure(PAGE_WIDTH, 5.2) as figure:
        scores, sizes = figure.subplots(2, 1, sharex=True)
        for index, (width, line) in enumerate(shown.models.items()):
            depths, points = zip(*line, strict=True)
            means = [p.mean for p in points]
            reach = bars(means, [p.low for p in points], [p.high for p in points])
            style = look(index)
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
        spread = bars(means, [row.low for row in rows], [row.high for row in rows])
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
