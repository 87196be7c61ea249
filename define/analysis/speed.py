"""How fast the runs were, machine by machine."""

from dataclasses import dataclass

from define.analysis.compare import Section, by_row
from define.analysis.stats import Statistic, summarise
from define.runs.records import RunRecord


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


def timings(section: Section) -> dict[str, list[Timing]]:
    """Machine (device and threads) -> the timed rows of a section on it, in the table's order."""
    published_ms = {row.row: row.published_ms_per_batch for row in section.rows}
    machines: dict[str, list[RunRecord]] = {}
    for record in section.finished:
        if record.speed["ms_per_update"] > 0:
            device, threads = (record.provenance[name] for name in ("device", "threads"))
            machine = f"{device}, {threads} thread{'' if threads == 1 else 's'}"
            machines.setdefault(machine, []).append(record)
    return {
        machine: [
            _timing(seeds, section.labels[row], published_ms[row])
            for row, seeds in by_row(runs).items()
        ]
        for machine, runs in sorted(machines.items())
    }


def _timing(seeds: list[RunRecord], label: str, published_ms: float | None) -> Timing:
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
