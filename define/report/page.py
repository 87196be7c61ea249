"""One HTML page over everything recorded: it fetches nothing and is made from records alone.

Equal records give equal bytes: the page says when the runs were, not when it was made.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from define.analysis import claims, curves, evaluations, published, sizes, steps
from define.analysis.environment import Environment, corpus_text, environment
from define.analysis.speed import Timing
from define.files import atomic_write
from define.report import details, figures
from define.report.answers import claim_grids
from define.report.grid import template
from define.report.style import inline_svg
from define.report.tradeoff import score_label, tradeoff
from define.report.view import SCALES, Extras, Section, TableView, anchor, table_view
from define.runs import paths, records
from define.runs.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER = "https://arxiv.org/abs/1911.12385"


@dataclass(frozen=True)
class Picture:
    """A figure of the page and its caption."""

    svg: str
    caption: str


def write_page(
    folders: Sequence[str | Path] | None,
    output: str | Path,
    scales: Sequence[str] | None = None,
    reports: str | Path | None = None,
) -> None:
    """Writes the page; links to records and reports lead from its folder to theirs.

    Args:
        folders: where records, steps and evaluations are, as in `records.find`.
        scales: only these scales, as in `compare`.
        reports: where `readme.write_reports` wrote the tables' own reports; by default, the page's
            folder.
    Raises:
        InputError: an unknown scale, a missing folder, or a malformed file.
    """
    text = page(folders, Path(output).parent, scales, reports)
    with atomic_write(output) as stream:
        stream.write(text)


def page(
    folders: Sequence[str | Path] | None,
    place: Path,
    scales: Sequence[str] | None = None,
    reports: str | Path | None = None,
) -> str:
    """The page's HTML, to lie in the folder `place`. Arguments and errors as in `write_page`."""
    found = records.find(folders)
    places = [Path(f) for f in folders or paths.results() if Path(f).is_dir()]
    table_steps, further = steps.find(places), evaluations.find(places)
    answers = claims.answers(found, scales, trials=records.find_trials(folders))
    with_report = [Path(reports or place), *places]
    shown = [
        table_view(
            name,
            found,
            scales,
            answers,
            Extras(table_steps.get(name, ()), further.get(name, ())),
            place,
            with_report,
        )
        for name in published.names()
    ]
    runs = [record for record in found if not scales or record.scale in scales]
    origin = environment([record.provenance for record in runs])
    return template("page.html.j2").render(
        tables=shown,
        claims=_claims(answers),
        facts=_facts(runs, shown),
        period=_period(origin),
        scales=_scales(shown),
        environment=details.environment_grids(origin),
        corpora=origin.corpora,
        corpus_text=corpus_text,
        pictures=pictures,
        speed_picture=speed_picture,
        steps_rule=details.STEPS_RULE,
        paper=PAPER,
        printed_parameters=", ".join(n for n in published.names() if published.contradictions(n)),
    )


def _claims(answers: Sequence[claims.Answer]) -> dict[str, Any]:
    """Claim by claim: its answers and their sections; then the numbers behind all of them."""
    by_claim: dict[str, list[claims.Answer]] = {}
    for answer in answers:
        by_claim.setdefault(answer.claim.id, []).append(answer)
    asked = [
        (
            of_claim[0].claim,
            [
                {
                    "anchor": anchor(answer.table, answer.scale, answer.data),
                    "answer": answer,
                    "text": claims.text(answer),
                    "stated": claims.stated(answer),
                }
                for answer in of_claim
            ],
        )
        for of_claim in by_claim.values()
    ]
    summary, *behind = claim_grids(answers)
    return {"asked": asked, "rule": summary.notes, "behind": behind}


def _facts(runs: Sequence[RunRecord], shown: Sequence[TableView]) -> list[tuple[str, str]]:
    """The numbers of the headline, and what they count."""
    finished = [record for record in runs if record.finished]
    with_runs = [t for t in shown if any(r.finished for s in t.sections for r in s.runs)]
    hours = sum(record.speed["seconds"] for record in finished) / 3600
    facts = [
        (str(len(finished)), "finished runs"),
        (f"{len(with_runs)} of {len(shown)}", "tables with runs"),
        (", ".join(_scales(with_runs)) or "-", "scales"),
        (str(len({record.data for record in finished})), "corpora"),
        (f"{hours:.1f}", "hours of training"),
    ]
    if left := len(runs) - len(finished):
        facts.insert(1, (str(left), "unfinished runs"))
    return facts


