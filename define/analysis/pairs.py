"""Paired differences: one row less another, seed by seed, and the paper's difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from define.analysis import published
from define.analysis.compare import ComparisonRow, Section, headline_metric
from define.analysis.stats import Statistic, summarise
from define.runs.records import RunRecord


@dataclass(frozen=True)
class PairedDifference:
    """`row_a` less `row_b` over the seeds that both have finished; None if they share no seed."""

    row_a: str
    row_b: str
    metric: str
    seeds: tuple[int, ...]
    difference: Statistic | None

    @property
    def interval95(self) -> tuple[float, float] | None:
        """Student's t interval of the mean; None for fewer than two shared seeds."""
        return self.difference and self.difference.interval95


def paired_difference(
    runs: Sequence[RunRecord], row_a: str, row_b: str, metric: str
) -> PairedDifference:
    """By how much `row_a` exceeds `row_b` in `metric`; the runs are those of one section."""
    a, b = (
        {r.seed: r.metrics[metric] for r in runs if r.row == row and metric in r.metrics}
        for row in (row_a, row_b)
    )
    seeds = tuple(sorted(a.keys() & b.keys()))
    return PairedDifference(row_a, row_b, metric, seeds, summarise([a[s] - b[s] for s in seeds]))


def direction(paired: PairedDifference, paper: float | None) -> str | None:
    """How our difference compares with the paper's.

    Returns: "same" or "opposite" where the 95 % interval lies on one side of zero, "undecided"
        where it covers zero, "one seed" where there is no interval, None where the paper has no
        difference or one of zero.
    """
    if not paper:
        return None
    if paired.interval95 is None:
        return "one seed"
    low, high = paired.interval95
    if low <= 0 <= high:
        return "undecided"
    return "same" if paper * low > 0 else "opposite"


def chosen_pairs(section: Section) -> list[tuple[ComparisonRow, ComparisonRow]]:
    """The pairs of finished rows to compare: the paper's, and each control with every row.

    A table for which the paper names no pairs has all of them. The difference is the first row of a
    pair less the second.
    """
    claims = published.pairs(section.table)
    chosen = []
    for earlier, later in combinations([row for row in section.rows if row.seeds], 2):
        if (earlier.row, later.row) in claims:
            chosen.append((earlier, later))
        elif not claims or (later.row, earlier.row) in claims or later.kind == "control":
            chosen.append((later, earlier))
    return chosen


def differences(section: Section) -> list[tuple[PairedDifference, float | None]]:
    """Each chosen pair's difference in each metric, and the paper's; those with a shared seed."""
    found = []
    for first, second in chosen_pairs(section):
        for metric in section.metrics:
            paired = paired_difference(section.runs, first.row, second.row, metric)
            if paired.seeds:
                paper = paper_metric(section, metric)
                printed = paper in first.published and paper in second.published
                difference = first.published[paper] - second.published[paper] if printed else None
                found.append((paired, difference))
    return found


def paper_metric(section: Section, metric: str) -> str:
    """The paper's metric to compare with ours: the same, or BLEU of its test set for our sets."""
    same = metric.endswith("_ppl") or any(metric in row.published for row in section.rows)
    return metric if same else headline_metric(section.table)
