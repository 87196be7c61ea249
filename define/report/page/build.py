"""The page as a whole: its template, filled in.

Equal records give equal bytes: the page tells when the runs were, not when it was made.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from define.analysis import claims, evaluations, published, steps
from define.files import atomic_write
from define.report.page import anchor, environment, markup
from define.report.page.tables import SCALES, Table, table
from define.report.render import ABSENT
from define.runs import records
from define.runs.records import RunRecord

TEMPLATE = "page.html.j2"
PAPER = "https://arxiv.org/abs/1911.12385"


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
        table(name, found, scales, table_steps.get(name, []), further.get(name, []), places, place)
        for name in published.names()
    ]
    shown = [record for record in found if not scales or record.scale in scales]
    template = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    ).get_template(TEMPLATE)
    return template.render(
        tables=tables,
        claims=_claims(claims.answers(found, scales, trials=records.find_trials(folders))),
        facts=_facts(shown, tables),
        period=environment.period(shown),
        scales=_scales(tables),
        machines=environment.machines(shown),
        versions=environment.versions(shown),
        commits=environment.commits(shown),
        corpora=environment.corpora(shown),
        paper=PAPER,
        printed_parameters=", ".join(n for n in published.names() if published.contradictions(n)),
    )


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
                    "anchor": anchor(answer.table, answer.scale, answer.data),
                    "where": f"Table {answer.table}",
                    "section": f"{answer.scale}, {answer.data}",
                    "verdict": answer.verdict,
                    "text": claims.text(answer),
                    "stated": claims.stated(answer),
                }
                for answer in of_claim
            ],
        }
        for of_claim in by_claim.values()
    ]
    summary, *behind = claims.grids(answers)
    return {"asked": asked, "rule": summary.notes, "behind": [markup(grid) for grid in behind]}


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


def _scales(tables: Sequence[Table]) -> dict[str, str]:
    """Scale -> its meaning, for the scales that are shown, in their order."""
    shown = {s.scale: s.meaning for table in tables for s in table.sections}
    return {
        scale: shown[scale]
        for scale in [*SCALES, *sorted(shown.keys() - SCALES.keys())]
        if scale in shown
    }
