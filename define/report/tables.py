"""The grids of a section: results, parameters, claims, paired differences, and its runs."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from define.analysis import published
from define.analysis.compare import (
    ComparisonRow,
    by_section,
    headline_metric,
    label,
    labels,
    metrics,
    section_runs,
    title,
)
from define.analysis.environment import commit
from define.analysis.pairs import PairedDifference, differences, direction, paper_metric
from define.analysis.steps import StepRecord
from define.report.grid import Cell, Grid, Interval, Link, Number, mean, num
from define.runs.records import RunRecord
from define.runs.schema import PARTS

UNITS = {"ppl": "perplexity", "bleu": "BLEU"}
"""A table's metric -> its name in titles and captions."""
_BETTER = {"ppl": "below", "bleu": "above"}
"""Metric of a table -> the side of zero on which the row named first is better."""

Column = tuple[str, Sequence[Cell]]


def grid_of(title: str, columns: Sequence[Column], notes: Sequence[str] = ()) -> Grid:
    """A grid from its columns, each with its heading."""
    header, cells = zip(*columns, strict=True)
    return Grid(title, header, list(zip(*cells, strict=True)), notes)


def result_grids(rows: Iterable[ComparisonRow], fold: bool = False) -> list[Grid]:
    """One grid per table and section, in the order of the rows; `fold` as in `results`."""
    return [results(section, fold) for section in by_section(rows)]


def results(section: Sequence[ComparisonRow], fold: bool = False) -> Grid:
    """The paper's numbers and ours.

    Where ours can be compared with the paper's, their difference; elsewhere the effect in both.

    Args:
        fold: whether rows that the paper cites from others, and that have no run, become a note.
    """
    first = section[0]
    folded = [row for row in section if fold and row.cited and row.status == "not run"]
    rows = [row for row in section if row not in folded] if len(folded) < len(section) else section
    columns: list[Column] = [("row", [label(row.label, row.kind) for row in rows])]
    for metric in metrics(section):
        columns += _metric_columns(metric, rows)
    columns += [
        ("M par.\npaper", [_millions(row.published_parameters.get("total")) for row in rows]),
        ("M par.\nours", [_millions((row.parameters or {}).get("total")) for row in rows]),
        ("n", [len(row.seeds) or None for row in rows]),
    ]
    if any(row.status != "finished" for row in rows):
        columns.append(("status", [row.status for row in rows]))
    unit = UNITS[published.metric(first.table)]
    notes = _folded_note(folded) if rows is not section else []
    return grid_of(f"{title(first)}: {unit}", columns, [*notes, *_result_notes(section)])


def _metric_columns(metric: str, rows: Sequence[ComparisonRow]) -> list[Column]:
    name = metric.removesuffix("_ppl").removesuffix("_bleu")
    papers = any(metric in row.published for row in rows)
    ours = any(metric in row.ours for row in rows)
    columns: list[Column] = []
    if papers:
        columns.append((f"{name}\npaper", [num(row.published.get(metric)) for row in rows]))
    if ours:
        columns.append((f"{name}\nours", [mean(row.ours.get(metric)) for row in rows]))
    if rows[0].comparable:
        if papers and ours:
            found = [num(row.difference.get(metric), "+.2f") for row in rows]
            columns.append((f"{name}\ndiff.", found))
        return columns
    for who, effects in (
        ("paper", [row.published_effect.get(metric) for row in rows]),
        ("ours", [row.effect.get(metric) for row in rows]),
    ):
        if any(row.ours for row in rows) and any(effect is not None for effect in effects):
            columns.append((f"{name}\neffect\n{who}", [num(e, "+.2f") for e in effects]))
    return columns


