"""Our runs compared with the paper's rows, as numbers.

Rows are compared within a *section*: one scale on one corpus. Numbers of two sections are never
averaged and never stand in one column.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any

from define.analysis import published
from define.analysis.published import PublishedRow
from define.analysis.stats import Statistic, summarise
from define.errors import InputError
from define.runs.recipe import between_seeds
from define.runs.records import RunRecord

SCALES = ("paper", "mini", "smoke")
METRICS = ("valid_ppl", "test_ppl", "newstest2014_bleu", "newstest2017_bleu")
"""Every metric of the paper's tables, in the order of columns; BLEU on other sets follows."""


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
        ours: metric -> mean, deviation, count and interval over the finished seeds.
        parameters: part -> count of our model, None if not run.
        comparable: whether scale and corpus are the paper's, so that a difference means something.
        protocol: the evaluation protocol behind `ours`, or the translation where the table's metric
            is BLEU; None where the records name none.
        baseline: the row that effects are differences from, if the table has one for this row.
        effect, published_effect: metric -> the row's number less its baseline's, ours and the
            paper's, where both rows have one.
        cited: whether the paper cites the row from others; we have no config of it.
        published_ms_per_batch: the paper's time of an update, on the authors' hardware.
        ms_per_update, tokens_per_second, peak_memory_mib: over the finished seeds, or None.
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
    protocol: str | None
    published_ms_per_batch: float | None
    ms_per_update: Statistic | None
    tokens_per_second: Statistic | None
    peak_memory_mib: Statistic | None
    cited: bool = False
    baseline: str | None = None
    effect: Mapping[str, float] = field(default_factory=dict)
    published_effect: Mapping[str, float] = field(default_factory=dict)

    @property
    def difference(self) -> dict[str, float]:
        """metric -> our mean less the paper's number, where both exist."""
        return {
            metric: statistic.mean - self.published[metric]
            for metric, statistic in self.ours.items()
            if metric in self.published
        }

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON values, each statistic with its 95 % interval."""
        timed = ("ms_per_update", "tokens_per_second", "peak_memory_mib")
        return {
            **asdict(self),
            "ours": {metric: statistic.to_json() for metric, statistic in self.ours.items()},
            **{name: found.to_json() for name in timed if (found := getattr(self, name))},
            "difference": self.difference,
        }


def of_table(table: str, records: Sequence[RunRecord]) -> list[RunRecord]:
    """The table's records, with those of other tables that one of its rows shows as its own.

    Raises:
        InputError: an unknown table.
    """
    borrowed = {row.same_run: row.row for row in published.table(table) if row.same_run}
    found = []
    for record in records:
        if record.table == table:
            found.append(record)
        elif (row := borrowed.get((record.table, record.row))) is not None:
            found.append(replace(record, table=table, row=row))
    return found


def by_row(runs: Iterable[RunRecord]) -> dict[str, list[RunRecord]]:
    """Row -> its runs, both in the order of the runs."""
    groups: dict[str, list[RunRecord]] = {}
    for record in runs:
        groups.setdefault(record.row, []).append(record)
    return groups


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
    found = {(record.scale, record.data) for record in of_table(table, records)}
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
        InputError: an unknown table or scale, or seeds of one row with different settings,
            corpora, parameter counts, evaluation protocols or translations.
    """
    paper_rows, baseline = published.table(table), published.baseline(table)
    paper_slugs = {row.row for row in paper_rows}
    records, rows = of_table(table, records), []
    for scale, data in sections(table, records, scales):
        runs = by_row([r for r in records if (r.scale, r.data) == (scale, data)])
        controls = [
            PublishedRow(table, row, row, {}, {}, {}, baseline=baseline)
            for row in sorted(runs.keys() - paper_slugs)
        ]
        section = {}
        for row in [*paper_rows, *controls]:
            kind = "paper" if row.row in paper_slugs else "control"
            section[row.row] = _compare_row(row, kind, scale, data, runs.get(row.row, []))
        rows += [_with_effects(row, section.get(row.baseline)) for row in section.values()]
    return rows


def _with_effects(row: ComparisonRow, baseline: ComparisonRow | None) -> ComparisonRow:
    if baseline is None:
        return row
    ours, papers = baseline.ours, baseline.published
    return replace(
        row,
        effect={m: own.mean - ours[m].mean for m, own in row.ours.items() if m in ours},
        published_effect={m: own - papers[m] for m, own in row.published.items() if m in papers},
    )


