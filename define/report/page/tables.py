"""The tables of the page: their sections, sizes, steps, and the list of their runs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from define.analysis import evaluations, pairs, published, steps
from define.analysis.compare import ComparisonRow, by_section, compare, of_table, section_runs
from define.analysis.evaluations import Evaluation
from define.analysis.steps import StepRecord
from define.report import chapters, origins, render
from define.report.grid import Grid
from define.report.page import anchor, markup
from define.report.page.pictures import Picture, Speed, pictures, speeds
from define.report.render import ABSENT, number
from define.runs.records import RunRecord
from define.runs.schema import PARTS

SCALES = {
    "paper": "the published recipe",
    "mini": "the same comparison on real data, minutes for each row on two CPU cores",
    "smoke": "seconds; shows that everything works, its numbers mean nothing",
}
"""Scale -> what it is."""


@dataclass(frozen=True)
class Run:
    """One line of the list of runs; `link` leads from the page to the record."""

    label: str
    seed: int
    status: str
    scores: Sequence[str]
    minutes: str
    commit: str
    link: str


@dataclass(frozen=True)
class Section:
    """A table at one scale on one corpus; its numbers stand in columns of their own.

    Attributes:
        rows_finished, rows: how many rows of it have a finished run, and how many it has.
        runs_finished, runs: the same of runs.
        metrics: headings of the scores in `listed`.
    """

    anchor: str
    scale: str
    data: str
    meaning: str
    comparable: bool
    rows_finished: int
    rows: int
    runs_finished: int
    runs: int
    results: str
    pictures: Sequence[Picture]
    pairs: str | None
    parameters: str | None
    evaluations: str | None
    metrics: Sequence[str]
    listed: Sequence[Run]


@dataclass(frozen=True)
class Steps:
    """Updates at the paper's size on one device."""

    made_on: str
    grid: str


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        report: the way from the page to the table's own report; None where there is none.
        pair_rule, steps_rule: how to read the differences and the steps.
        sizes: parameters at the paper's size; None where no model of that size was built.
    """

    name: str
    anchor: str
    caption: str
    data: str
    report: str | None
    sections: Sequence[Section]
    pair_rule: str
    sizes: str | None
    contradictions: Sequence[str]
    steps_rule: str
    steps: Sequence[Steps]
    speed: Sequence[Speed]


def table(
    name: str,
    found: Sequence[RunRecord],
    scales: Sequence[str] | None,
    table_steps: Sequence[StepRecord],
    further: Sequence[Evaluation],
    places: Sequence[Path],
    place: Path,
) -> Table:
    """A table of the paper with everything that is recorded of it.

    Args:
        found: records of all tables.
        scales: only these scales, as in `compare`.
        table_steps, further: those of this table.
        places: folders in which the table's own report may lie.
        place: the page's folder.
    """
    runs = of_table(name, found)
    sections = by_section(compare(name, found, scales))
    readme = next((p for f in places if (p := f / f"table_{name}" / "README.md").is_file()), None)
    return Table(
        name=name,
        anchor=anchor(name),
        caption=published.caption(name),
        data=published.data(name),
        report=_link(readme, place) if readme else None,
        sections=[
            _section(section, section_runs(section, runs), found, further, place)
            for section in sections
        ],
        pair_rule=pairs.explanation(name),
        sizes=_sizes(name, runs, table_steps),
        contradictions=published.contradictions(name),
        steps_rule=steps.EXPLANATION,
        steps=[
            Steps(steps.made_on(here), markup(steps.grid(here), f"Table {name} on {device}"))
            for device, here in steps.by_device(table_steps).items()
        ],
        speed=[timed for section in sections for timed in speeds(section, runs)],
    )


def _section(
    section: Sequence[ComparisonRow],
    runs: Sequence[RunRecord],
    found: Sequence[RunRecord],
    further: Sequence[Evaluation],
    place: Path,
) -> Section:
    first = section[0]
    key = (first.scale, first.data)
    (results,) = render.grids(section)
    differences = pairs.section_grid(section, runs)
    built = [row for row in section if row.parameters]
    scored = [e for e in further if (e.scale, e.provenance["data"]["name"]) == key]
    metric = published.metric(first.table)
    metrics = {"valid_ppl": "valid ppl", "test_ppl": "test ppl"}
    if metric == "bleu":
        sets = dict.fromkeys(s for record in runs for s in record.translation_scores)
        metrics |= {f"{s}_bleu": f"BLEU, {s}" for s in sets}
    return Section(
        anchor=anchor(first.table, first.scale, first.data),
        scale=first.scale,
        data=first.data,
        meaning=SCALES.get(first.scale, "a scale of its own"),
        comparable=first.comparable,
        rows_finished=sum(bool(row.seeds) for row in section),
        rows=len(section),
        runs_finished=sum(record.finished for record in runs),
        runs=len(runs),
        results=markup(
            results, f"{render.sentence_case(render.UNITS[metric])}, the paper's and ours"
        ),
        pictures=pictures(first, runs),
        pairs=markup(differences) if differences else None,
        parameters=markup(chapters.parameters_grid(built), "Parameters of our models, by part")
        if built
        else None,
        evaluations=markup(evaluations.grid(scored, found)) if scored else None,
        metrics=list(metrics.values()),
        listed=_listed(section, runs, list(metrics), place),
    )


def _sizes(table: str, runs: Sequence[RunRecord], table_steps: Sequence[StepRecord]) -> str | None:
    """Published counts beside those of our models at the paper's size, from steps and runs.

    None without such a model: the table's results have the published totals.
    """
    ours = {step.row: step.parameters for step in table_steps}
    ours |= {
        r.row: r.parameters for r in runs if r.scale == "paper" and r.data == published.data(table)
    }
    if not ours:
        return None
    rows = [row for row in published.table(table) if row.parameters or row.row in ours]
    header, columns = ["row"], [[row.label for row in rows]]
    for part in PARTS:
        if any(part in row.parameters for row in rows):
            header.append(f"{part}\npaper")
            columns.append([_printed(row, part) for row in rows])
        header.append(f"{part}\nours")
        columns.append([render.millions(ours.get(row.row, {}).get(part)) for row in rows])
    header.append("total\ndiff.")
    columns.append(
        [
            _signed_millions(ours[row.row]["total"] - row.parameters["total"])
            if row.row in ours and "total" in row.parameters
            else ABSENT
            for row in rows
        ]
    )
    lines = list(zip(*columns, strict=True))
    return markup(Grid(f"Table {table}: millions of parameters", header, lines))


def _signed_millions(count: int) -> str:
    return render.signed(round(count / 1_000_000, 2) + 0.0)  # no -0.00


def _printed(row: published.PublishedRow, part: str) -> str:
    """The count with the paper's own decimals."""
    return render.millions(row.parameters.get(part), row.decimals.get(part, 2))


def _listed(
    section: Sequence[ComparisonRow],
    runs: Sequence[RunRecord],
    metrics: Sequence[str],
    place: Path,
) -> list[Run]:
    names = chapters.labels(section)
    return [
        Run(
            label=names[record.row],
            seed=record.seed,
            status=record.status,
            scores=[number(record.metrics.get(metric)) for metric in metrics],
            minutes=f"{record.speed['seconds'] / 60:.1f}",
            commit=origins.commit(record.provenance),
            link=_link(record.path, place),
        )
        for record in runs
    ]


def _link(path: Path, place: Path) -> str:
    """The way from the page's folder to the file, as a relative address."""
    return quote(Path(os.path.relpath(path.resolve(), place.resolve())).as_posix())
