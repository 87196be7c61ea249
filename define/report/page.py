"""One HTML page over everything recorded: it fetches nothing and is made from records alone.

Equal records give equal bytes: the page says when the runs were, not when it was made.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from define.analysis import claims, curves, extras, published, sizes
from define.analysis.compare import SCALES
from define.analysis.environment import Environment, corpus_text, environment
from define.analysis.extras import Extras
from define.analysis.speed import Timing
from define.files import atomic_write
from define.report import details, figures
from define.report.claims import claim_grids
from define.report.grid import template
from define.report.style import inline_svg
from define.report.tradeoff import score_label, tradeoff
from define.report.view import SectionView, TableView, anchor, table_view
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
    """Writes the page; its links to records and reports are relative to its folder.

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
    """The HTML of a page in the folder `place`. Arguments and errors as in `write_page`."""
    found = records.find(folders)
    places = [Path(f) for f in folders or paths.results() if Path(f).is_dir()]
    recorded = extras.find(places)
    answers = claims.answers(found, scales, trials=records.find_trials(folders))
    with_report = [Path(reports or place), *places]
    shown = [
        table_view(name, found, scales, answers, recorded.get(name, Extras()), place, with_report)
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
    """Each claim with its answers and their anchors; then the numbers behind all of them."""
    asked: dict[str, list[tuple[claims.Answer, str]]] = {}
    for answer in answers:
        place = anchor(answer.table, answer.scale, answer.data)
        asked.setdefault(answer.claim.id, []).append((answer, place))
    summary, *behind = claim_grids(answers)
    return {"asked": asked.values(), "rule": summary.notes, "behind": behind}


def _facts(runs: Sequence[RunRecord], shown: Sequence[TableView]) -> list[tuple[str, str]]:
    """The numbers of the headline, and what they count."""
    finished = [record for record in runs if record.finished]
    with_runs = [t for t in shown if any(s.section.finished for s in t.sections)]
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
    found = {s.section.scale: s.meaning for table in shown for s in table.sections}
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


def pictures(view: SectionView) -> Iterable[Picture]:
    """The figures of a section: sizes, depth and width, ours and the paper's; curves."""
    section, table = view.section, view.section.table
    if sizes.has_curve(table) and sizes.scored(table, section.runs):
        for index, panel in enumerate(sizes.panels(table, section.runs, [section.scale])):
            yield _size_picture(view, panel, f"size-{index}")
    if both := sizes.depth_and_width(section):
        for shown, name, whose in zip(
            both, ("depth", "paper-depth"), (f"ours: {section.place}", "the paper's"), strict=True
        ):
            told = [
                f"k {k}: " + ", ".join(f"N {n} {p.mean:.2f}, {p.millions:.2f} M" for n, p in line)
                for k, line in shown.models.items()
            ]
            caption = f"Depth and width, {whose}. n grows with N."
            yield _picture(view, figures.depth_and_width(shown), name, caption, told)
    names = published.our_labels(table)
    for kind, values, label, mark_best in (
        ("train", curves.training_by_update, figures.TRAINING_LABEL, False),
        ("valid", curves.valid_by_update, figures.valid_label(table), True),
    ):
        if lines := curves.curves(section.runs, values, points=2):
            caption = f"{_sentence(label)} by update: {section.place}. Mean over seeds, band "
            caption += f"from lowest to highest{', ● the lowest mean' if mark_best else ''}."
            told = [
                f"{names.get(row, row)}: lowest {line.best[1]:.2f} at update {line.best[0]:,}"
                for row, line in lines.items()
            ]
            figure = figures.learning(table, lines, label, mark_best)
            yield _picture(view, figure, kind, caption, told)


def _size_picture(view: SectionView, panel: sizes.Panel, name: str) -> Picture:
    caption = f"{_sentence(score_label(panel.metric))} by total parameters, {panel.title}."
    if any(point.high > point.low for line in panel.points.values() for point in line):
        caption += " Mean, bar from lowest to highest seed."
    told = [
        f"{label}: " + ", ".join(f"{p.name} {p.millions:.2f} M {p.mean:.2f}" for p in line)
        for label, line in panel.points.items()
    ]
    figure = tradeoff(view.section.table, [panel], for_page=True)
    return _picture(view, figure, name, caption, told)


def speed_picture(view: SectionView, index: int, rows: Sequence[Timing]) -> Picture | None:
    """The times of a section on a machine; None where there is nothing to compare."""
    if len(rows) < 2:
        return None
    caption = "Milliseconds per update. Mean, whisker from the fastest to the slowest seed."
    times = ", ".join(f"{row.label} {row.ms.mean:.1f}" for row in rows)
    told = [f"{view.section.title}: {times}"]
    return _picture(view, figures.speed(rows), f"speed-{index}", caption, told)


def _picture(
    view: SectionView, figure: "Figure", name: str, caption: str, told: Sequence[str]
) -> Picture:
    """Args: `told`: the numbers, for a reader who cannot see the figure."""
    unique = re.sub(r"[^\w-]", "_", f"{view.anchor}-{name}")
    return Picture(inline_svg(figure, unique, f"{caption} {'; '.join(told)}."), caption)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
