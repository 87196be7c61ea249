"""Depth against width (Table 5): perplexity and parameters by N, a line for each k."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from define.results import published
from define.results.records import RunRecord
from define.results.stats import summarise
from define.results.style import COLOURS, DASHES, GRID_COLOUR, MARKERS, PAGE_WIDTH, STYLE
from define.results.tradeoff import DIMENSIONS, PERPLEXITIES, score_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Model:
    """One model of depth N: millions of parameters, mean, lowest and highest perplexity."""

    depth: int
    millions: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class DepthAndWidth:
    """What is measured, and k -> models by rising N."""

    metric: str
    models: Mapping[int, Sequence[Model]]


def varies(table: str) -> bool:
    """Whether the table's rows vary depth and width, each apart. Raises InputError if unknown."""
    sizes = {(row.raw.get("N"), row.raw.get("k")) for row in published.table(table)}
    depths, widths = ({size[i] for size in sizes} - {None} for i in (0, 1))
    return len(depths) > 1 and len(widths) > 1


def papers(table: str, metric: str) -> DepthAndWidth:
    """The paper's models; those without the metric are left out."""
    found = []
    for row in published.table(table):
        if metric in row.metrics:
            score = row.metrics[metric]
            millions = row.parameters["total"] / 1_000_000
            found.append((row.raw["k"], Model(row.raw["N"], millions, score, score, score)))
    return DepthAndWidth(metric, _by_width(found))


def ours(table: str, runs: Sequence[RunRecord]) -> DepthAndWidth | None:
    """The finished runs of one scale and corpus, by the N and k of their own configs.

    Controls, and runs whose config names no N or k, are left out; None if nothing is left.
    """
    rows = {row.row for row in published.table(table)}
    seeds: dict[tuple[str, int, int], list[RunRecord]] = {}
    for record in runs:
        model = record.config.get("model", {})
        depth, width = model.get(DIMENSIONS["N"]), model.get(DIMENSIONS["k"])
        if record.finished and record.row in rows and depth is not None and width is not None:
            seeds.setdefault((record.row, depth, width), []).append(record)
    if not seeds:
        return None
    every = [record for group in seeds.values() for record in group]
    metric = next(m for m in PERPLEXITIES if all(m in record.metrics for record in every))
    found = []
    for (_, depth, width), group in seeds.items():
        values = [record.metrics[metric] for record in group]
        millions = group[0].parameters["total"] / 1_000_000
        mean = summarise(values).mean
        found.append((width, Model(depth, millions, mean, min(values), max(values))))
    return DepthAndWidth(metric, _by_width(found))


def _by_width(found: Sequence[tuple[int, Model]]) -> dict[int, list[Model]]:
    models: dict[int, list[Model]] = {}
    for width, model in sorted(found, key=lambda pair: (pair[0], pair[1].depth)):
        models.setdefault(width, []).append(model)
    return models


def depth_figure(shown: DepthAndWidth) -> "Figure":
    """Two panels below each other: perplexity by N, parameters by N."""
    import matplotlib
    from matplotlib.figure import Figure

    depths = sorted({model.depth for line in shown.models.values() for model in line})
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 5.2), layout="constrained")
        scores, sizes = figure.subplots(2, 1, sharex=True)
        for index, (width, line) in enumerate(shown.models.items()):
            look = {
                "color": COLOURS[index % len(COLOURS)],
                "linestyle": DASHES[index % len(DASHES)],
                "marker": MARKERS[index % len(MARKERS)],
                "markeredgecolor": "white",
                "linewidth": 1.6,
            }
            at = [model.depth for model in line]
            bars = [[m.mean - m.low for m in line], [m.high - m.mean for m in line]]
            scores.errorbar(
                at,
                [model.mean for model in line],
                yerr=bars if any(map(sum, bars)) else None,
                capsize=3,
                label=f"k {width}",
                **look,
            )
            sizes.plot(at, [model.millions for model in line], **look)
        scores.set_ylabel(score_label(shown.metric))
        sizes.set_ylabel("parameters in millions")
        sizes.set_xlabel("N, layers of the expansion")
        sizes.set_xticks(depths)
        for axes in (scores, sizes):
            axes.grid(axis="y", color=GRID_COLOUR, linewidth=0.6)
            axes.set_axisbelow(True)
            axes.margins(x=0.08, y=0.12)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, handlelength=3)
    return figure