def _folded_note(rows: Sequence[ComparisonRow]) -> list[str]:
    if not rows:
        return []
    told = []
    for row in rows:
        numbers = [f"{value:.2f}" for value in row.published.values()]
        size = row.published_parameters.get("total")
        told.append(f"{row.label} {' / '.join(numbers)}" + (f", {size / 1e6:g} M" if size else ""))
    printed = {metric for row in rows for metric in row.published}
    names = [metric for metric in metrics(rows) if metric in printed]
    what = " / ".join(name.removesuffix("_ppl").removesuffix("_bleu") for name in names)
    return [f"Cited by the paper, not run here ({what}): {'; '.join(told)}."]


def _result_notes(rows: Sequence[ComparisonRow]) -> list[str]:
    first = rows[0]
    notes = []
    if any(row.ours for row in rows):
        notes.append("ours: mean over the n finished seeds; one seed has no interval.")
        if not first.comparable:
            notes += _effect_notes(rows)
    if not first.comparable:
        notes.append(
            f"Not comparable: the paper trained at scale paper on {published.data(first.table)}, "
            f"these runs at scale {first.scale} on {first.data}."
        )
    if any(row.kind == "control" for row in rows):
        notes.append("control: a row of ours that the paper does not have.")
    users: dict[str, list[str]] = {}
    for row in rows:
        if row.protocol:
            users.setdefault(row.protocol, []).append(row.label)
    if users:
        names = [
            name if len(users) == 1 else f"{name} ({', '.join(of)})" for name, of in users.items()
        ]
        translated = published.metric(first.table) == "bleu"
        what = "translation" if translated else "evaluation protocol"
        notes.append(f"{what}: {'; '.join(names)}.")
    return notes


def _effect_notes(rows: Sequence[ComparisonRow]) -> list[str]:
    names = published.our_labels(rows[0].table)
    against = dict.fromkeys(row.baseline for row in rows if row.effect or row.published_effect)
    against.pop(None, None)
    if len(against) == 1:
        return [f"effect: a row's number less that of {names[next(iter(against))]}."]
    pairs = [f"{names[row.row]} less {names[row.baseline]}" for row in rows if row.published_effect]
    return [f"effect: {'; '.join(pairs)}."] if pairs else []


def _millions(count: int | None, digits: int = 2) -> Number | None:
    return None if count is None else Number(count / 1_000_000, f".{digits}f")


def parameters(section: Sequence[ComparisonRow]) -> Grid | None:
    """Counts of our models, part by part; None where none has been built."""
    built = [row for row in section if row.parameters]
    names = labels(section)
    lines = [[names[row.row], *(row.parameters[part] for part in PARTS)] for row in built]
    return Grid("Parameters of our models, by part", ["row", *PARTS], lines) if built else None


def sizes(table: str, runs: Sequence[RunRecord], steps: Sequence[StepRecord]) -> Grid | None:
    """The paper's counts and those of our models at the paper's size, from steps and runs.

    None without such a model: the table's results have the published totals.
    """
    ours = {step.row: step.parameters for step in steps}
    ours |= {
        r.row: r.parameters for r in runs if r.scale == "paper" and r.data == published.data(table)
    }
    if not ours:
        return None
    rows = [row for row in published.table(table) if row.parameters or row.row in ours]
    columns: list[Column] = [("row", [row.label for row in rows])]
    for part in PARTS:
        if any(part in row.parameters for row in rows):
            printed = [_millions(r.parameters.get(part), r.decimals.get(part, 2)) for r in rows]
            columns.append((f"{part}\npaper", printed))
        counts = [_millions(ours.get(row.row, {}).get(part)) for row in rows]
        columns.append((f"{part}\nours", counts))
    gaps = [
        num(round((ours[r.row]["total"] - r.parameters["total"]) / 1e6, 2) + 0.0, "+.2f")
        if r.row in ours and "total" in r.parameters
        else None
        for r in rows
    ]  # + 0.0 turns -0.0 into 0.0
    return grid_of(f"Table {table}: millions of parameters", [*columns, ("total\ndiff.", gaps)])


