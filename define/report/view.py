"""The view model of reports and page: what is shown of a table, section by section."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from define.analysis import published
from define.analysis.claims import Answer
from define.analysis.compare import SCALES, Section, compare, of_table
from define.analysis.environment import Environment, corpus_text, distinct, environment
from define.analysis.extras import Extras
from define.analysis.speed import Timing, timings
from define.report import claims, details, scores, tables
from define.report.grid import Grid
from define.runs.records import RunRecord
from define.runs.schema import TRANSLATED


@dataclass(frozen=True, kw_only=True)
class SectionView:
    """A section; None stands for what it does not have.

    Attributes:
        report: the address of the section's own report.
        facts: seeds, corpus, device, versions and commits.
        speed: for each machine: its grid, the timed rows, and whether the paper has times of them.
    """

    section: Section
    anchor: str
    meaning: str
    report: str | None
    facts: Sequence[str]
    results: Grid
    parameters: Grid | None
    claims: Grid | None
    differences: Grid | None
    translations: Mapping[str, Any] | None
    protocols: tuple[Grid, Sequence[str]] | None
    speed: Sequence[tuple[Grid, Sequence[Timing], bool]]
    listed: Grid | None

    @property
    def compared_speed(self) -> list[Grid]:
        """The grids that have times of the paper's too."""
        return [grid for grid, _, compared in self.speed if compared]


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
    sections: Sequence[SectionView]
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
    found, sections = of_table(table, records), compare(table, records, scales)
    names = {row: name for section in sections for row, name in section.labels.items()}
    commands = [run.provenance["command"] for section in sections for run in section.runs]
    return TableView(
        name=table,
        anchor=anchor(table),
        caption=published.caption(table),
        rule=claims.paired_rule(table),
        caveats=published.caveats([table]),
        contradictions=published.contradictions(table),
        sections=[_section(section, answers, place, reports) for section in sections],
        sizes=tables.sizes(table, found, extras.steps),
        steps=[
            (
                details.steps_made_on(here),
                details.steps(here),
                environment([step.provenance for step in here]),
            )
            for here in details.by_device(extras.steps).values()
        ],
        evaluations=details.evaluations(extras.evaluations, records)
        if extras.evaluations
        else None,
        tests=[
            (
                scores.significance(test, found, names),
                [f"{TRANSLATED[m]}: `{text}`" for m, text in test.signatures.items()],
            )
            for test in extras.tests
        ],
        search=details.search(extras.trials, names) if extras.trials else None,
        commands=list(dict.fromkeys(commands)),
    )


def _section(
    section: Section, answers: Sequence[Answer], place: Path | None, reports: Sequence[Path]
) -> SectionView:
    table, scale, data = section.key
    readmes = (
        folder / inside / "README.md"
        for folder in reports
        for inside in (Path(f"table_{table}", scale, data), Path(f"table_{table}"))
    )
    readme = next(filter(Path.is_file, readmes), None) if section.runs else None
    own = [a for a in answers if (a.table, a.scale, a.data) == section.key]
    return SectionView(
        section=section,
        anchor=anchor(*section.key),
        meaning=SCALES.get(scale, "a scale of its own"),
        report=tables.link(readme, place) if readme else None,
        facts=_facts(section.runs) if section.runs else [],
        results=tables.results(section),
        parameters=tables.parameters(section),
        claims=claims.claim_grid(own) if own else None,
        differences=claims.paired(section),
        translations=scores.translations(section),
        protocols=scores.protocols(section),
        speed=[
            (details.speed(table, machine, rows), rows, any(row.published_ms for row in rows))
            for machine, rows in timings(section).items()
        ],
        listed=tables.runs(section, place),
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
