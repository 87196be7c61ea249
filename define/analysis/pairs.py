"""Paired differences: one row less another, seed by seed, and the paper's difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from define.analysis import published
from define.analysis.compare import ComparisonRow, headline_metric, metrics, section_runs
from define.analysis.stats import Statistic, summarise
from define.errors import InputError
from define.runs.records import RunRecord


@dataclass(frozen=True)
class PairedDifference:
    """`row_a` less `row_b` over the seeds that both finished; None if they share no seed."""

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
    records: Sequence[RunRecord], row_a: str, row_b: str, metric: str
) -> PairedDifference:
    """How much `row_a` exceeds `row_b` in `metric`, seed by seed.

    Args:
        records: of one table, one scale and one corpus.
    Raises:
        InputError: a row has two runs of the same seed, from different tables, scales or corpora.
    """
    by_row: dict[str, dict[int, float]] = {row_a: {}, row_b: {}}
    for record in records:
        if record.row not in by_row or metric not in record.metrics:
            continue
        if record.seed in by_row[record.row]:
            raise InputError(
                f"row {record.row!r} has two runs of seed {record.seed}; pair the records of one "
                "table, one scale and one corpus at a time"
            )
        by_row[record.row][record.seed] = record.metrics[metric]
    seeds = tuple(sorted(by_row[row_a].keys() & by_row[row_b].keys()))
    differences = [by_row[row_a][seed] - by_row[row_b][seed] for seed in seeds]
    return PairedDifference(row_a, row_b, metric, seeds, summarise(differences))


def direction(paired: PairedDifference, paper: float | None) -> str | None:
    """How our difference compares with the paper's.

    Returns: "same" or "opposite" where the 95 % interval lies on one side of zero, "undecided"
        where it does not, "one seed" where there is no interval, None where the paper has no
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


def differences(
    section: Sequence[ComparisonRow], records: Sequence[RunRecord]
) -> list[tuple[PairedDifference, float | None]]:
    """Each chosen pair's difference in each metric, and the paper's; those with a shared seed."""
    runs = section_runs(section, records)
    found = []
    for first, second in chosen_pairs(section):
        for metric in metrics(section):
            paired = paired_difference(runs, first.row, second.row, metric)
            if paired.seeds:
                paper = paper_metric(section, metric)
                printed = paper in first.published and paper in second.published
                difference = first.published[paper] - second.published[paper] if printed else None
                found.append((paired, difference))
    return found


def paper_metric(section: Sequence[ComparisonRow], metric: str) -> str:
    """The paper's metric to compare with ours: the same, or BLEU of its test set for our sets."""
    same = metric.endswith("_ppl") or any(metric in row.published for row in section)
    return metric if same else headline_metric(section[0].table)
