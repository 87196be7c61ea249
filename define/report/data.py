"""Rows and answers as data: CSV and JSON with full precision."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from define.analysis import budget
from define.analysis.claims import Answer
from define.analysis.compare import METRICS, ComparisonRow
from define.analysis.stats import Statistic
from define.runs.schema import PARTS


def as_json(items: Sequence[Any]) -> str:
    """The JSON text of rows or answers."""
    return json.dumps([item.to_json() for item in items], indent=2, ensure_ascii=False) + "\n"


def _csv(lines: Sequence[Mapping[str, Any]]) -> str:
    """CSV text, its columns those of the first line."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def rows_csv(rows: Sequence[ComparisonRow]) -> str:
    """One line per row of a table and section."""
    measured = dict.fromkeys([*METRICS, *(metric for row in rows for metric in row.ours)])
    lines = []
    for row in rows:
        plain = ("table", "row", "label", "kind", "scale", "data", "status")
        line = {name: getattr(row, name) for name in plain}
        line |= {"seeds": " ".join(map(str, row.seeds)), "comparable": row.comparable}
        for metric in measured:
            line[f"published_{metric}"] = row.published.get(metric)
            line |= _statistic(metric, row.ours.get(metric))
            line[f"{metric}_difference"] = row.difference.get(metric)
        for part in PARTS:
            line[f"published_parameters_{part}"] = row.published_parameters.get(part)
            line[f"parameters_{part}"] = (row.parameters or {}).get(part)
        line["protocol"] = row.protocol
        line["published_ms_per_batch"] = row.published_ms_per_batch
        for name in ("ms_per_update", "tokens_per_second", "peak_memory_mib"):
            line |= _statistic(name, getattr(row, name))
        lines.append(line)
    return _csv(lines)


def _statistic(name: str, statistic: Statistic | None) -> dict[str, float | None]:
    values = statistic.to_json() if statistic else {}
    return {f"{name}_{field}": values.get(field) for field in ("mean", "std", "n", "low", "high")}


def answers_csv(answers: Sequence[Answer]) -> str:
    """One line per pair of rows."""
    lines = []
    for answer in answers:
        common = answer.to_json()
        pairs = common.pop("pairs")
        common["budgets"] = budget.text(answer.budgets) if answer.budgets else ""
        common["trials"] = " ".join(f"{row}={count}" for row, count in answer.trials.items())
        for pair in pairs:
            first, second = pair.pop("parameters") or (None, None)
            pair["seeds"] = " ".join(map(str, pair["seeds"]))
            pair |= {"parameters_first": first, "parameters_second": second}
            lines.append(common | {f"pair_{name}": value for name, value in pair.items()})
    return _csv(lines)


ROWS: dict[str, Callable[[Sequence[ComparisonRow]], str]] = {"csv": rows_csv, "json": as_json}
ANSWERS: dict[str, Callable[[Sequence[Answer]], str]] = {"csv": answers_csv, "json": as_json}
"""Format -> function that turns rows, or answers, into text."""
