"""Perplexity or BLEU against model size, and against depth and width: points of figures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from define.analysis import published
from define.analysis.compare import Section, by_row, compare, headline_metric
from define.errors import InputError
from define.runs.records import RunRecord

PERPLEXITIES = {"test_ppl": "test perplexity", "valid_ppl": "validation perplexity"}
"""The first that every run of ours has is drawn."""
DIMENSIONS = {"n": "map_dim", "k": "expand_dim", "m": "reduce_dim", "N": "depth"}
"""The paper's symbol -> its key in the section `model` of a config."""
CONTROL = "control"


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


@dataclass(frozen=True)
class DepthAndWidth:
    """What is measured, and k -> (N, point) by rising N."""

    metric: str
    models: Mapping[int, Sequence[tuple[int, Point]]]


def has_curve(table: str) -> bool:
    """Whether the table has rows to draw. Raises InputError if there is no such table."""
    return bool(published.series(table))


def scored(table: str, records: Iterable[RunRecord]) -> list[RunRecord]:
    """The runs that have the table's metric; only finished runs have any."""
    suffix = f"_{published.metric(table)}"
    return [record for record in records if any(m.endswith(suffix) for m in record.metrics)]


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
    sections = [s for s in compare(table, records, scales) if scored(table, s.runs)]
    if not sections:
        raise InputError(f"table {table!r} has no finished run to plot; train a row of it first")
    runs = {f"ours: {s.place}": scored(table, s.runs) for s in sections}
    perplexity = _perplexity([run for of_panel in runs.values() for run in of_panel])
    papers = perplexity or headline_metric(table)
    drawn = []
    for title, of_panel in runs.items():
        metric = perplexity or _shared_bleu(of_panel, papers)
        drawn.append(Panel(title, metric, _our_points(table, of_panel, metric)))
    title = f"the paper: data {published.data(table)}"
    return [*drawn, Panel(title, papers, _paper_points(table, papers))]


def _perplexity(runs: Sequence[RunRecord]) -> str | None:
    """The perplexity to draw; None for translations."""
    if published.metric(runs[0].table) == "bleu":
        return None
    return next(m for m in PERPLEXITIES if all(m in record.metrics for record in runs))


def _shared_bleu(runs: Sequence[RunRecord], papers: str) -> str:
    first, *others = runs
    sets = first.translation_scores
    shared = [f"{s}_bleu" for s in sets if all(s in r.translation_scores for r in others)]
    if not shared:
        raise InputError(
            f"{first.path} and other runs on {first.data} have no evaluation set in common; "
            "translate again with one corpus"
        )
    return papers if papers in shared else shared[-1]


def _our_points(table: str, runs: Sequence[RunRecord], metric: str) -> dict[str, list[Point]]:
    """The points of each series, then the controls.

    A scaled-down model has another n than the paper's row, so its own config names the point.
    """
    groups, points = by_row(runs), {}
    labels = published.our_labels(table)
    for series in published.series(table):
        for row in series.rows:
            if seeds := groups.pop(row, None):
                name = labels[row]
                if series.point in DIMENSIONS:
                    value = seeds[0].config.get("model", {}).get(DIMENSIONS[series.point])
                    name = row if value is None else f"{series.point} {value}"
                points.setdefault(series.label, []).append(_our_point(name, seeds, metric))
    if groups:
        points[CONTROL] = [_our_point(row, seeds, metric) for row, seeds in groups.items()]
    return points


def _our_point(name: str, seeds: Sequence[RunRecord], metric: str) -> Point:
    values = [record.metrics[metric] for record in seeds]
    millions = seeds[0].parameters["total"] / 1_000_000
    return Point(name, millions, sum(values) / len(values), min(values), max(values))


def _paper_points(table: str, metric: str) -> dict[str, list[Point]]:
    rows, points = {row.row: row for row in published.table(table)}, {}
    for series in published.series(table):
        for row in (rows[slug] for slug in series.rows):
            if metric in row.metrics:
                dimension = row.raw.get(series.point)
                name = row.label if dimension is None else f"{series.point} {dimension}"
                points.setdefault(series.label, []).append(_paper_point(name, row, metric))
    return points


def _paper_point(name: str, row: published.PublishedRow, metric: str) -> Point:
    score = row.metrics[metric]
    return Point(name, row.parameters["total"] / 1_000_000, score, score, score)


def depth_and_width(section: Section) -> tuple[DepthAndWidth, DepthAndWidth] | None:
    """Our runs by the N and k of their own configs, and the paper's rows.

    None unless the table varies both N and k, and a finished run's config has both. Controls are
    left out.
    """
    paper = published.table(section.table)
    if min(len({row.raw[name] for row in paper if name in row.raw}) for name in "Nk") < 2:
        return None
    groups = {}
    for row, seeds in by_row(section.finished).items():
        model = seeds[0].config.get("model", {})
        k, n = model.get(DIMENSIONS["k"]), model.get(DIMENSIONS["N"])
        if None not in (k, n) and row in {of_paper.row for of_paper in paper}:
            groups[row] = (k, n, seeds)
    if not groups:
        return None
    metric = _perplexity([run for _, _, seeds in groups.values() for run in seeds])
    ours = [(k, n, _our_point(row, seeds, metric)) for row, (k, n, seeds) in groups.items()]
    papers = [(r.raw["k"], r.raw["N"], _paper_point(r.label, r, metric)) for r in paper]
    return DepthAndWidth(metric, _by_width(ours)), DepthAndWidth(metric, _by_width(papers))


def _by_width(found: Sequence[tuple[int, int, Point]]) -> dict[int, list[tuple[int, Point]]]:
    models: dict[int, list[tuple[int, Point]]] = {}
    for width, depth, point in sorted(found, key=lambda one: one[:2]):
        models.setdefault(width, []).append((depth, point))
    return models
