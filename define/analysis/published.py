"""The paper's tables, read from `published.yaml` in this folder."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from define.errors import InputError


@dataclass(frozen=True)
class PublishedRow:
    """One row of a table of the paper.

    Attributes:
        table, row: the table's name ("1c") and our slug of the row ("awd_lstm_define").
        label: the paper's name of the row.
        parameters: part -> plain count (the paper prints millions); unprinted parts are absent.
        decimals: part -> how many decimals of a million the paper prints: 2, or 0 for whole ones.
        metrics: metric -> value, e.g. {"valid_ppl": 61.2, "test_ppl": 58.8}; unprinted ones absent.
        raw: whatever else the row of the file holds (n, k, m, N, ms_per_batch, ...).
        same_run: (table, row) whose run of ours this row shows; None if it has its own.
        cited: whether the paper cites the row from others; it has no config here.
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
    """Rows of a table that a figure connects.

    Attributes:
        rows: slugs, in order of their size.
        point: what a point is named after: "label" (the row's label), or a dimension ("n", "N").
        joined: whether a line goes through the points; not where other things differ than size.
    """

    label: str
    rows: Sequence[str]
    point: str = "label"
    joined: bool = True


@dataclass(frozen=True)
class Claim:
    """A conclusion of the paper, as a question.

    Attributes:
        id: a slug, e.g. "define_helps".
        paper: the paper's own answer.
        pairs: table -> its (row, the row to subtract from it), all of which the answer rests on.
        matches: whether "yes" asks that the first row is not worse by more than a margin; otherwise
            that it is better.
        fewer_parameters: whether "yes" also asks for a smaller model in the first row.
        notes: table -> what else the rows of its pairs differ in, in a sentence.
    """

    id: str
    question: str
    paper: str
    pairs: Mapping[str, Sequence[tuple[str, str]]]
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
    """What the table shows. Raises InputError if there is no such table."""
    return _entry(name)["caption"]


def data(name: str) -> str:
    """The corpus of the numbers, e.g. "ptb". Raises InputError if there is no such table."""
    return _entry(name)["data"]


def metric(name: str) -> str:
    """What the table compares: "ppl", less is better, or "bleu". Raises as `data`."""
    return _entry(name).get("metric", "ppl")


def table(name: str) -> list[PublishedRow]:
    """The rows of a table in the paper's order. Raises InputError if there is no such table."""
    return [_row(name, entry) for entry in _entry(name)["rows"]]


def baseline(name: str) -> str | None:
    """The row that the effects of the whole table are differences from. Raises as `data`."""
    found = _entry(name).get("baseline")
    return found if isinstance(found, str) else None


def our_labels(name: str) -> dict[str, str]:
    """Row -> what our run of it is called: mostly its label. Raises as `table`."""
    return {row.row: row.raw.get("ours", row.label) for row in table(name)}


def ms_per_batch(name: str) -> dict[str, float]:
    """Row -> the paper's milliseconds per batch, of the rows that have them. Raises as `table`."""
    return {row.row: row.raw["ms_per_batch"] for row in table(name) if "ms_per_batch" in row.raw}


def _row(name: str, entry: dict[str, Any]) -> PublishedRow:
    raw, slug = dict(entry), entry["row"]
    baseline = _entry(name).get("baseline")
    if isinstance(baseline, dict):
        baseline = baseline.get(slug)
    millions = raw.pop("params", {})
    metrics = {f"{split}_ppl": value for split, value in raw.pop("ppl", {}).items()}
    metrics |= {f"{test_set}_bleu": value for test_set, value in raw.pop("bleu", {}).items()}
    return PublishedRow(
        table=name,
        row=raw.pop("row"),
        cited=raw.pop("cited", False),
        baseline=baseline if baseline != slug else None,
        label=raw.pop("label"),
        parameters={part: round(value * 1_000_000) for part, value in millions.items()},
        metrics=metrics,
        decimals={part: 0 if isinstance(value, int) else 2 for part, value in millions.items()},
        same_run=tuple(raw.pop("same_run", ())) or None,
        raw=raw,
    )


def pairs(name: str) -> list[tuple[str, str]]:
    """The comparisons that the table was made for: (row, the row to subtract from it).

    Those of the claims come first. Raises: InputError if there is no such table.
    """
    further = [(first, second) for first, second in _entry(name).get("pairs", ())]
    claimed = [pair for claim in claims() for pair in claim.pairs.get(name, ())]
    return list(dict.fromkeys(claimed + further))


def claims() -> list[Claim]:
    """What the paper concludes, in the order of its tables."""
    return [Claim(**entry | {"pairs": _tuples(entry["pairs"])}) for entry in _load()["claims"]]


def _tuples(pairs: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, list[tuple[str, str]]]:
    return {table: [(first, second) for first, second in found] for table, found in pairs.items()}


def caveats(tables: Iterable[str]) -> list[str]:
    """What qualifies the paper's own answers to claims that rest on these tables."""
    shown = set(tables)
    found = _load()["caveats"]
    return [entry["text"] for entry in found if shown & set(entry.get("tables", shown))]


def series(name: str) -> list[Series]:
    """What a figure of the table connects; none if it has no curve. Raises as `pairs`."""
    return [Series(**entry) for entry in _entry(name).get("series", ())]


def contradictions(name: str) -> list[str]:
    """Where the table's printed parameter counts disagree with the paper's other ones."""
    _entry(name)
    return [entry["text"] for entry in _load()["contradictions"] if name in entry["tables"]]