def _scales(shown: Sequence[TableView]) -> dict[str, str]:
    """Scale -> its meaning, for the scales that are shown, in their order."""
    found = {s.first.scale: s.meaning for table in shown for s in table.sections}
    order = [*SCALES, *sorted(found.keys() - SCALES.keys())]
    return {scale: found[scale] for scale in order if scale in found}


def _period(origin: Environment) -> str:
    """The days of the first and the last run, and the commit, or how many there were."""
    if not origin.days:
        return ""
    days = " to ".join(dict.fromkeys((origin.days[0], origin.days[-1])))
    commits = list(origin.commits)
    at = f"commit {commits[0]}" if len(commits) == 1 else f"{len(commits)} commits"
    return f"{days}, at {at}"


def pictures(section: Section) -> Iterable[Picture]:
    """The figures of a section: sizes, depth and width, ours and the paper's; curves."""
    first, runs = section.first, section.runs
    table, where = first.table, f"scale {first.scale}, data {first.data}"
    if sizes.has_curve(table) and sizes.drawable(table, runs):
        for index, panel in enumerate(sizes.panels(table, runs, [first.scale])):
            yield _size_picture(section, panel, f"size-{index}")
    if sizes.varies_depth_and_width(table):
        if ours := sizes.our_depth_and_width(table, runs):
            papers = sizes.paper_depth_and_width(table, ours.metric)
            yield _depth_picture(section, ours, "depth", f"Depth and width, ours: {where}.")
            yield _depth_picture(section, papers, "paper-depth", "Depth and width, the paper's.")
    for kind, values, label, mark_best in (
        ("train", curves.training_by_update, figures.TRAINING_LABEL, False),
        ("valid", curves.valid_by_update, figures.valid_label(table), True),
    ):
        if lines := curves.curves(runs, values, points=2):
            caption = f"{label[0].upper()}{label[1:]} by update: {where}. Mean over seeds, band "
            caption += f"from lowest to highest{', ● the lowest mean' if mark_best else ''}."
            names = published.our_labels(table)
            told = [
                f"{names.get(row, row)}: lowest {line.best[1]:.2f} at update {line.best[0]:,}"
                for row, line in lines.items()
            ]
            figure = figures.learning(table, lines, label, mark_best)
            yield _picture(section, figure, kind, caption, told)


def speed_picture(section: Section, index: int, rows: Sequence[Timing]) -> Picture | None:
    """The times of a section on a machine; None where there is nothing to compare."""
    if len(rows) < 2:
        return None
    caption = "Milliseconds per update. Mean, whisker from the fastest to the slowest seed."
    told = [f"{section.title}: " + ", ".join(f"{row.label} {row.ms.mean:.1f}" for row in rows)]
    return _picture(section, figures.speed(rows), f"speed-{index}", caption, told)


def _picture(
    section: Section, figure: "Figure", name: str, caption: str, told: Sequence[str]
) -> Picture:
    """Args: `told`: the numbers, for a reader who cannot see the figure."""
    unique = re.sub(r"[^\w-]", "_", f"{section.anchor}-{name}")
    return Picture(inline_svg(figure, unique, f"{caption} {'; '.join(told)}."), caption)


def _size_picture(section: Section, panel: sizes.Panel, name: str) -> Picture:
    score = score_label(panel.metric)
    caption = f"{score[0].upper()}{score[1:]} by total parameters, {panel.title}."
    if any(point.high > point.low for line in panel.points.values() for point in line):
        caption += " Mean, bar from lowest to highest seed."
    told = [
        f"{label}: " + ", ".join(f"{p.name} {p.millions:.2f} M {p.mean:.2f}" for p in line)
        for label, line in panel.points.items()
    ]
    figure = tradeoff(section.first.table, [panel], for_page=True)
    return _picture(section, figure, name, caption, told)


def _depth_picture(
    section: Section, shown: sizes.DepthAndWidth, name: str, caption: str
) -> Picture:
    told = [
        f"k {width}: " + ", ".join(f"N {n} {p.mean:.2f}, {p.millions:.2f} M" for n, p in line)
        for width, line in shown.models.items()
    ]
    figure = figures.depth_and_width(shown)
    return _picture(section, figure, name, f"{caption} n grows with N.", told)
