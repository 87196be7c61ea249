"""The paper's tables, read from `published.yaml` in this folder.

Every function that takes a table's name raises InputError if the paper has no such table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from define.errors import InputError

Pairs = list[tuple[str, str]]
"""(row, the row to subtract from it)."""


@dataclass(frozen=True)
class PublishedRow:
    """One row of a table of the paper, with the keys that the head of `published.yaml` describes.

    Attributes:
        parameters: part -> count (the paper prints millions); unprinted parts are absent.
        decimals: part -> how many decimals of a million the paper prints.
        metrics: metric -> value, e.g. {"valid_ppl": 61.2, "test_ppl": 58.8}; unprinted ones absent.
        raw: the other keys of the row in the file (n, k, m, N, ms_per_batch, ...).
        baseline: the row that this row's effect is the difference from, if any.
    """

    table: str
    row: str
    label: str
    parameters: Mapping[str, int]
    metrics: Mapping[str, float]
    raw: Mapping[str, Any]
    decimals: Mapping[str, int] = field(default_factory=dict)
    same_run: tuple[str, str] | None = None
    cited: bool = False
    baseline: str | None = None


@dataclass(frozen=True)
class Series:
    """Rows of a table, by increasing size, that a figure connects unless they are not `joined`."""

    label: str
    rows: Sequence[str]
    point: str = "label"
    joined: bool = True


@dataclass(frozen=True)
class Claim:
    """A conclusion of the paper, as a question; `published.yaml` describes the other fields."""

    id: str
    question: str
    paper: str
    pairs: Mapping[str, Pairs]
    matches: bool = False
    fewer_parameters: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)


@cache
def _load() -> dict[str, Any]:
    return yaml.safe_load(Path(__file__).with_name("published.yaml").read_text(encoding="utf-8"))


def names() -> list[str]:
    """The names of the paper's tables, in the paper's order."""
    return list(_load()["tables"])


def _entry(name: str) -> dict[str, Any]:
    tables = _load()["tables"]
    if name not in tables:
        raise InputError(
            f"table {name!r} is not one of the paper's; choose one of {', '.join(tables)}"
        )
    return tables[name]


def caption(name: str) -> str:
    """What the table shows."""
    return _entry(name)["caption"]


def data(name: str) -> str:
    """The corpus of the numbers, e.g. "ptb"."""
    return _entry(name)["data"]


def metric(name: str) -> str:
    """What the table compares: "ppl" (lower is better) or "bleu"."""
    return _entry(name).get("metric", "ppl")


def baseline(name: str) -> str | None:
    """The row that the effects of the whole table are differences from."""
    found = _entry(name).get("baseline")
    return found if isinstance(found, str) else None


def table(name: str) -> list[PublishedRow]:
    """The rows of a table in the paper's order."""
    return [_row(name, dict(entry)) for entry in _entry(name)["rows"]]


def _row(name: str, raw: dict[str, Any]) -> PublishedRow:
    slug, baseline = raw.pop("row"), _entry(name).get("baseline")
    if isinstance(baseline, dict):
        baseline = baseline.get(slug)
    millions = raw.pop("params", {})
    scores = {"ppl": raw.pop("ppl", {}), "bleu": raw.pop("bleu", {})}
    return PublishedRow(
        table=name,
        row=slug,
        label=raw.pop("label"),
        parameters={part: round(value * 1_000_000) for part, value in millions.items()},
        decimals={part: 0 if isinstance(value, int) else 2 for part, value in millions.items()},
        metrics={f"{s}_{kind}": value for kind in scores for s, value in scores[kind].items()},
        same_run=tuple(raw.pop("same_run", ())) or None,
        cited=raw.pop("cited", False),
        baseline=baseline if baseline != slug else None,
        raw=raw,
    )


def our_labels(name: str) -> dict[str, str]:
    """Row -> the name of our run of it: the paper's label, unless that names the paper's run."""
    return {row.row: row.raw.get("ours", row.label) for row in table(name)}


def ms_per_batch(name: str) -> dict[str, float]:
    """Row -> the paper's milliseconds per batch, for the rows that have them."""
    return {row.row: row.raw["ms_per_batch"] for row in table(name) if "ms_per_batch" in row.raw}


def pairs(name: str) -> Pairs:
    """The comparisons that the table was made for, those of the claims first."""
    claimed = [pair for claim in claims() for pair in claim.pairs.get(name, ())]
    return list(dict.fromkeys(claimed + _tuples(_entry(name).get("pairs", ()))))


def claims() -> list[Claim]:
    """What the paper concludes, in the order of its tables."""
    return [
        Claim(**entry | {"pairs": {name: _tuples(of) for name, of in entry["pairs"].items()}})
        for entry in _load()["claims"]
    ]


def _tuples(pairs: Iterable[Sequence[str]]) -> Pairs:
    return [(first, second) for first, second in pairs]


def series(name: str) -> list[Series]:
    """What a figure of the table connects; none if it has no curve."""
    return [Series(**entry) for entry in _entry(name).get("series", ())]


def caveats(tables: Iterable[str]) -> list[str]:
    """What qualifies the paper's own answers to claims that rest on these tables."""
    shown, found = set(tables), _load()["caveats"]
    return [entry["text"] for entry in found if shown & set(entry.get("tables", shown))]


def contradictions(name: str) -> list[str]:
    """Where the table's printed parameter counts disagree with other counts in the paper."""
    return [entry["text"] for entry in _load()["contradictions"] if name in entry["tables"]]