def paired(section: Sequence[ComparisonRow], records: Sequence[RunRecord]) -> Grid | None:
    """The paired differences of a section; None without a shared seed."""
    names = published.our_labels(section[0].table)
    lines, others = [], {}
    for found, paper in differences(section, records):
        first, second = (names.get(row, row) for row in (found.row_a, found.row_b))
        lines.append(
            [
                f"{first} less {second}",
                found.metric,
                *mean_and_interval(found),
                ", ".join(map(str, found.seeds)),
                num(paper, "+.2f"),
                direction(found, paper),
            ]
        )
        if paper_metric(section, found.metric) != found.metric:
            others[found.metric.removesuffix("_bleu")] = None
    notes = []
    if others:
        test_set = headline_metric(section[0].table).removesuffix("_bleu")
        notes.append(
            f"On {', '.join(others)}, which the paper does not have, its difference is that on its "
            f"test set, {test_set}; only the direction can be compared."
        )
    header = ["difference", "metric", "mean", "95 % interval", "n", "seeds", "paper", "direction"]
    return Grid("Paired differences", header, lines, notes) if lines else None


def mean_and_interval(found: PairedDifference) -> list[Cell]:
    """Mean, interval and number of seeds."""
    interval = found.interval95 and Interval(*found.interval95, "+.2f")
    return [num(found.difference and found.difference.mean, "+.2f"), interval, len(found.seeds)]


def paired_rule(table: str) -> str:
    """How to read a table's paired differences."""
    return (
        f"One row less another, seed by seed; {_BETTER[published.metric(table)]} zero, the "
        "one named first is better. The interval is that of the mean over the n shared seeds "
        "(Student's t, n - 1 degrees of freedom), each taken alone; it needs two seeds. Direction "
        "compares its sign with the sign of the paper's difference; it is undecided where the "
        "interval covers zero."
    )


def runs(
    section: Sequence[ComparisonRow], found: Sequence[RunRecord], place: Path | None = None
) -> Grid | None:
    """One line per run; None without a run.

    Args:
        place: a folder from which links lead to the records; no links without it.
    """
    names = labels(section)
    records = section_runs(section, found)
    finals = [record.final or {} if record.finished else {} for record in records]
    scored = [{split: final[split]["scored_tokens"] for split in final} for final in finals]
    sets = dict.fromkeys(s for record in records for s in record.translation_scores)
    columns: list[Column] = [
        ("row", [names[record.row] for record in records]),
        ("seed", [num(record.seed, "d") for record in records]),
        ("status", [record.status for record in records]),
        *(
            (f"{split} ppl", [num(record.metrics.get(f"{split}_ppl")) for record in records])
            for split in ("valid", "test")
        ),
        *((f"BLEU, {s}", [num(r.metrics.get(f"{s}_bleu")) for r in records]) for s in sets),
        ("best epoch", [f"{r.best_epoch or '-'} of {len(r.epochs)}" for r in records]),
        *(
            (f"{split} tokens scored", [counts.get(split) for counts in scored])
            for split in ("valid", "test")
        ),
        ("tokens/s", [num(record.speed["tokens_per_second"], ",.0f") for record in records]),
        ("peak MiB", [num(record.peak_memory_mib, ",.0f") for record in records]),
        ("minutes", [num(record.speed["seconds"] / 60, ".1f") for record in records]),
        ("device", [record.provenance["device"] for record in records]),
        ("commit", [commit(record.provenance) for record in records]),
    ]
    if place is not None:
        columns.append(("record", [Link("record.json", link(r.path, place)) for r in records]))
    translated = published.metric(section[0].table) == "bleu"
    notes = ["Perplexity and tokens are those of target subwords."] if translated else []
    return grid_of("Runs", columns, notes) if records else None


def link(path: Path, place: Path) -> str:
    """The way from the folder `place` to the file, as a relative address."""
    return quote(Path(os.path.relpath(path.resolve(), place.resolve())).as_posix())
