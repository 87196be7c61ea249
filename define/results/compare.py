"""Our runs beside the paper's rows. Pure logic on records; nothing is read, printed or drawn.

Rows are compared within a *section*: one scale on one corpus. Numbers of two sections are never
averaged and never stand in one column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from define.errors import InputError
from define.results import published
from define.results.published import PublishedRow
from define.results.records import RunRecord
from define.results.stats import Statistic, interval95, summarise

SCALES = ("paper", "mini", "smoke")
METRICS = ("valid_ppl", "test_ppl", "newstest2014_bleu", "newstest2017_bleu")
"""Every metric of the paper's tables, in the order of columns."""


@dataclass(frozen=True)
class ComparisonRow:
    """One row of a table in one section.

    Attributes:
        kind: "paper" for a row of the paper, "control" for one that only we have.
        scale, data: the section.
        status: "finished" (every seed), "partial" (some seeds, or an interrupted run), "running",
            "failed" or "not run".
        seeds: the finished seeds; `ours` and the speed rest on exactly these.
        unfinished: seed -> status of the other ones.
        published, published_parameters: the paper's numbers, without those it does not print.
        ours: metric -> mean, deviation and count over the finished seeds.
        parameters: part -> count of our model, None if not run.
        comparable: whether scale and corpus are the paper's, so that a difference means something.
        tokens_per_second, peak_memory_mib: over the finished seeds, None without any.
    """

    table: str
    row: str
    label: str
    kind: str
    scale: str
    data: str
    status: str
    seeds: tuple[int, ...]
    unfinished: Mapping[int, str]
    published: Mapping[str, float]
    published_parameters: Mapping[str, int]
    ours: Mapping[str, Statistic]
    parameters: Mapping[str, int] | None
    comparable: bool
    tokens_per_second: Statistic | None
    peak_memory_mib: Statistic | None

    @property
    def difference(self) -> dict[str, float]:
        """metric -> our mean less the paper's number, where both exist."""
        return {
            metric: statistic.mean - self.published[metric]
            for metric, statistic in self.ours.items()
            if metric in self.published
        }

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON values."""
        return {**asdict(self), "difference": self.difference}


@dataclass(frozen=True)
class PairedDifference:
    """Mean of `row_a` less `row_b` over the seeds that both finished.

    Attributes:
        mean, std, n: as in `Statistic`; mean and std are None if no seed is shared.
        interval95: Student's t interval of the mean, None for fewer than two shared seeds.
    """

    row_a: str
    row_b: str
    scale: str
    metric: str
    seeds: tuple[int, ...]
    mean: float | None
    std: float | None
    n: int
    interval95: tuple[float, float] | None


def sections(
    table: str, records: Sequence[RunRecord], scales: Sequence[str] | None = None
) -> list[tuple[str, str]]:
    """The (scale, corpus) pairs to show: those with runs, and every scale asked for.

    Args:
        scales: only these scales; by default all that have runs, or "paper" if there are none.
    Raises:
        InputError: an unknown table, or a scale that neither exists nor has runs.
    """
    paper_data = published.data(table)
    found = {(record.scale, record.data) for record in records if record.table == table}
    run_scales = {scale for scale, _ in found}
    known = [*SCALES, *sorted(run_scales - set(SCALES))]
    wanted = scales or sorted(run_scales, key=known.index) or ["paper"]
    for scale in wanted:
        if scale not in known:
            raise InputError(f"scale {scale!r} does not exist; choose one of {', '.join(known)}")
    result = []
    for scale in dict.fromkeys(wanted):
        corpora = {data for section_scale, data in found if section_scale == scale} or {paper_data}
        result += [(scale, data) for data in sorted(corpora, key=lambda d: (d != paper_data, d))]
    return result


def compare(
    table: str, records: Sequence[RunRecord], scales: Sequence[str] | None = None
) -> list[ComparisonRow]:
    """Every row of the paper's table, then our control rows, section by section.

    Raises:
        InputError: an unknown table or scale, or seeds of one row with different parameter counts.
    """
    paper_rows = published.table(table)
    paper_slugs = {row.row for row in paper_rows}
    rows = []
    for scale, data in sections(table, records, scales):
        runs: dict[str, list[RunRecord]] = {}
        for record in records:
            if (record.table, record.scale, record.data) == (table, scale, data):
                runs.setdefault(record.row, []).append(record)
        controls = [
            PublishedRow(table, row, row, {}, {}, {}) for row in sorted(runs.keys() - paper_slugs)
        ]
        for row in [*paper_rows, *controls]:
            kind = "paper" if row.row in paper_slugs else "control"
            rows.append(_compare_row(row, kind, scale, data, runs.get(row.row, [])))
    return rows


def _compare_row(
    row: PublishedRow, kind: str, scale: str, data: str, runs: Sequence[RunRecord]
) -> ComparisonRow:
    runs = sorted(runs, key=lambda record: record.seed)
    finished = [record for record in runs if record.finished]
    counted = finished or runs
    for record in counted[1:]:
        if record.parameters != counted[0].parameters:
            raise InputError(
                f"{counted[0].path} and {record.path} are seeds of the same row with different "
                "parameter counts; move the run of the other model away"
            )
    return ComparisonRow(
        table=row.table,
        row=row.row,
        label=row.label,
        kind=kind,
        scale=scale,
        data=data,
        status=_status(runs),
        seeds=tuple(record.seed for record in finished),
        unfinished={record.seed: record.status for record in runs if not record.finished},
        published=row.metrics,
        published_parameters=row.parameters,
        ours={
            metric: summarise(values)
            for metric in METRICS
            if (values := [r.metrics[metric] for r in finished if metric in r.metrics])
        },
        parameters=counted[0].parameters if counted else None,
        comparable=scale == "paper" and data == published.data(row.table),
        tokens_per_second=_summary([r.speed["tokens_per_second"] for r in finished]),
        peak_memory_mib=_summary([r.peak_memory_mib for r in finished]),
    )


def _summary(values: Sequence[float]) -> Statistic | None:
    return summarise(values) if values else None


def _status(runs: Sequence[RunRecord]) -> str:
    statuses = {record.status for record in runs}
    if not statuses:
        return "not run"
    if len(statuses) == 1 and statuses <= {"finished", "running", "failed"}:
        return statuses.pop()
    if "running" in statuses and "finished" not in statuses:
        return "running"
    return "partial"


def paired_difference(
    records: Sequence[RunRecord], row_a: str, row_b: str, scale: str, metric: str
) -> PairedDifference:
    """How much `row_a` exceeds `row_b` in `metric`, seed by seed.

    Args:
        records: of one table and one corpus.
    Raises:
        InputError: a row has two runs of the same seed, from different tables or corpora.
    """
    by_row: dict[str, dict[int, float]] = {row_a: {}, row_b: {}}
    for record in records:
        if record.scale != scale or record.row not in by_row or metric not in record.metrics:
            continue
        values = by_row[record.row]
        if record.seed in values:
            raise InputError(
                f"row {record.row!r} has two runs of seed {record.seed} at scale {scale}; pair the "
                "records of one table and one corpus at a time"
            )
        values[record.seed] = record.metrics[metric]
    seeds = tuple(sorted(by_row[row_a].keys() & by_row[row_b].keys()))
    differences = [by_row[row_a][seed] - by_row[row_b][seed] for seed in seeds]
    statistic = _summary(differences)
    return PairedDifference(
        row_a=row_a,
        row_b=row_b,
        scale=scale,
        metric=metric,
        seeds=seeds,
        mean=statistic.mean if statistic else None,
        std=statistic.std if statistic else None,
        n=len(seeds),
        interval95=interval95(statistic) if statistic else None,
    )
