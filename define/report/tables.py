"""The grids of a section: results, parameters, and its runs; and the sizes of a table's models."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from define.analysis import published
from define.analysis.compare import ComparisonRow, Section, label
from define.analysis.environment import commit
from define.analysis.published import PublishedRow
from define.report.grid import Cell, Grid, Link, Number, mean, num
from define.runs.records import RunRecord
from define.runs.schema import PARTS
from define.runs.steps import StepRecord

UNITS = {"ppl": "perplexity", "bleu": "BLEU"}
"""A table's metric -> its name in titles and captions."""

RowColumns = dict[str, Callable[[ComparisonRow], Cell]]


def results(section: Section, fold: bool = False) -> Grid:
    """The paper's numbers and ours.

    Where ours can be compared with the paper's, their difference; elsewhere the effect in both.

    Args:
        fold: whether rows that the paper cites from others, and that have no run, become a note.
    """
    folded = [row for row in section.rows if fold and row.cited and row.status == "not run"]
    rows = [row for row in section.rows if row not in folded]
    if not rows:
        rows, folded = section.rows, []
    columns: RowColumns = {"row": lambda row: label(row.label, row.kind)}
    for metric in section.metrics:
        columns |= _metric_columns(metric, rows)
    columns |= {
        "M par.\npaper": lambda row: _millions(row.published_parameters.get("total")),
        "M par.\nours": lambda row: _millions((row.parameters or {}).get("total")),
        "n": lambda row: len(row.seeds) or None,
    }
    if any(row.status != "finished" for row in rows):
        columns["status"] = lambda row: row.status
    unit = UNITS[published.metric(section.table)]
    notes = [*_folded_note(folded, section.metrics), *_result_notes(section)]
    return Grid.of(f"{section.title}: {unit}", rows, columns, notes)


def _metric_columns(metric: str, rows: Sequence[ComparisonRow]) -> RowColumns:
    name = _short(metric)
    columns: RowColumns = {}
    if any(metric in row.published for row in rows):
        columns[f"{name}\npaper"] = lambda row: num(row.published.get(metric))
    if any(metric in row.ours for row in rows):
        columns[f"{name}\nours"] = lambda row: mean(row.ours.get(metric))
    if rows[0].comparable:
        if len(columns) == 2:
            columns[f"{name}\ndiff."] = lambda row: num(row.difference.get(metric), "+.2f")
    elif any(row.ours for row in rows):
        if any(metric in row.published_effect for row in rows):
            columns[f"{name}\neffect\npaper"] = lambda row: num(
                row.published_effect.get(metric), "+.2f"
            )
        if any(metric in row.effect for row in rows):
            columns[f"{name}\neffect\nours"] = lambda row: num(row.effect.get(metric), "+.2f")
    return columns


def _short(metric: str) -> str:
    return metric.removesuffix("_ppl").removesuffix("_bleu")


def _folded_note(rows: Sequence[ComparisonRow], metrics: Sequence[str]) -> list[str]:
    if not rows:
        return []
    told = []
    for row in rows:
        numbers = " / ".join(f"{value:.2f}" for value in row.published.values())
        size = row.published_parameters.get("total")
        told.append(f"{row.label} {numbers}" + (f", {size / 1e6:g} M" if size else ""))
    names = [_short(metric) for metric in metrics if any(metric in row.published for row in rows)]
    return [f"Cited by the paper, not run here ({' / '.join(names)}): {'; '.join(told)}."]


def _result_notes(section: Section) -> list[str]:
    notes = []
    if any(row.ours for row in section.rows):
        notes.append("ours: mean over the n finished seeds; one seed has no interval.")
        if not section.comparable:
            notes += _effect_note(section)
    if not section.comparable:
        notes.append(
            f"Not comparable: the paper trained at scale paper on {published.data(section.table)}, "
            f"these runs at scale {section.scale} on {section.data}."
        )
    if any(row.kind == "control" for row in section.rows):
        notes.append("control: a row of ours that the paper does not have.")
    users: dict[str, list[str]] = {}
    for row in section.rows:
        if row.protocol:
            users.setdefault(row.protocol, []).append(row.label)
    if users:
        names = [name + f" ({', '.join(of)})" * (len(users) > 1) for name, of in users.items()]
        translated = published.metric(section.table) == "bleu"
        what = "translation" if translated else "evaluation protocol"
        notes.append(f"{what}: {'; '.join(names)}.")
    return notes