def title(row: ComparisonRow) -> str:
    """The name of the section that the row belongs to."""
    return f"Table {row.table}, scale {row.scale}, data {row.data}"


def label(text: str, kind: str) -> str:
    """The name of a row, marked if it is a control."""
    return f"{text} (control)" if kind == "control" else text


def labels(rows: Iterable[ComparisonRow]) -> dict[str, str]:
    """Row -> the name of our run of it, controls marked."""
    return {
        row.row: label(published.our_labels(row.table).get(row.row, row.label), row.kind)
        for row in rows
    }


def by_section(rows: Iterable[ComparisonRow]) -> list[list[ComparisonRow]]:
    """The rows, section by section."""
    return [list(section) for _, section in groupby(rows, key=title)]


def metrics(section: Sequence[ComparisonRow]) -> list[str]:
    """What a section compares: the paper's metrics, then those on further sets of our corpus."""
    suffix = f"_{published.metric(section[0].table)}"
    found = dict.fromkeys(metric for row in section for metric in (*row.published, *row.ours))
    known = [metric for metric in METRICS if metric in found]
    return [m for m in dict.fromkeys([*known, *found]) if m.endswith(suffix)]


def headline_metric(table: str) -> str:
    """What the paper measured on the table's test set. Raises InputError for an unknown table."""
    printed = {metric for row in published.table(table) for metric in row.metrics}
    return [metric for metric in METRICS if metric in printed][-1]


def section_runs(section: Sequence[ComparisonRow], records: Iterable[RunRecord]) -> list[RunRecord]:
    """The table's records of a section, in the order of its rows, then by seed."""
    order = {row.row: index for index, row in enumerate(section)}
    key = (section[0].scale, section[0].data)
    runs = [record for record in records if (record.scale, record.data) == key]
    return sorted(runs, key=lambda record: (order[record.row], record.seed))


def _compare_row(
    row: PublishedRow, kind: str, scale: str, data: str, runs: Sequence[RunRecord]
) -> ComparisonRow:
    runs = sorted(runs, key=lambda record: record.seed)
    finished = [record for record in runs if record.finished]
    counted = finished or runs
    _require_equal_configs(finished)
    _require_equal(counted, "parameter counts", lambda record: record.parameters)
    _require_equal(finished, "corpora", lambda record: record.provenance["data"]["sha256"])
    _require_equal(finished, "evaluation protocols", lambda record: settings(record.protocols))
    _require_equal(finished, "translations", lambda record: settings(record.translations))
    measured = dict.fromkeys([*METRICS, *(metric for r in finished for metric in r.metrics)])
    translated = published.metric(row.table) == "bleu"
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
            for metric in measured
            if (values := [r.metrics[metric] for r in finished if metric in r.metrics])
        },
        parameters=counted[0].parameters if counted else None,
        cited=row.cited,
        baseline=row.baseline,
        comparable=scale == "paper" and data == published.data(row.table),
        protocol=next((r.translation if translated else r.headline for r in finished), None),
        published_ms_per_batch=row.raw.get("ms_per_batch"),
        ms_per_update=summarise([r.speed["ms_per_update"] for r in finished]),
        tokens_per_second=summarise([r.speed["tokens_per_second"] for r in finished]),
        peak_memory_mib=summarise([r.peak_memory_mib for r in finished]),
    )


def settings(named: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """(name, settings) of a record's protocols or translations, the headline first."""
    return [(name, way["settings"]) for name, way in named.items()]


def _require_equal(
    runs: Sequence[RunRecord], what: str, value: Callable[[RunRecord], object]
) -> None:
    for record in runs[1:]:
        if value(record) != value(runs[0]):
            raise InputError(
                f"{runs[0].path} and {record.path} are seeds of the same row with different "
                f"{what}; move one of them away"
            )


def _require_equal_configs(runs: Sequence[RunRecord]) -> None:
    for record in runs[1:]:
        if found := between_seeds(runs[0].config, record.config):
            raise InputError(
                f"{runs[0].path} and {record.path} are seeds of the same row with different "
                f"settings ({found[0].key} is {found[0].old} and {found[0].new}); move one of them "
                f"away"
            )


def _status(runs: Sequence[RunRecord]) -> str:
    statuses = {record.status for record in runs}
    if not statuses:
        return "not run"
    if len(statuses) == 1 and statuses <= {"finished", "running", "failed"}:
        return statuses.pop()
    if "running" in statuses and "finished" not in statuses:
        return "running"
    return "partial"
