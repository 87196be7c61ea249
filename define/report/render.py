"""Comparison rows as a terminal table, Markdown, LaTeX, HTML, CSV and JSON."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from define.analysis import published
from define.analysis.compare import METRICS, ComparisonRow, metrics
from define.analysis.stats import Statistic
from define.report import grid
from define.report.grid import Grid
from define.runs.schema import PARTS

ABSENT = "-"
INTERVAL = (
    "±: half the 95 % interval of the mean over n seeds (Student's t, n - 1 degrees of freedom)."
)
UNITS = {"ppl": "perplexity", "bleu": "BLEU"}
"""A table's metric -> its name in titles and captions."""


def _json(rows: Sequence[ComparisonRow]) -> str:
    return json.dumps([row.to_json() for row in rows], indent=2, ensure_ascii=False) + "\n"


def _csv(rows: Sequence[ComparisonRow]) -> str:
    measured = dict.fromkeys([*METRICS, *(metric for row in rows for metric in row.ours)])
    lines = [_csv_line(row, measured) for row in rows]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def _csv_line(row: ComparisonRow, measured: Iterable[str]) -> dict[str, object]:
    line: dict[str, object] = {
        "table": row.table,
        "row": row.row,
        "label": row.label,
        "kind": row.kind,
        "scale": row.scale,
        "data": row.data,
        "status": row.status,
        "seeds": " ".join(map(str, row.seeds)),
        "comparable": row.comparable,
    }
    for metric in measured:
        line[f"published_{metric}"] = row.published.get(metric)
        line |= _csv_statistic(metric, row.ours.get(metric))
        line[f"{metric}_difference"] = row.difference.get(metric)
    for part in PARTS:
        line[f"published_parameters_{part}"] = row.published_parameters.get(part)
        line[f"parameters_{part}"] = (row.parameters or {}).get(part)
    line["protocol"] = row.protocol
    line["published_ms_per_batch"] = row.published_ms_per_batch
    line |= _csv_statistic("ms_per_update", row.ms_per_update)
    line |= _csv_statistic("tokens_per_second", row.tokens_per_second)
    line |= _csv_statistic("peak_memory_mib", row.peak_memory_mib)
    return line


def _csv_statistic(name: str, statistic: Statistic | None) -> dict[str, object]:
    values = statistic.to_json() if statistic else {}
    return {f"{name}_{field}": values.get(field) for field in ("mean", "std", "n", "low", "high")}


def _as_grids(
    render: Callable[[Sequence[Grid]], str],
) -> Callable[[Sequence[ComparisonRow]], str]:
    return lambda rows: render(grids(rows))


FORMATS: dict[str, Callable[[Sequence[ComparisonRow]], str]] = {
    **{name: _as_grids(render) for name, render in grid.FORMATS.items()},
    "csv": _csv,
    "json": _json,
}
"""Format -> function that turns at least one comparison row into text, ending in a line break."""


def grids(rows: Iterable[ComparisonRow]) -> list[Grid]:
    """One grid per table and section, in the order of the rows."""
    return [
        _section_grid(list(section))
        for _, section in groupby(rows, key=lambda row: (row.table, row.scale, row.data))
    ]


def section_title(row: ComparisonRow) -> str:
    """Names the section that the row belongs to."""
    return f"Table {row.table}, scale {row.scale}, data {row.data}"


def _section_grid(rows: Sequence[ComparisonRow]) -> Grid:
    first = rows[0]
    columns = [("row", [row_label(row.label, row.kind) for row in rows])]
    for metric in metrics(rows):
        columns += _metric_columns(metric, rows)
    columns += [
        ("M par.\npaper", [millions(row.published_parameters.get("total")) for row in rows]),
        ("M par.\nours", [millions((row.parameters or {}).get("total")) for row in rows]),
        ("n", [str(len(row.seeds)) if row.seeds else ABSENT for row in rows]),
        ("status", [row.status for row in rows]),
    ]
    return Grid(
        title=f"{section_title(first)}: {UNITS[published.metric(first.table)]}",
        header=[name for name, _ in columns],
        rows=list(zip(*(cells for _, cells in columns), strict=True)),
        notes=_notes(rows),
    )


