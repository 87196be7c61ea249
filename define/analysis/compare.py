"""Our runs compared with the paper's rows, as numbers.

Rows are compared within a `Section`: one table at one scale on one corpus. Numbers of two sections
are never averaged and never share a column.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from define.analysis import published
from define.analysis.published import PublishedRow
from define.analysis.stats import Statistic, summarise
from define.errors import InputError
from define.runs.recipe import between_seeds
from define.runs.records import RunRecord

SCALES = {
    "paper": "the published recipe",
    "mini": "the same comparison on real data, minutes for each row on two CPU cores",
    "smoke": "seconds; shows that everything works, its numbers mean nothing",
}
"""Scale -> what it is."""
METRICS = ("valid_ppl", "test_ppl", "newstest2014_bleu", "newstest2017_bleu")
"""Every metric of the paper's tables, in the order of columns; BLEU on other sets follows."""


@dataclass(frozen=True)
class ComparisonRow:
    """One row of a table in one section.

    Attributes:
        kind: "paper" for a row of the paper, "control" for one that only we have.
        status: "finished" (every seed), "partial" (some seeds, or an interrupted run), "running",
            "failed" or "not run".
        seeds: the finished seeds, which `ours` and the speed are computed from.
        unfinished: seed -> status of the other seeds.
        published, published_parameters: the numbers that the paper prints.
        ours: metric -> mean, deviation, count and interval over the finished seeds.
        parameters: part -> count of our model, None if not run.
        comparable: whether scale and corpus are the paper's, so that a difference means something.
        protocol: the evaluation protocol behind `ours`, or the translation where the table's metric
            is BLEU; None where the records name none.
        published_ms_per_batch: the paper's time of an update, on the authors' hardware.
        ms_per_update, tokens_per_second, peak_memory_mib: over the finished seeds, or None.
        cited: whether the paper cites the row from others; we have no config of it.
        baseline: the row that effects are differences from, if the table has one for this row.
        effect, published_effect: metric -> the row's number less its baseline's, ours and the
            paper's, where both rows have one.
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
        papers = self.published
        return {m: own.mean - papers[m] for m, own in self.ours.items() if m in papers}

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON values, each statistic with its 95 % interval."""
        timed = ("ms_per_update", "tokens_per_second", "peak_memory_mib")
        return {
            **asdict(self),
            "ours": {metric: statistic.to_json() for metric, statistic in self.ours.items()},
            **{name: found.to_json() for name in timed if (found := getattr(self, name))},
            "difference": self.difference,
        }


@dataclass(frozen=True)
class Section:
    """A table at one scale on one corpus.

    Attributes:
        rows: every row of the paper's table, then our controls.
        runs: the runs behind them, in the order of the rows, then by seed.
    """

    table: str
    scale: str
    data: str
    rows: Sequence[ComparisonRow]
    runs: Sequence[RunRecord]

    @property
    def key(self) -> tuple[str, str, str]:
        """Table, scale and corpus."""
        return self.table, self.scale, self.data

    @property
    def title(self) -> str:
        """What the section is called."""
        return f"Table {self.table}, {self.place}"

    @property
    def place(self) -> str:
        """Scale and corpus, in words."""
        return f"scale {self.scale}, data {self.data}"

    @property
    def comparable(self) -> bool:
        """As for its rows."""
        return self.rows[0].comparable

    @cached_property
    def labels(self) -> dict[str, str]:
        """Row -> the name of our run of it, controls marked."""
        names = published.our_labels(self.table)
        return {row.row: label(names.get(row.row, row.label), row.kind) for row in self.rows}

    @property
    def metrics(self) -> list[str]:
        """What is compared: the paper's metrics, then those on further sets of our corpus."""
        suffix = f"_{published.metric(self.table)}"
        found = [metric for row in self.rows for metric in (*row.published, *row.ours)]
        known = [metric for metric in METRICS if metric in found]
        return [m for m in dict.fromkeys([*known, *found]) if m.endswith(suffix)]

    @property
    def finished(self) -> list[RunRecord]:
        """The runs that have finished."""
        return [record for record in self.runs if record.finished]


