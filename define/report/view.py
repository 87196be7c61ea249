"""The view model of all reports: what is shown of a table, section by section, in every format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from define.analysis import published
from define.analysis.claims import Answer
from define.analysis.compare import (
    ComparisonRow,
    by_section,
    compare,
    labels,
    of_table,
    section_runs,
    title,
)
from define.analysis.environment import Environment, corpus_text, distinct, environment
from define.analysis.evaluations import Evaluation
from define.analysis.search import SearchTrial
from define.analysis.significance import Significance
from define.analysis.speed import Timing, timings
from define.analysis.steps import StepRecord
from define.report import details, tables, translations
from define.report.answers import claim_grid
from define.report.grid import Grid
from define.runs.records import RunRecord
from define.runs.schema import TRANSLATED

SCALES = {
    "paper": "the published recipe",
    "mini": "the same comparison on real data, minutes for each row on two CPU cores",
    "smoke": "seconds; shows that everything works, its numbers mean nothing",
}
"""Scale -> what it is."""


@dataclass(frozen=True)
class Extras:
    """What is recorded of a table besides its runs."""

    steps: Sequence[StepRecord] = ()
    evaluations: Sequence[Evaluation] = ()
    tests: Sequence[Significance] = ()
    trials: Sequence[SearchTrial] = ()


@dataclass(frozen=True, kw_only=True)
class Section:
    """A table at one scale on one corpus; its numbers have columns of their own.

    Attributes:
        first: a row that stands for the section: its table, scale and corpus.
        report: the way from the page to the section's own report; None if there is none.
        facts: seeds, corpus, device, versions and commits.
        timings, speed: machine -> the timed rows, and their grid.
        compared_speed: the grids with times of the paper's too.
    """

    title: str
    anchor: str
    meaning: str
    first: ComparisonRow
    rows: Sequence[ComparisonRow]
    runs: Sequence[RunRecord]
    report: str | None
    facts: Sequence[str]
    results: Grid
    parameters: Grid | None
    claims: Grid | None
    differences: Grid | None
    translations: Mapping[str, Any] | None
    protocols: tuple[Grid, Sequence[str]] | None
    timings: Mapping[str, Sequence[Timing]]
    speed: Mapping[str, Grid]
    compared_speed: Sequence[Grid]
    listed: Grid | None


@dataclass(frozen=True, kw_only=True)
class TableView:
    """A table of the paper with everything that is recorded of it.

    Attributes:
        rule: how to read the paired differences.
        steps: for each device: what was timed, the times, and where.
        evaluations, tests: grids with lines on settings and signatures.
        commands: those that repeat the runs.
    """

    name: str
    anchor: str
    caption: str
    rule: str
    caveats: Sequence[str]
    contradictions: Sequence[str]
    sections: Sequence[Section]
    sizes: Grid | None
    steps: Sequence[tuple[str, Grid, Environment]]
    evaluations: tuple[Grid, Sequence[str]] | None
    tests: Sequence[tuple[Grid, Sequence[str]]]
    search: Grid | None
    commands: Sequence[str]


def anchor(*parts: str) -> str:
    """The identifier of a table on a page, or with scale and corpus of one of its sections."""
    return "-".join(("table", *parts))


def table_view(
    table: str,
    records: Sequence[RunRecord],
    scales: Sequence[str] | None,
    answers: Sequence[Answer],
    extras: Extras,
    place: Path | None = None,
    reports: Sequence[Path] = (),
) -> TableView:
    """A table of the paper with its sections.

    Args:
        records: of all tables.
        scales: only these scales, as in `compare`.
        answers: to the paper's claims, of all tables.
        place: a folder from which links lead to the records; no links without it.
        reports: folders that may hold reports: table_T/SCALE/DATA/README.md or table_T/README.md.
    Raises:
        InputError: as `compare`.
    """
    found = of_table(table, records)
    sections = []
    for rows in by_section(compare(table, records, scales)):
        own = [a for a in answers if (a.table, a.scale, a.data) == (table, *_key(rows))]
        sections.append(_section(rows, section_runs(rows, found), own, place, reports))
    shown = [record for section in sections for record in section.runs]
    names = labels(row for section in sections for row in section.rows)
    further = extras.evaluations
    return TableView(
        name=table,
        anchor=anchor(table),
        caption=published.caption(table),
        rule=tables.paired_rule(table),
        caveats=published.caveats([table]),
        contradictions=published.contradictions(table),
        sections=sections,
        sizes=tables.sizes(table, found, extras.steps),
        steps=[
            (
                details.steps_made_on(here),
                details.steps(here),
                environment([step.provenance for step in here]),
            )
            for here in details.by_device(extras.steps).values()
        ],
        evaluations=(details.evaluations(further, records), details.evaluation_settings(further))
        if further
        else None,
        tests=[
            (
                translations.significance(test, found, names),
                [f"{TRANSLATED[m]}: `{text}`" for m, text in test.signatures.items()],
            )
            for test in extras.tests
        ],
        search=details.search(extras.trials, names) if extras.trials else None,
        commands=list(dict.fromkeys(record.provenance["command"] for record in shown)),
    )


def _key(rows: Sequence[ComparisonRow]) -> tuple[str, str]:
    return rows[0].scale, rows[0].data


def _section(
    rows: Sequence[ComparisonRow],
    runs: Sequence[RunRecord],
    answers: Sequence[Answer],
    place: Path | None,
    reports: Sequence[Path],
) -> Section:
    first, timed = rows[0], timings(rows, runs)
    readmes = (
        folder / inside / "README.md"
        for folder in reports
        for inside in (Path(f"table_{first.table}", *_key(rows)), Path(f"table_{first.table}"))
    )
    readme = next(filter(Path.is_file, readmes), None) if runs else None
    speed = {machine: details.speed(first.table, machine, t) for machine, t in timed.items()}
    return Section(
        title=title(first),
        anchor=anchor(first.table, *_key(rows)),
        meaning=SCALES.get(first.scale, "a scale of its own"),
        first=first,
        rows=rows,
        runs=runs,
        report=tables.link(readme, place) if readme else None,
        facts=_facts(runs) if runs else [],
        results=tables.results(rows),
        parameters=tables.parameters(rows),
        claims=claim_grid(answers) if answers else None,
        differences=tables.paired(rows, runs),
        translations=translations.translations(rows, runs),
        protocols=details.protocols(rows, runs),
        timings=timed,
        speed=speed,
        compared_speed=[speed[m] for m, t in timed.items() if any(row.published_ms for row in t)],
        listed=tables.runs(rows, runs, place),
    )


def _facts(runs: Sequence[RunRecord]) -> list[str]:
    seeds: dict[str, list[str]] = {}
    for record in runs:
        seeds.setdefault(record.row, []).append(str(record.seed))
    origins = [record.provenance for record in runs]
    return [
        "seeds: " + "; ".join(f"`{row}` {', '.join(of)}" for row, of in seeds.items()),
        f"corpus: {distinct(corpus_text(origin['data']) for origin in origins)}",
        *environment(origins).facts(),
    ]
