"""The view model of all reports: what is shown of a table, section by section, in every format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from define.report import details, tables
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


@dataclass(frozen=True)
class Section:
    """A table at one scale on one corpus; its numbers have columns of their own.

    Attributes:
        runs: the records of the section, in the order of its rows, then by seed.
        place, reports: as in `table_view`.
        answers: those of the section to the paper's claims.
    """

    rows: Sequence[ComparisonRow]
    runs: Sequence[RunRecord]
    answers: Sequence[Answer] = ()
    place: Path | None = None
    reports: Sequence[Path] = ()

    @property
    def first(self) -> ComparisonRow:
        """A row that stands for the section."""
        return self.rows[0]

    @property
    def title(self) -> str:
        """Table, scale and corpus."""
        return title(self.first)

    @property
    def anchor(self) -> str:
        """The identifier of the section on a page."""
        return anchor(self.first.table, self.first.scale, self.first.data)

    @property
    def meaning(self) -> str:
        """What the scale is."""
        return SCALES.get(self.first.scale, "a scale of its own")

    @property
    def report(self) -> str | None:
        """The way from the page to the section's own report; None if there is none."""
        inside = Path(f"table_{self.first.table}")
        found = (
            folder / name / "README.md"
            for folder in self.reports
            for name in (inside / self.first.scale / self.first.data, inside)
        )
        readme = next(filter(Path.is_file, found), None)
        return tables.link(readme, self.place) if readme and self.runs else None

    @property
    def finished_runs(self) -> int:
        """How many runs have finished."""
        return sum(record.finished for record in self.runs)

    @property
    def finished_rows(self) -> int:
        """How many rows have a finished run."""
        return sum(bool(row.seeds) for row in self.rows)

    @property
    def facts(self) -> list[str]:
        """Seeds, corpus, device, versions and commits; nothing without runs."""
        if not self.runs:
            return []
        seeds: dict[str, list[str]] = {}
        for record in self.runs:
            seeds.setdefault(record.row, []).append(str(record.seed))
        told = "; ".join(f"`{row}` {', '.join(of)}" for row, of in seeds.items())
        sizes = distinct(corpus_text(record.provenance["data"]) for record in self.runs)
        origin = environment([record.provenance for record in self.runs])
        return [f"seeds: {told}", f"corpus: {sizes}", *origin.facts()]

    @property
    def results(self) -> Grid:
        """The paper's numbers and ours."""
        return tables.results(self.rows)

    @property
    def parameters(self) -> Grid | None:
        """Parameters of our models, by part."""
        return tables.parameters(self.rows)

    @property
    def claims(self) -> Grid | None:
        """The differences behind the answers to the paper's claims."""
        return tables.claim_grid(self.answers) if self.answers else None

    @property
    def differences(self) -> Grid | None:
        """The paired differences."""
        return tables.paired(self.rows, self.runs)

    @property
    def translations(self) -> dict[str, Any] | None:
        """As `details.translations`."""
        return details.translations(self.rows, self.runs)

    @property
    def protocols(self) -> tuple[Grid, list[str]] | None:
        """As `details.protocols`."""
        return details.protocols(self.rows, self.runs)

    @property
    def timings(self) -> dict[str, list[Timing]]:
        """Machine -> the timed rows."""
        return timings(self.rows, self.runs)

    @property
    def speed(self) -> list[Grid]:
        """The times, one grid per machine."""
        return [details.speed(self.first.table, m, rows) for m, rows in self.timings.items()]

    @property
    def compared_speed(self) -> list[Grid]:
        """The times on machines where a row of the paper has one too."""
        timed = [any(row.published_ms for row in rows) for rows in self.timings.values()]
        return [grid for grid, compared in zip(self.speed, timed, strict=True) if compared]

    @property
    def listed(self) -> Grid | None:
        """The runs, one by one."""
        return tables.runs(self.rows, self.runs, self.place)


@dataclass(frozen=True)
class TableView:
    """A table of the paper with everything that is recorded of it."""

    name: str
    sections: Sequence[Section]
    runs: Sequence[RunRecord]
    every_record: Sequence[RunRecord]
    extras: Extras = field(default_factory=Extras)

    @property
    def anchor(self) -> str:
        """The identifier of the table on a page."""
        return anchor(self.name)

    @property
    def caption(self) -> str:
        """What the table shows."""
        return published.caption(self.name)

    @property
    def rule(self) -> str:
        """How to read the paired differences."""
        return tables.paired_rule(self.name)

    @property
    def caveats(self) -> list[str]:
        """What qualifies the paper's own answers."""
        return published.caveats([self.name])

    @property
    def contradictions(self) -> list[str]:
        """Where the paper's counts disagree."""
        return published.contradictions(self.name)

    @property
    def sizes(self) -> Grid | None:
        """The paper's counts and those of our models at the paper's size."""
        return tables.sizes(self.name, self.runs, self.extras.steps)

    @property
    def steps(self) -> list[tuple[str, Grid, Environment]]:
        """For each device: what was timed, the times, and where."""
        return [
            (details.steps_made_on(here), details.steps(here), _origin(here))
            for here in details.by_device(self.extras.steps).values()
        ]

    @property
    def evaluations(self) -> tuple[Grid, list[str]] | None:
        """Further evaluations, and the settings of each."""
        found = self.extras.evaluations
        if not found:
            return None
        models: dict[str, dict[str, None]] = {}
        for one in found:
            models.setdefault(one.settings, {})[details.evaluated(one)] = None
        told = [f"{', '.join(names)}: {text}." for text, names in models.items()]
        return details.evaluations(found, self.every_record), told

    @property
    def tests(self) -> list[tuple[Grid, list[str]]]:
        """Paired bootstrap tests, and the signatures of each."""
        names = self.labels
        return [
            (
                details.significance(test, self.runs, names),
                [f"{TRANSLATED[m]}: `{text}`" for m, text in test.signatures.items()],
            )
            for test in self.extras.tests
        ]

    @property
    def search(self) -> Grid | None:
        """The settings that a hyper-parameter search tried."""
        trials = self.extras.trials
        return details.search(trials, self.labels) if trials else None

    @property
    def labels(self) -> Mapping[str, str]:
        """Row -> the name of our run of it, controls marked."""
        return labels(row for section in self.sections for row in section.rows)

    @property
    def commands(self) -> list[str]:
        """The commands that repeat the runs."""
        commands = [r.provenance["command"] for s in self.sections for r in s.runs]
        return list(dict.fromkeys(commands))


def _origin(steps: Sequence[StepRecord]) -> Environment:
    return environment([step.provenance for step in steps])


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
    runs = of_table(table, records)
    sections = []
    for rows in by_section(compare(table, records, scales)):
        key = (table, rows[0].scale, rows[0].data)
        own = [a for a in answers if (a.table, a.scale, a.data) == key]
        sections.append(Section(rows, section_runs(rows, runs), own, place, reports))
    return TableView(table, sections, runs, records, extras)
