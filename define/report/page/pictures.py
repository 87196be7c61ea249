"""The figures of the page, each with its caption, and in words for who cannot see it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from define.analysis import ablations, published, tradeoff
from define.analysis.compare import ComparisonRow
from define.report import plots, render, speed, style
from define.report.page import anchor, markup
from define.runs.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure of the page and what stands below it."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Speed:
    """The times of one section on one machine; a picture where there are rows to compare."""

    title: str
    machine: str
    grid: str
    picture: Picture | None


def pictures(first: ComparisonRow, runs: Sequence[RunRecord]) -> list[Picture]:
    """The figures of one section: sizes, depth and width, each beside the paper's; curves."""
    table, where = first.table, f"scale {first.scale}, data {first.data}"
    name = _name(first)
    found = []
    if tradeoff.has_curve(table) and tradeoff.drawable(table, runs):
        ours, papers = tradeoff.panels(table, runs, [first.scale])
        found += [_size_picture(table, ours, f"{name}-size")]
        found += [_size_picture(table, papers, f"{name}-paper-size")]
    if ablations.varies(table) and (shown := ablations.ours(table, runs)):
        papers = ablations.papers(table, shown.metric)
        found += [
            _depth_picture(shown, f"{name}-depth", f"Depth and width, ours: {where}."),
            _depth_picture(papers, f"{name}-paper-depth", "Depth and width, the paper's."),
        ]
    courses = (
        ("train", plots.training_by_update, plots.TRAINING_LABEL, False),
        ("valid", plots.valid_by_update, plots.ylabel(table), True),
    )
    for kind, course, label, mark_best in courses:
        if lines := plots.curves(runs, course, points=2):
            figure = plots.learning_figure(table, lines, label, mark_best)
            best = ", ● the lowest mean" if mark_best else ""
            caption = f"{render.sentence_case(label)} by update: {where}. "
            caption += f"Mean over seeds, band from lowest to highest{best}."
            told = _told_curves(table, lines)
            found.append(_picture(figure, f"{name}-{kind}", caption, f"{caption} {told}"))
    return found


def speeds(section: Sequence[ComparisonRow], runs: Iterable[RunRecord]) -> list[Speed]:
    """The times of one section, machine by machine."""
    first = section[0]
    title = render.section_title(first)
    found = []
    for index, (machine, rows) in enumerate(speed.timings(section, runs).items()):
        caption = "Milliseconds per update. Mean, whisker from the fastest to the slowest seed."
        told = ", ".join(f"{row.label} {row.ms.mean:.1f}" for row in rows)
        name = f"{_name(first)}-speed-{index}"
        picture = None
        if len(rows) > 1:
            description = f"{title}, on {machine}. {caption} {told}."
            picture = _picture(speed.speed_figure(rows), name, caption, description)
        grid = markup(speed.grid(first.table, rows), f"Table {first.table} on {machine}")
        found.append(Speed(title, machine, grid, picture))
    return found


def _picture(figure: "Figure", name: str, caption: str, description: str) -> Picture:
    return Picture(style.inline_svg(figure, name, description), caption)


def _size_picture(table: str, panel: tradeoff.Panel, name: str) -> Picture:
    figure = tradeoff.draw(table, [panel], for_page=True)
    score = tradeoff.score_label(panel.metric)
    caption = f"{render.sentence_case(score)} by total parameters, {panel.title}."
    if any(point.high > point.low for line in panel.points.values() for point in line):
        caption += " Mean, bar from lowest to highest seed."
    told = [
        f"{label}: " + ", ".join(f"{p.name} {p.millions:.2f} M {p.mean:.2f}" for p in line)
        for label, line in panel.points.items()
    ]
    return _picture(figure, name, caption, f"{caption} {'; '.join(told)}.")


def _depth_picture(shown: ablations.DepthAndWidth, name: str, caption: str) -> Picture:
    told = [
        f"k {width}: " + ", ".join(f"N {m.depth} {m.mean:.2f}, {m.millions:.2f} M" for m in line)
        for width, line in shown.models.items()
    ]
    caption += " n grows with N."
    return _picture(ablations.depth_figure(shown), name, caption, f"{caption} {'; '.join(told)}.")


def _told_curves(table: str, lines: Mapping[str, plots.Curve]) -> str:
    names = published.our_labels(table)
    told = [
        f"{names.get(row, row)}: lowest {line.best[1]:.2f} at update {line.best[0]:,}"
        for row, line in lines.items()
    ]
    return "; ".join(told) + "."


def _name(first: ComparisonRow) -> str:
    """A word that is the section's alone; identifiers in its figures begin with it."""
    return anchor(first.table, first.scale, first.data).replace(".", "_")
