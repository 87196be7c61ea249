"""Perplexity or BLEU against model size, and against depth and width: points of figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
from define.errors import InputError
from define.runs.records import RunRecord

PERPLEXITIES = {"test_ppl": "test perplexity", "valid_ppl": "validation perplexity"}
"""The first that every row of ours has is drawn."""
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


def drawable(table: str, records: Sequence[RunRecord]) -> list[RunRecord]:
    """The table's finished runs that have the table's metric."""
    suffix = f"_{published.metric(table)}"
    return [r for r in of_table(table, records) if any(m.endswith(suffix) for m in r.metrics)]


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


def _metrics(table: str, panels: Sequence[Sequence[RunRecord]]) -> list[str]:
    """The metric of each panel of our runs, then that of the paper's."""
    if published.metric(table) == "ppl":
        metric = _shared_perplexity([record for found in panels for record in found])
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


def _shared_perplexity(runs: Sequence[RunRecord]) -> str:
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
    return Point(name, millions, sum(values) / len(values), min(values), max(values))


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
                found.append(_paper_point(name, row, metric))
        if found:
            points[series.label] = found
    return points


def _paper_point(name: str, row: published.PublishedRow, metric: str) -> Point:
    score = row.metrics[metric]
    return Point(name, row.parameters["total"] / 1_000_000, score, score, score)


def varies_depth_and_width(table: str) -> bool:
    """Whether the table's rows vary N and k, each apart. Raises InputError if unknown."""
    depths, widths = (
        {row.raw[name] for row in published.table(table) if name in row.raw} for name in "Nk"
    )
    return len(depths) > 1 and len(widths) > 1


def paper_depth_and_width(table: str, metric: str) -> DepthAndWidth:
    """The paper's models; those without the metric are left out."""
    rows = [row for row in published.table(table) if metric in row.metrics]
    found = [(r.raw["k"], r.raw["N"], _paper_point(r.label, r, metric)) for r in rows]
    return DepthAndWidth(metric, _by_width(found))


def our_depth_and_width(table: str, runs: Sequence[RunRecord]) -> DepthAndWidth | None:
    """The finished runs of one scale and corpus, by the N and k of their own configs.

    Controls, and runs whose config names no N or k, are left out; None if nothing is left.
    """
    rows = {row.row for row in published.table(table)}
    seeds: dict[tuple[int, int, str], list[RunRecord]] = {}
    for record in runs:
        model = record.config.get("model", {})
        depth, width = model.get(DIMENSIONS["N"]), model.get(DIMENSIONS["k"])
        if record.finished and record.row in rows and depth is not None and width is not None:
            seeds.setdefault((width, depth, record.row), []).append(record)
    if not seeds:
        return None
    metric = _shared_perplexity([record for group in seeds.values() for record in group])
    found = [
        (width, depth, _our_point(row, group, metric))
        for (width, depth, row), group in seeds.items()
    ]
    return DepthAndWidth(metric, _by_width(found))


def _by_width(found: Sequence[tuple[int, int, Point]]) -> dict[int, list[tuple[int, Point]]]:
    models: dict[int, list[tuple[int, Point]]] = {}
    for width, depth, point in sorted(found, key=lambda one: one[:2]):
        models.setdefault(width, []).append((depth, point))
    return models
