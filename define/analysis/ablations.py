"""Depth against width (Table 5): perplexity and parameters by N, a line for each k."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from define.analysis import published
from define.analysis.stats import summarise
from define.analysis.tradeoff import DIMENSIONS, score_label, shared_perplexity
from define.report.style import PAGE_WIDTH, bars, look, new_figure, rule
from define.runs.records import RunRecord

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
    metric = shared_perplexity([record for group in seeds.values() for record in group])
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
    with new_figure(PAGE_WIDTH, 5.2) as figure:
        scores, sizes = figure.subplots(2, 1, sharex=True)
        for index, (width, line) in enumerate(shown.models.items()):
            depths, mean = [m.depth for m in line], [m.mean for m in line]
            reach = bars(mean, [m.low for m in line], [m.high for m in line])
            label, style = f"k {width}", look(index)
            scores.errorbar(depths, mean, yerr=reach, capsize=3, label=label, **style)
            sizes.plot(depths, [m.millions for m in line], **style)
        scores.set_ylabel(score_label(shown.metric))
        sizes.set_ylabel("parameters in millions")
        sizes.set_xlabel("N, layers of the expansion")
        sizes.set_xticks(sorted({m.depth for line in shown.models.values() for m in line}))
        for axes in (scores, sizes):
            rule(axes, "y")
            axes.margins(x=0.08, y=0.12)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, handlelength=3)
    return figure
