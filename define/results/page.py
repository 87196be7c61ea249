"""One page over everything that is recorded: HTML that fetches nothing, made from records alone.

Equal records give equal bytes: the page tells when the runs were, not when it was made.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from define.files import atomic_write
from define.results import (
    ablations,
    chapters,
    claims,
    evaluations,
    origins,
    pairs,
    plots,
    published,
    records,
    render,
    speed,
    steps,
    style,
    tradeoff,
)
from define.results.compare import ComparisonRow, by_section, compare, of_table, section_runs
from define.results.evaluations import Evaluation
from define.results.grid import Grid, html
from define.results.published import PARTS
from define.results.records import RunRecord
from define.results.render import ABSENT, number
from define.results.steps import StepRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = "page.html.j2"
PAPER = "https://arxiv.org/abs/1911.12385"
SCALES = {
    "paper": "the published recipe to the letter",
    "mini": "the same comparison on real data, minutes for each row on two CPU cores",
    "smoke": "seconds; shows that everything works, its numbers mean nothing",
}
"""Scale -> what it is."""


@dataclass(frozen=True)
class Picture:
    """A figure of the page and what stands below it."""

    svg: str
    caption: str


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
class Speed:
    """The times of one section on one machine; a picture where there are rows to compare."""

    title: str
    machine: str
    grid: str
    picture: Picture | None


@dataclass(frozen=True)
class Steps:
    """Updates at the paper's size on one device."""

    made_on: str
    grids: Sequence[str]


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


def write_page(
    folders: Sequence[str | Path] | None,
    output: str | Path,
    scales: Sequence[str] | None = None,
) -> None:
    """Writes the page; links to records lead from its folder to theirs.

    Args:
        folders: where records, steps and evaluations are, as in `records.find`.
        scales: only these scales, as in `compare`.
    Raises:
        InputError: an unknown scale, a missing folder, or a malformed file.
    """
    text = page(folders, Path(output).parent, scales)
    with atomic_write(output) as stream:
        stream.write(text)