def label(text: str, kind: str) -> str:
    """The name of a row, marked if it is a control."""
    return f"{text} (control)" if kind == "control" else text


def of_table(table: str, records: Sequence[RunRecord]) -> list[RunRecord]:
    """The table's records, and those of other tables that one of its rows shows as its own.

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


def headline_metric(table: str) -> str:
    """What the paper measured on the table's test set. Raises InputError for an unknown table."""
    printed = {metric for row in published.table(table) for metric in row.metrics}
    return [metric for metric in METRICS if metric in printed][-1]


def compare(
    table: str, records: Sequence[RunRecord], scales: Sequence[str] | None = None
) -> list[Section]:
    """The sections of a table: those with runs, and every scale that is asked for.

    Args:
        records: of any tables.
        scales: only these scales; by default all that have runs, or "paper" if there are none.
    Raises:
        InputError: an unknown table, a scale that neither exists nor has runs, or seeds of one row
            with different settings, corpora, parameter counts, evaluation protocols or
            translations.
    """
    records, paper_data = of_table(table, records), published.data(table)
    found = {(record.scale, record.data) for record in records}
    with_runs = {scale for scale, _ in found}
    known = [*SCALES, *sorted(with_runs - SCALES.keys())]
    sections = []
    for scale in dict.fromkeys(scales or sorted(with_runs, key=known.index) or ["paper"]):
        if scale not in known:
            raise InputError(f"scale {scale!r} does not exist; choose one of {', '.join(known)}")
        corpora = {data for other, data in found if other == scale} or {paper_data}
        for data in sorted(corpora, key=lambda d: (d != paper_data, d)):
            runs = [r for r in records if (r.scale, r.data) == (scale, data)]
            sections.append(_section(table, scale, data, runs))
    return sections


def _section(table: str, scale: str, data: str, runs: Sequence[RunRecord]) -> Section:
    entries = {row.row: (row, "paper") for row in published.table(table)}
    groups = by_row(sorted(runs, key=lambda record: record.seed))
    for row in sorted(groups.keys() - entries.keys()):
        control = PublishedRow(table, row, row, {}, {}, {}, baseline=published.baseline(table))
        entries[row] = (control, "control")
    rows = {
        slug: _row(row, kind, scale, data, groups.get(slug, []))
        for slug, (row, kind) in entries.items()
    }
    with_effects = [_with_effects(row, rows.get(row.baseline)) for row in rows.values()]
    return Section(
        table, scale, data, with_effects, [run for row in rows for run in groups.get(row, ())]
    )


def _row(
    row: PublishedRow, kind: str, scale: str, data: str, runs: Sequence[RunRecord]
) -> ComparisonRow:
    finished = [record for record in runs if record.finished]
    counted = finished or runs
    _require_equal_configs(finished)
    _require_equal(counted, "parameter counts", lambda r: r.parameters)
    _require_equal(finished, "corpora", lambda r: r.provenance["data"]["sha256"])
    _require_equal(finished, "evaluation protocols", lambda r: settings(r.protocols))
    _require_equal(finished, "translations", lambda r: settings(r.translations))
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
        comparable=scale == "paper" and data == published.data(row.table),
        protocol=next((r.translation if translated else r.headline for r in finished), None),
        published_ms_per_batch=row.raw.get("ms_per_batch"),
        ms_per_update=summarise([r.speed["ms_per_update"] for r in finished]),
        tokens_per_second=summarise([r.speed["tokens_per_second"] for r in finished]),
        peak_memory_mib=summarise([r.peak_memory_mib for r in finished]),
        cited=row.cited,
        baseline=row.baseline,
    )


def _with_effects(row: ComparisonRow, baseline: ComparisonRow | None) -> ComparisonRow:
    if baseline is None:
        return row
    ours, papers = baseline.ours, baseline.published
    return replace(
        row,
        effect={m: own.mean - ours[m].mean for m, own in row.ours.items() if m in ours},
        published_effect={m: own - papers[m] for m, own in row.published.items() if m in papers},
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
