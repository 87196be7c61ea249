"""Perplexity or BLEU against total parameters: our rows, and the paper's in a panel of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from define.analysis import published
from define.analysis.compare import (
    by_row,
    by_section,
    compare,
    headline_metric,
    of_table,
    section_runs,
)
from define.analysis.published import Series
from define.analysis.stats import summarise
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
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

PERPLEXITIES = {"test_ppl": "test perplexity", "valid_ppl": "validation perplexity"}
"""The first that every row of ours has is drawn."""
DIMENSIONS = {"n": "map_dim", "k": "expand_dim", "m": "reduce_dim", "N": "depth"}
"""The paper's symbol -> its key in the section `model` of a config."""
CONTROL = "control"
_LABEL_GAP = 7.0
"""Points between a mark and the nearest label."""
_SAMPLES = 40
"""Boxes along a line between two points."""
_DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))


@dataclass(frozen=True)
class Point:
    """One row: its name in the figure, millions of parameters, mean, lowest and highest score."""

    name: str
    millions: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """Points that can be compared: label of a series -> its points, and what their score is."""

    title: str
    metric: str
    points: Mapping[str, Sequence[Point]]


def has_curve(table: str) -> bool:
    """Whether the table has rows to draw. Raises InputError if there is no such table."""
    return bool(published.series(table))


def drawable(table: str, records: Sequence[RunRecord]) -> list[RunRecord]:
    """The table's finished runs that have the table's metric."""
    suffix = f"_{published.metric(table)}"
    return [r for r in of_table(table, records) if any(m.endswith(suffix) for m in r.metrics)]


def tradeoff_figure(
    table: str, records: Sequence[RunRecord], scales: Sequence[str] | None = None
) -> "Figure":
    """One panel per scale and corpus with finished runs, and one of the paper's numbers, stacked.

    Raises:
        InputError: as `panels`.
    """
    return draw(table, panels(table, records, scales))


def panels(
    table: str, records: Sequence[RunRecord], scales: Sequence[str] | None = None
) -> list[Panel]:
    """One panel per scale and corpus with finished runs, then one of the paper's numbers.

    BLEU is that of the paper's test set, or of the last one that all runs of a panel have.

    Raises:
        InputError: the paper draws no curve from this table, no run of it has finished, or the
            runs of a panel were translated for different sets.
    """
    if not has_curve(table):
        raise InputError(
            f"table {table!r} has no series of sizes to plot; tables with one: "
            + ", ".join(filter(has_curve, published.names()))
        )
    records = drawable(table, records)
    runs = {}
    for section in by_section(compare(table, records, scales)):
        if found := section_runs(section, records):
            runs[f"ours: scale {section[0].scale}, data {section[0].data}"] = found
    if not runs:
        raise InputError(f"table {table!r} has no finished run to plot; train a row of it first")
    *ours, papers = _metrics(table, list(runs.values()))
    drawn = [
        Panel(title, metric, _our_points(table, found, metric))
        for (title, found), metric in zip(runs.items(), ours, strict=True)
    ]
    title = f"the paper: data {published.data(table)}"
    return [*drawn, Panel(title, papers, _paper_points(table, papers))]


def draw(table: str, drawn: Sequence[Panel], for_page: bool = False) -> "Figure":
    """A figure with the panels of a table below each other.

    Args:
        for_page: narrow, and what the bars are is left to the caption.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # Nothing lies between two controls: they are no series.
    joined = {series.label: series.joined for series in published.series(table)} | {CONTROL: False}
    with new_figure(PAGE_WIDTH if for_page else WIDTH, 0.6 + 3.4 * len(drawn)) as figure:
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(drawn), 1, squeeze=False)[:, 0]
        for axes, panel in zip(grid, drawn, strict=True):
            _draw_panel(axes, panel, joined)
            if for_page and axes.get_xscale() == "linear":
                axes.locator_params(axis="x", nbins=6)
        _draw_legend(figure, list(joined), for_page)
        # Where a label is free can only be seen once the axes have their final place.
        figure.draw_without_rendering()
        for axes, panel in zip(grid, drawn, strict=True):
            _place_labels(axes, panel.points, joined, fontsize=9 if for_page else 8)
    return figure


def _metrics(table: str, panels: Sequence[Sequence[RunRecord]]) -> list[str]:
    """The metric of each panel of our runs, then that of the paper's.

    Raises:
        InputError: the runs of a panel were translated for different sets.
    """
    if published.metric(table) == "ppl":
        metric = shared_perplexity([record for found in panels for record in found])
        return [metric] * (len(panels) + 1)
    papers, chosen = headline_metric(table), []
    for first, *others in panels:
        sets = first.translation_scores
        shared = [f"{s}_bleu" for s in sets if all(s in r.translation_scores for r in others)]
        if not shared:
            raise InputError(
                f"{first.path} and other runs on {first.data} have no evaluation set in common; "
                "translate again with one corpus"
            )
        chosen.append(papers if papers in shared else shared[-1])
    return [*chosen, papers]


def shared_perplexity(runs: Sequence[RunRecord]) -> str:
    """The first of `PERPLEXITIES` that all these finished runs have."""
    return next(m for m in PERPLEXITIES if all(m in record.metrics for record in runs))


def _our_points(table: str, runs: Sequence[RunRecord], metric: str) -> dict[str, list[Point]]:
    groups = by_row(runs)
    points = {}
    for series in published.series(table):
        found = [
            _our_point(_our_name(table, series, groups[row][0]), groups.pop(row), metric)
            for row in series.rows
            if row in groups
        ]
        if found:
            points[series.label] = found
    if groups:
        points[CONTROL] = [_our_point(row, found, metric) for row, found in groups.items()]
    return points


def _our_point(name: str, seeds: Sequence[RunRecord], metric: str) -> Point:
    values = [record.metrics[metric] for record in seeds]
    millions = seeds[0].parameters["total"] / 1_000_000
    return Point(name, millions, summarise(values).mean, min(values), max(values))


def _our_name(table: str, series: Series, record: RunRecord) -> str:
    """A small model has another n than the paper's row, so its own config names it."""
    if series.point in DIMENSIONS:
        value = record.config.get("model", {}).get(DIMENSIONS[series.point])
        return record.row if value is None else f"{series.point} {value}"
    return published.our_labels(table)[record.row]