def page(
    folders: Sequence[str | Path] | None, place: Path, scales: Sequence[str] | None = None
) -> str:
    """The page's HTML, to lie in the folder `place`. Arguments and errors as in `write_page`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = records.find(folders)
    places = [Path(f) for f in folders or records.DEFAULT_FOLDERS if Path(f).is_dir()]
    table_steps, further = steps.find(places), evaluations.find(places)
    tables = [
        _table(name, found, scales, table_steps.get(name, []), further.get(name, []), places, place)
        for name in published.names()
    ]
    shown = [record for record in found if not scales or record.scale in scales]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE).render(
        tables=tables,
        claims=_claims(claims.answers(found, scales)),
        facts=_facts(shown, tables),
        period=_period(shown),
        scales=_scales(tables),
        machines=_machines(shown),
        versions=_versions(shown),
        commits=_commits(shown),
        corpora=_corpora(shown),
        paper=PAPER,
        printed_parameters=", ".join(n for n in published.names() if published.contradictions(n)),
    )


def _markup(grid: Grid, title: str | None = None) -> str:
    """The grid as HTML, to which the template adds no escapes."""
    return html(grid if title is None else replace(grid, title=title))


def _picture(figure: "Figure", name: str, caption: str, description: str) -> Picture:
    return Picture(style.inline_svg(figure, name, description), caption)


def _table(
    name: str,
    found: Sequence[RunRecord],
    scales: Sequence[str] | None,
    table_steps: Sequence[StepRecord],
    further: Sequence[Evaluation],
    places: Sequence[Path],
    place: Path,
) -> Table:
    runs = of_table(name, found)
    sections = by_section(compare(name, found, scales))
    readme = next((p for f in places if (p := f / f"table_{name}" / "README.md").is_file()), None)
    return Table(
        name=name,
        anchor=_anchor(name),
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
        steps_rule=steps.explanation(table_steps) if table_steps else "",
        steps=[
            Steps(
                steps.made_on(here),
                [_markup(grid, f"Table {name} on {device}") for grid in steps.grids(here)],
            )
            for device, here in steps.by_device(table_steps).items()
        ],
        speed=[timed for section in sections for timed in _speed(section, runs)],
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
        anchor=_anchor(*_key(first)),
        scale=first.scale,
        data=first.data,
        meaning=SCALES.get(first.scale, "a scale of its own"),
        comparable=first.comparable,
        rows_finished=sum(bool(row.seeds) for row in section),
        rows=len(section),
        runs_finished=sum(record.finished for record in runs),
        runs=len(runs),
        results=_markup(results, f"{_sentence(render.UNITS[metric])}, the paper's and ours"),
        pictures=_pictures(first, runs),
        pairs=_markup(differences) if differences else None,
        parameters=_markup(chapters.parameters_grid(built), "Parameters of our models, by part")
        if built
        else None,
        evaluations=_markup(evaluations.grid(scored, found)) if scored else None,
        metrics=list(metrics.values()),
        listed=_listed(section, runs, list(metrics), place),
    )


def _key(row: ComparisonRow) -> tuple[str, str, str]:
    return row.table, row.scale, row.data


def _anchor(*parts: str) -> str:
    return "-".join(("table", *parts))


def _pictures(first: ComparisonRow, runs: Sequence[RunRecord]) -> list[Picture]:
    """The figures of one section: sizes, depth and width, each beside the paper's; curves."""
    table, where = first.table, f"scale {first.scale}, data {first.data}"
    name = _anchor(*_key(first)).replace(".", "_")
    pictures = []
    if tradeoff.has_curve(table) and tradeoff.drawable(table, runs):
        ours, papers = tradeoff.panels(table, runs, [first.scale])
        pictures += [_size_picture(table, ours, f"{name}-size")]
        pictures += [_size_picture(table, papers, f"{name}-paper-size")]
    if ablations.varies(table) and (shown := ablations.ours(table, runs)):
        papers = ablations.papers(table, shown.metric)
        pictures += [
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
            caption = (
                f"{_sentence(label)} by update: {where}. Mean over seeds, band from lowest to "
            )
            caption += "highest" + (", ● the lowest mean." if mark_best else ".")
            told = _told_curves(table, lines)
            pictures.append(_picture(figure, f"{name}-{kind}", caption, f"{caption} {told}"))
    return pictures


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _size_picture(table: str, panel: tradeoff.Panel, name: str) -> Picture:
    figure = tradeoff.draw(table, [panel], for_page=True)
    score = tradeoff.score_label(panel.metric)
    caption = f"{_sentence(score)} by total parameters, {panel.title}."
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


def _speed(section: Sequence[ComparisonRow], runs: Iterable[RunRecord]) -> list[Speed]:
    first = section[0]
    title = render.section_title(first)
    found = []
    for index, (machine, rows) in enumerate(speed.timings(section, runs).items()):
        caption = "Milliseconds per update. Mean, whisker from the fastest to the slowest seed."
        told = ", ".join(f"{row.label} {row.ms.mean:.1f}" for row in rows)
        name = f"{_anchor(*_key(first))}-speed-{index}".replace(".", "_")
        picture = None
        if len(rows) > 1:
            description = f"{title}, on {machine}. {caption} {told}."
            picture = _picture(speed.speed_figure(rows), name, caption, description)
        grid = _markup(speed.grid(first.table, rows), f"Table {first.table} on {machine}")
        found.append(Speed(title, machine, grid, picture))
    return found


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
    return _markup(Grid(f"Table {table}: millions of parameters", header, lines))


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


def _claims(answers: Sequence[claims.Answer]) -> dict[str, Any]:
    """Claim by claim: its answers, where they come from; then the numbers behind all of them."""
    by_claim: dict[str, list[claims.Answer]] = {}
    for answer in answers:
        by_claim.setdefault(answer.claim.id, []).append(answer)
    asked = [
        {
            "question": of_claim[0].claim.question,
            "paper": of_claim[0].claim.paper,
            "answers": [
                {
                    "anchor": _anchor(answer.table, answer.scale, answer.data),
                    "where": f"Table {answer.table}",
                    "section": f"{answer.scale}, {answer.data}",
                    "verdict": answer.verdict,
                    "text": claims.text(answer),
                }
                for answer in of_claim
            ],
        }
        for of_claim in by_claim.values()
    ]
    _, *behind = claims.grids(answers)
    return {"asked": asked, "rule": claims.RULE, "behind": [_markup(grid) for grid in behind]}


def _facts(shown: Sequence[RunRecord], tables: Sequence[Table]) -> list[tuple[str, str]]:
    """The numbers of the headline, and what they count."""
    finished = [record for record in shown if record.finished]
    with_runs = [t for t in tables if any(s.runs_finished for s in t.sections)]
    hours = sum(record.speed["seconds"] for record in finished) / 3600
    facts = [
        (str(len(finished)), "finished runs"),
        (f"{len(with_runs)} of {len(tables)}", "tables with runs"),
        (", ".join(_scales(with_runs)) or ABSENT, "scales"),
        (str(len({record.data for record in finished})), "corpora"),
        (f"{hours:.1f}", "hours of training"),
    ]
    if left := len(shown) - len(finished):
        facts.insert(1, (str(left), "unfinished runs"))
    return facts


def _period(shown: Sequence[RunRecord]) -> str:
    """The days of the first and the last run, and the commit, or how many there were."""
    days = sorted(_day(record) for record in shown)
    if not days:
        return ""
    commits = list(dict.fromkeys(origins.commit(record.provenance) for record in shown))
    at = f"commit {commits[0]}" if len(commits) == 1 else f"{len(commits)} commits"
    return f"{' to '.join(dict.fromkeys((days[0], days[-1])))}, at {at}"


def _day(record: RunRecord) -> str:
    return datetime.fromisoformat(record.provenance["started"]).date().isoformat()


def _scales(tables: Sequence[Table]) -> dict[str, str]:
    """Scale -> its meaning, for the scales that are shown, in their order."""
    shown = {s.scale: s.meaning for table in tables for s in table.sections}
    return {
        scale: shown[scale]
        for scale in [*SCALES, *sorted(shown.keys() - SCALES.keys())]
        if scale in shown
    }


def _machines(shown: Sequence[RunRecord]) -> str:
    counts: dict[tuple, int] = {}
    for record in shown:
        origin = record.provenance
        key = (origin["device"], str(origin["threads"]), origin["python"])
        counts[key] = counts.get(key, 0) + 1
    lines = [[*key, str(count)] for key, count in sorted(counts.items())]
    return _markup(Grid("Machines", ["device", "threads", "Python", "runs"], lines))


def _versions(shown: Sequence[RunRecord]) -> str:
    counts: dict[tuple[str, str], int] = {}
    for record in shown:
        for package in record.provenance["versions"].items():
            counts[package] = counts.get(package, 0) + 1
    lines = [[name, version, str(count)] for (name, version), count in counts.items()]
    return _markup(Grid("Versions", ["package", "version", "runs"], lines))


def _commits(shown: Sequence[RunRecord]) -> str:
    days: dict[str, list[str]] = {}
    for record in shown:
        days.setdefault(origins.commit(record.provenance), []).append(_day(record))
    lines = [
        [commit, min(found), max(found), str(len(found))]
        for commit, found in sorted(days.items(), key=lambda item: (min(item[1]), item[0]))
    ]
    return _markup(Grid("Commits", ["commit", "first run", "last run", "runs"], lines))


def _corpora(shown: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Each corpus, once for each set of checksums that runs had."""
    corpora: dict[str, dict[str, Any]] = {}
    for record in shown:
        data = record.provenance["data"]
        key = f"{data['name']} {sorted(data['sha256'].items())}"
        entry = corpora.setdefault(key, {"data": data, "runs": 0})
        entry["runs"] += 1
    return [corpora[key] for key in sorted(corpora)]
