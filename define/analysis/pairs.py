"""Paired differences: one row less another, seed by seed, beside the paper's difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from define.analysis import published
from define.analysis.compare import (
    ComparisonRow,
    headline_metric,
    metrics,
    section_runs,
)
from define.analysis.stats import interval95, summarise
from define.errors import InputError
from define.report import chapters
from define.report.grid import Grid, markdown
from define.report.render import ABSENT, signed
from define.runs.records import RunRecord

_HEADER = ("difference", "metric", "mean", "95 % interval", "n", "seeds", "paper", "direction")

_BETTER = {"ppl": "below", "bleu": "above"}
"""Metric of a table -> the side of zero on which the row named first is better."""


@dataclass(frozen=True)
class PairedDifference:
    """Mean of `row_a` less `row_b` over the seeds that both finished.

    Attributes:
        mean, std, n: as in `Statistic`; mean and std are None if no seed is shared.
        interval95: Student's t interval of the mean, None for fewer than two shared seeds.
    """

    row_a: str
    row_b: str
    scale: str
    metric: str
    seeds: tuple[int, ...]
    mean: float | None
    std: float | None
    n: int
    interval95: tuple[float, float] | None


def paired_difference(
    records: Sequence[RunRecord], row_a: str, row_b: str, scale: str, metric: str
) -> PairedDifference:
    """How much `row_a` exceeds `row_b` in `metric`, seed by seed.

    Args:
        records: of one table and one corpus.
    Raises:
        InputError: a row has two runs of the same seed, from different tables or corpora.
    """
    by_row: dict[str, dict[int, float]] = {row_a: {}, row_b: {}}
    for record in records:
        if record.scale != scale or record.row not in by_row or metric not in record.metrics:
            continue
        values = by_row[record.row]
        if record.seed in values:
            raise InputError(
                f"row {record.row!r} has two runs of seed {record.seed} at scale {scale}; pair the "
                "records of one table and one corpus at a time"
            )
        values[record.seed] = record.metrics[metric]
    seeds = tuple(sorted(by_row[row_a].keys() & by_row[row_b].keys()))
    differences = [by_row[row_a][seed] - by_row[row_b][seed] for seed in seeds]
    statistic = summarise(differences) if differences else None
    return PairedDifference(
        row_a=row_a,
        row_b=row_b,
        scale=scale,
        metric=metric,
        seeds=seeds,
        mean=statistic.mean if statistic else None,
        std=statistic.std if statistic else None,
        n=len(seeds),
        interval95=interval95(statistic) if statistic else None,
    )


def direction(paired: PairedDifference, paper: float | None) -> str:
    """How our difference of at least one seed stands to the paper's.

    Returns: "same" or "opposite" where the 95 % interval lies on one side of zero, "undecided"
        where it does not, "one seed" where there is no interval, "-" where the paper has no
        difference or one of zero.
    """
    if not paper:
        return ABSENT
    if paired.interval95 is None:
        return "one seed"
    low, high = paired.interval95
    if low <= 0 <= high:
        return "undecided"
    return "same" if paper * low > 0 else "opposite"


def chosen_pairs(section: Sequence[ComparisonRow]) -> list[tuple[ComparisonRow, ComparisonRow]]:
    """The pairs of a section that finished: the paper's claims, and each control with every row.

    A table of the paper without pairs of its own has all of them. The first of a pair less the
    second is the difference.
    """
    claims = published.pairs(section[0].table)
    chosen = []
    for earlier, later in combinations([row for row in section if row.seeds], 2):
        if (earlier.row, later.row) in claims:
            chosen.append((earlier, later))
        elif not claims or (later.row, earlier.row) in claims or later.kind == "control":
            chosen.append((later, earlier))
    return chosen


def section_grid(section: Sequence[ComparisonRow], found: Sequence[RunRecord]) -> Grid | None:
    """The paired differences of one section; None without a shared seed."""
    runs = section_runs(section, found)
    lines = [line for pair in chosen_pairs(section) for line in _lines(section, runs, *pair)]
    return Grid("Paired differences", _HEADER, lines, _notes(section)) if lines else None


def explanation(table: str) -> str:
    """How to read the paired differences of a table."""
    return (
        f"One row less another, seed by seed; {_BETTER[published.metric(table)]} zero, the "
        "one named first is better. The interval is that of the mean over the n shared seeds "
        "(Student's t, n - 1 degrees of freedom), each taken alone; it needs two seeds. Direction "
        "compares its sign with the sign of the paper's difference; it is undecided where the "
        "interval covers zero."
    )


def chapter(rows: Sequence[ComparisonRow], found: Sequence[RunRecord]) -> list[str]:
    """The report's blocks of paired differences; none without a shared seed."""

    def part(section: Sequence[ComparisonRow]) -> list[str]:
        grid = section_grid(section, found)
        return [markdown(grid)] if grid else []

    return chapters.chapter(rows, ["## Paired differences", explanation(rows[0].table)], part)


def _lines(
    section: Sequence[ComparisonRow],
    runs: Sequence[RunRecord],
    first: ComparisonRow,
    second: ComparisonRow,
) -> list[list[str]]:
    names = published.our_labels(first.table)
    pair = [names.get(row.row, row.label) for row in (first, second)]
    lines = []
    for metric in metrics(section):
        paired = paired_difference(runs, first.row, second.row, first.scale, metric)
        if paired.mean is None:
            continue
        beside = _beside(section, metric)
        printed = beside in first.published and beside in second.published
        paper = first.published[beside] - second.published[beside] if printed else None
        interval = paired.interval95
        lines.append(
            [
                " less ".join(pair),
                metric,
                signed(paired.mean),
                f"[{signed(interval[0])}, {signed(interval[1])}]" if interval else ABSENT,
                str(paired.n),
                ", ".join(map(str, paired.seeds)),
                signed(paper),
                direction(paired, paper),
            ]
        )
    return lines


def _beside(section: Sequence[ComparisonRow], metric: str) -> str:
    """The paper's metric to compare with ours: the same, or BLEU of its test set for our sets."""
    same = metric.endswith("_ppl") or any(metric in row.published for row in section)
    return metric if same else headline_metric(section[0].table)


def _notes(section: Sequence[ComparisonRow]) -> list[str]:
    others = [metric for metric in metrics(section) if _beside(section, metric) != metric]
    if not others:
        return []
    sets = ", ".join(metric.removesuffix("_bleu") for metric in others)
    test_set = headline_metric(section[0].table).removesuffix("_bleu")
    return [
        f"On {sets}, which the paper does not have, its difference is that on its test set, "
        f"{test_set}; only the direction can be compared."
    ]