def _effect_note(section: Section) -> list[str]:
    names = published.our_labels(section.table)
    baselines = {row.baseline for row in section.rows if row.effect or row.published_effect}
    baselines.discard(None)
    if len(baselines) == 1:
        return [f"effect: a row's number less that of {names[baselines.pop()]}."]
    pairs = [
        f"{names[row.row]} less {names[row.baseline]}"
        for row in section.rows
        if row.published_effect
    ]
    return [f"effect: {'; '.join(pairs)}."] if pairs else []


def _millions(count: int | None, digits: int = 2) -> Number | None:
    return None if count is None else Number(count / 1_000_000, f".{digits}f")


def parameters(section: Section) -> Grid | None:
    """Counts of our models, part by part; None where none has been built."""
    built = [row for row in section.rows if row.parameters]
    columns: RowColumns = {"row": lambda row: section.labels[row.row]}
    columns |= {part: lambda row, part=part: row.parameters[part] for part in PARTS}
    return Grid.of("Parameters of our models, by part", built, columns) if built else None


def sizes(table: str, runs: Sequence[RunRecord], steps: Sequence[StepRecord]) -> Grid | None:
    """The paper's counts and those of our models at the paper's size, from steps and runs.

    None without such a model: the table's results have the published totals.
    """
    ours: dict[str, Mapping[str, int]] = {step.row: step.parameters for step in steps}
    paper_setting = ("paper", published.data(table))
    ours |= {run.row: run.parameters for run in runs if (run.scale, run.data) == paper_setting}
    if not ours:
        return None
    rows = [row for row in published.table(table) if row.parameters or row.row in ours]
    columns: dict[str, Callable[[PublishedRow], Cell]] = {"row": lambda row: row.label}
    for part in PARTS:
        if any(part in row.parameters for row in rows):
            columns[f"{part}\npaper"] = lambda row, part=part: _millions(
                row.parameters.get(part), row.decimals.get(part, 2)
            )
        columns[f"{part}\nours"] = lambda row, part=part: _millions(ours.get(row.row, {}).get(part))

    def difference(row: PublishedRow) -> Number | None:
        if row.row not in ours or "total" not in row.parameters:
            return None
        gap = ours[row.row]["total"] - row.parameters["total"]
        return num(round(gap / 1e6, 2) + 0.0, "+.2f")  # + 0.0 turns -0.0 into 0.0

    columns["total\ndiff."] = difference
    return Grid.of(f"Table {table}: millions of parameters", rows, columns)


def runs(section: Section, place: Path | None = None) -> Grid | None:
    """One line per run; None without a run.

    Args:
        place: a folder from which links lead to the records; no links without it.
    """
    sets = dict.fromkeys(s for record in section.runs for s in record.translation_scores)

    def scored(record: RunRecord, split: str) -> int | None:
        final = record.final if record.finished else {}
        return final[split]["scored_tokens"] if split in final else None

    columns: dict[str, Callable[[RunRecord], Cell]] = {
        "row": lambda r: section.labels[r.row],
        "seed": lambda r: num(r.seed, "d"),
        "status": lambda r: r.status,
        "valid ppl": lambda r: num(r.metrics.get("valid_ppl")),
        "test ppl": lambda r: num(r.metrics.get("test_ppl")),
        **{f"BLEU, {s}": lambda r, s=s: num(r.metrics.get(f"{s}_bleu")) for s in sets},
        "best epoch": lambda r: f"{r.best_epoch or '-'} of {len(r.epochs)}",
        "valid tokens scored": lambda r: scored(r, "valid"),
        "test tokens scored": lambda r: scored(r, "test"),
        "tokens/s": lambda r: num(r.speed["tokens_per_second"], ",.0f"),
        "peak MiB": lambda r: num(r.peak_memory_mib, ",.0f"),
        "minutes": lambda r: num(r.speed["seconds"] / 60, ".1f"),
        "device": lambda r: r.provenance["device"],
        "commit": lambda r: commit(r.provenance),
    }
    if place is not None:
        columns["record"] = lambda r: Link("record.json", link(r.path, place))
    translated = published.metric(section.table) == "bleu"
    notes = ["Perplexity and tokens are those of target subwords."] if translated else []
    return Grid.of("Runs", section.runs, columns, notes) if section.runs else None


def link(path: Path, place: Path) -> str:
    """The relative address of the file from the folder `place`."""
    return quote(Path(os.path.relpath(path.resolve(), place.resolve())).as_posix())