def _metric_columns(metric: str, rows: Sequence[ComparisonRow]) -> list[tuple[str, list[str]]]:
    """The paper's numbers, ours and the difference; a set that only one has needs one column."""
    name = metric.removesuffix("_ppl").removesuffix("_bleu")
    mark = "" if rows[0].comparable else "†"
    paper = (f"{name}\npaper", [number(row.published.get(metric)) for row in rows])
    ours = statistics([row.ours.get(metric) for row in rows])
    if metric.endswith("_bleu"):
        if not any(metric in row.ours for row in rows):
            return [paper]
        if not any(metric in row.published for row in rows):
            return [(f"{name}\nours{mark}", ours)]
    differences = [signed(row.difference.get(metric)) for row in rows]
    return [paper, (f"{name}\nours", ours), (f"{name}\ndiff.{mark}", differences)]


def _notes(rows: Sequence[ComparisonRow]) -> list[str]:
    first = rows[0]
    notes = []
    if any(row.ours for row in rows):
        notes.append("ours: mean over the n finished seeds; one seed has no interval.")
        notes += interval_notes(statistic for row in rows for statistic in row.ours.values())
    if not first.comparable:
        notes.append(
            f"† not comparable: the paper trained at scale paper on {published.data(first.table)}, "
            f"these runs at scale {first.scale} on {first.data}."
        )
    if any(row.kind == "control" for row in rows):
        notes.append("control: a row of ours that the paper does not have.")
    return notes + _protocol_notes(rows)


def _protocol_notes(rows: Sequence[ComparisonRow]) -> list[str]:
    """Names the protocol or translation behind our numbers; the rows where there are several."""
    users: dict[str, list[str]] = {}
    for row in rows:
        if row.protocol:
            users.setdefault(row.protocol, []).append(row.label)
    if not users:
        return []
    every = len(users) == 1
    names = [name if every else f"{name} ({', '.join(of)})" for name, of in users.items()]
    what = "translation" if published.metric(rows[0].table) == "bleu" else "evaluation protocol"
    return [f"{what}: {'; '.join(names)}."]


def row_label(label: str, kind: str) -> str:
    """The row's label, marked if it is a control."""
    return f"{label} (control)" if kind == "control" else label


def sentence_case(text: str) -> str:
    """The text with a capital at its begin."""
    return text[0].upper() + text[1:]


def number(value: float | None, digits: int = 2) -> str:
    """A number with two decimals, or "-"."""
    return ABSENT if value is None else f"{value:.{digits}f}"


def signed(value: float | None) -> str:
    """A difference with its sign and two decimals, or "-"."""
    return ABSENT if value is None else f"{value:+.2f}"


def millions(count: int | None, digits: int = 2) -> str:
    """A plain count in millions with two decimals, or "-"."""
    return ABSENT if count is None else f"{count / 1_000_000:.{digits}f}"


def statistics(values: Sequence[Statistic | None]) -> list[str]:
    """A column of "mean±half" cells, padded so that the means stand below each other.

    A table with such a column has `interval_notes` below it.
    """
    means = [number(value.mean if value else None) for value in values]
    halves = [value.half_width if value else None for value in values]
    intervals = ["" if half is None else f"±{half:.2f}" for half in halves]
    width = max(map(len, intervals))
    return [mean + half.rjust(width) for mean, half in zip(means, intervals, strict=True)]


def interval_notes(values: Iterable[Statistic | None]) -> list[str]:
    """What ± stands for; nothing where no value has it."""
    shown = any(value and value.half_width is not None for value in values)
    return [INTERVAL] if shown else []