def _paper_points(table: str, metric: str) -> dict[str, list[Point]]:
    rows = {row.row: row for row in published.table(table)}
    points = {}
    for series in published.series(table):
        found = []
        for row in (rows[slug] for slug in series.rows):
            if metric in row.metrics:
                dimension = row.raw.get(series.point)
                name = row.label if dimension is None else f"{series.point} {dimension}"
                score = row.metrics[metric]
                found.append(Point(name, row.parameters["total"] / 1_000_000, score, score, score))
        if found:
            points[series.label] = found
    return points


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
    axes.set_title(panel.title)
    axes.set_xlabel("total parameters in millions")
    axes.set_ylabel(score_label(panel.metric))
    axes.margins(x=0.10, y=0.16)
    rule(axes, "both")
    sizes = [point.millions for point in every]
    scale_axis(axes.xaxis, min(sizes), max(sizes))
    if panel.metric in PERPLEXITIES:  # BLEU may be 0
        scale_axis(axes.yaxis, min(p.low for p in every), max(p.high for p in every))


def score_label(metric: str) -> str:
    """What an axis with the metric says."""
    return PERPLEXITIES.get(metric) or f"BLEU on {metric.removesuffix('_bleu')}"


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
    figure = axes.figure
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
                    place = (step * _LABEL_GAP * x, step * _LABEL_GAP * y)
                    _move(text, *place)
                    choices.append((_overlaps(text, taken), len(choices), place))
            _move(text, *min(choices)[2])
            taken.append(text.get_window_extent(figure.canvas.get_renderer()))


def _move(text: "Annotation", x: float, y: float) -> None:
    """Puts the text beside its point, `x` and `y` points away, on the side where it ends there."""
    text.set_position((x, y))
    text.set_horizontalalignment("left" if x > 0 else "right" if x < 0 else "center")
    text.set_verticalalignment("bottom" if y > 0 else "top" if y < 0 else "center")


def _overlaps(text: "Annotation", taken: Sequence["Bbox"]) -> int:
    """How many occupied boxes the text covers; one that leaves its axes is worse than any other."""
    box = text.get_window_extent(text.figure.canvas.get_renderer())
    inside = text.axes.bbox
    outside = not (inside.x0 <= box.x0 and box.x1 <= inside.x1)
    outside |= not (inside.y0 <= box.y0 and box.y1 <= inside.y1)
    return sum(box.overlaps(other) for other in taken) + len(taken) * outside


def _occupied(
    axes: "Axes", points: Mapping[str, Sequence[Point]], joined: Mapping[str, bool]
) -> list["Bbox"]:
    """Boxes, in pixels, around marks and bars, and along the lines."""
    from matplotlib.transforms import Bbox

    def boxes(start: tuple[float, float], end: tuple[float, float], half: float) -> list[Bbox]:
        ends = axes.transData.transform([start, end])
        shares = [step / _SAMPLES for step in range(_SAMPLES + 1)]
        centres = [ends[0] + share * (ends[1] - ends[0]) for share in shares]
        return [Bbox([centre - half, centre + half]) for centre in centres]

    pixels = axes.figure.dpi / 72
    taken = []
    for label, line in points.items():
        places = [(point.millions, point.mean) for point in line]
        for place, point in zip(places, line, strict=True):
            taken += boxes(place, place, 3 * pixels)[:1]
            low, high = (point.millions, point.low), (point.millions, point.high)
            taken += boxes(low, high, 2 * pixels) if point.high > point.low else []
        if joined[label]:
            for start, end in pairwise(places):
                taken += boxes(start, end, pixels)
    return taken
