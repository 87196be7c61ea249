"""How fast the runs were, machine by machine: tables and bars of milliseconds per update."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from define.analysis.compare import ComparisonRow, section_runs
from define.analysis.stats import Statistic, summarise
from define.report.chapters import labels, machine_notes, ratio
from define.report.grid import Grid
from define.report.render import interval_notes, number, statistics
from define.report.style import COLOURS, PAGE_WIDTH, bars, new_figure, rule
from define.runs.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Timing:
    """The finished seeds of one row on one machine; times in ms per update, memory in MiB."""

    row: str
    label: str
    published_ms: float | None
    ms: Statistic
    low: float
    high: float
    tokens_per_second: Statistic
    memory: Statistic


def machine(record: RunRecord) -> str:
    """What must be equal where times are compared: the device, and the threads on it."""
    threads = record.provenance["threads"]
    return f"{record.provenance['device']}, {threads} thread{'' if threads == 1 else 's'}"


def timings(
    section: Sequence[ComparisonRow], found: Iterable[RunRecord]
) -> dict[str, list[Timing]]:
    """Machine -> the timed rows of a section on it, in the table's order."""
    names = labels(section)
    published_ms = {row.row: row.published_ms_per_batch for row in section}
    groups: dict[str, dict[str, list[RunRecord]]] = {}
    for record in section_runs(section, found):
        if record.finished and record.speed["ms_per_update"] > 0:
            groups.setdefault(machine(record), {}).setdefault(record.row, []).append(record)
    return {
        name: [_timing(seeds, names[row], published_ms[row]) for row, seeds in rows.items()]
        for name, rows in sorted(groups.items())
    }


def _timing(seeds: Sequence[RunRecord], label: str, published_ms: float | None) -> Timing:
    times = [record.speed["ms_per_update"] for record in seeds]
    return Timing(
        row=seeds[0].row,
        label=label,
        published_ms=published_ms,
        ms=summarise(times),
        low=min(times),
        high=max(times),
        tokens_per_second=summarise([record.speed["tokens_per_second"] for record in seeds]),
        memory=summarise([record.peak_memory_mib for record in seeds]),
    )


def grid(table: str, rows: Sequence[Timing]) -> Grid:
    """Times of the rows of a section on one machine, as ratios to its first, beside the paper's."""
    reference = next((row for row in rows if row.published_ms), rows[0])
    times = statistics([row.ms for row in rows])
    lines = []
    for row, time in zip(rows, times, strict=True):
        cells = [row.label, str(row.ms.n), time, ratio(row.ms.mean, reference.ms.mean)]
        if reference.published_ms:
            cells += [
                number(row.published_ms, 0),
                ratio(row.published_ms, reference.published_ms),
            ]
        lines.append([*cells, f"{row.tokens_per_second.mean:,.0f}", f"{row.memory.mean:,.0f}"])
    papers = ["ms\npaper", "ratio\npaper"] if reference.published_ms else []
    header = ["row", "n", "ms per\nupdate", "ratio\nours", *papers, "tokens/s", "peak MiB"]
    notes = [
        *interval_notes(row.ms for row in rows),
        f"ratio: to {reference.label}.",
        *machine_notes(table, [row.row for row in rows]),
    ]
    return Grid("Milliseconds per update", header, lines, notes)


def speed_figure(rows: Sequence[Timing]) -> "Figure":
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
            axes.annotate(
                f"{row.ms.mean:,.0f}",
                (row.high, y),
                xytext=(5, 0),
                textcoords="offset points",
                verticalalignment="center",
            )
        axes.set_yticks(at, [row.label for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.15 * max(row.high for row in rows))
        axes.set_xlabel("ms per update")
        axes.tick_params(axis="y", length=0)
        rule(axes, "x")
    return figure
