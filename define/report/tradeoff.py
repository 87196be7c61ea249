"""Figures of scores against model size; matplotlib is imported on use."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from define.analysis import published
from define.analysis.sizes import CONTROL, PERPLEXITIES, Panel, Point
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

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

_LABEL_GAP = 7.0
"""Points between a mark and the nearest label."""
_DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))


def tradeoff(table: str, panels: Sequence[Panel], for_page: bool = False) -> "Figure":
    """Scores against total parameters, panel by panel.

    Args:
        for_page: narrow; the caption explains the bars.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # Controls are not a series: no line joins them.
    joined = {series.label: series.joined for series in published.series(table)} | {CONTROL: False}
    with new_figure(PAGE_WIDTH if for_page else WIDTH, 0.6 + 3.4 * len(panels)) as figure:
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, panel in zip(grid, panels, strict=True):
            _draw_panel(axes, panel, joined)
            if for_page and axes.get_xscale() == "linear":
                axes.locator_params(axis="x", nbins=6)
        _draw_legend(figure, list(joined), for_page)
        # Free places for labels are known only once the axes have their final place.
        figure.draw_without_rendering()
        for axes, panel in zip(grid, panels, strict=True):
            _place_labels(axes, panel.points, joined, fontsize=9 if for_page else 8)
    return figure


def score_label(metric: str) -> str:
    """The label of an axis with the metric."""
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
            yerr=bars(means, line),
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
    """One legend for all panels, above them so that it covers no point."""
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
    """Names each point, as near as possible without covering a mark, a line or another name."""
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
            # Otherwise the layout would move the axes, and with them the free places.
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
