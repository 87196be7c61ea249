"""The paper's claims, answered from our runs: yes, no or undecided, section by section."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from define.analysis import budget, published
from define.analysis.budget import Budget
from define.analysis.compare import (
    ComparisonRow,
    by_row,
    by_section,
    compare,
    headline_metric,
    of_table,
    section_runs,
)
from define.analysis.pairs import PairedDifference, paired_difference
from define.analysis.published import Claim
from define.errors import InputError
from define.runs.records import RunRecord

MARGIN = 0.01
"""How much worse, relative to the second row's mean, a row may be that is said to match it."""

VERDICTS = ("yes", "no", "undecided", "not run")

_NO = {
    "": "no",
    "size": "not at this size",
    "budget": "not at this budget",
    "one rate": "not at this budget, with one rate",
}
"""What limits a "no" -> how it reads; the later, the less it says."""

RULE = (
    "yes: in every pair the whole 95 % interval of the difference lies on the better side; no: in "
    "every pair on the worse side; undecided: anything else, and every difference of one seed. "
    "What should need fewer parameters and does not is a no by its counts alone.",
    "Only runs at scale paper can answer no. A no from any other scale reads: not at this budget "
    "(by counts: not at this size); where all runs of a pair had one learning rate for all parts "
    "of the model, it reads: not at this budget, with one rate.",
    "A difference is the first row less the second, paired over the seeds that both have, on the "
    "test set; its interval is that of the mean (Student's t, n - 1 degrees of freedom).",
    "Intervals are not corrected for several pairs: yes and no need all of them, which makes "
    "neither likelier by chance. Nor are they for several claims: between rows that are equal in "
    "truth, up to one answer in twenty is yes or no.",
)
"""How an answer comes about, in sentences."""


@dataclass(frozen=True)
class PairAnswer:
    """What one pair of rows says.

    Attributes:
        first, second: slugs of the rows; the difference is the first less the second.
        labels: what our runs of the two are called.
        verdict: "yes", "no", "undecided" or "not run".
        limit: what limits a "no": "" at scale paper, else "size", "budget" or "one rate".
        reason: if not the interval: "one seed", "no shared seed" or "not fewer parameters".
        difference: ours, in the answer's metric.
        paper: the paper's difference.
        margin: how much worse the first may be, in the metric: 0 where it has to be better; None
            where no seed is shared.
        parameters: in total, of our models of the two; None if one is not run.
    """

    first: str
    second: str
    labels: tuple[str, str]
    verdict: str
    limit: str
    reason: str
    difference: PairedDifference
    paper: float
    margin: float | None
    parameters: tuple[int, int] | None

    def to_json(self) -> dict[str, Any]:
        """The pair as plain JSON values."""
        plain = ("first", "second", "verdict", "limit", "reason")
        found = self.difference.difference
        return {
            **{name: getattr(self, name) for name in plain},
            "answer": text(self),
            **(found.to_json() if found else dict.fromkeys(("mean", "std", "n", "low", "high"))),
            "n": len(self.difference.seeds),
            "seeds": list(self.difference.seeds),
            "paper_difference": self.paper,
            "margin": self.margin,
            "parameters": self.parameters and list(self.parameters),
        }


@dataclass(frozen=True)
class Answer:
    """What the runs of one section of a table say to a claim.

    Attributes:
        metric: what the differences are of: the paper's test metric, or our corpus's last test set.
        margin: relative, how much worse a row may be that matches; None where it has to be better.
        verdict: that of all pairs where they agree; "undecided" where they do not.
        limit: what limits a "no": of all pairs' limits the one that says least.
        reason: why it is undecided, e.g. "one seed" or "1 yes; 2 undecided"; "" if by intervals.
        budgets: the different ones of the runs behind the differences.
        trials: row -> search trials on record, of every row of a pair; none if no row has any.
    """

    claim: Claim
    table: str
    scale: str
    data: str
    metric: str
    margin: float | None
    verdict: str
    limit: str
    reason: str
    budgets: tuple[Budget, ...]
    trials: Mapping[str, int]
    pairs: tuple[PairAnswer, ...]

    def to_json(self) -> dict[str, Any]:
        """The answer as plain JSON values."""
        place = ("table", "scale", "data", "metric", "margin")
        return {
            "claim": self.claim.id,
            "question": self.claim.question,
            **{name: getattr(self, name) for name in place},
            "paper": self.claim.paper,
            **{name: getattr(self, name) for name in ("verdict", "limit", "reason")},
            "answer": text(self),
            "budgets": [asdict(each) for each in self.budgets],
            "trials": dict(self.trials),
            "pairs": [pair.to_json() for pair in self.pairs],
        }


def text(answer: Answer | PairAnswer) -> str:
    """The verdict with its limit and reason, e.g. "undecided (one seed)", "not at this budget"."""
    return _word(answer) + (f" ({answer.reason})" if answer.reason else "")


def _word(answer: Answer | PairAnswer) -> str:
    return _NO[answer.limit] if answer.verdict == "no" else answer.verdict


def stated(answer: Answer) -> list[str]:
    """What the answer holds for: budget, and search trials if any are on record."""
    return [*budget_fact(answer), *search_fact(answer)]


def budget_fact(answer: Answer) -> list[str]:
    """How long the runs behind the answer were trained; nothing without runs."""
    return [f"budget: {budget.text(answer.budgets)}"] if answer.budgets else []


def search_fact(answer: Answer) -> list[str]:
    """How many search trials each row had; nothing where none is on record."""
    if not answer.trials:
        return []
    names = published.our_labels(answer.table)
    counts = [f"{count} for {names[row]}" for row, count in answer.trials.items() if count]
    if len(counts) < len(answer.trials):
        counts.append("none for the others")
    return [f"search trials on record: {', '.join(counts)}"]


def answers(
    records: Sequence[RunRecord],
    scales: Sequence[str] | None = None,
    tables: Collection[str] | None = None,
    margin: float = MARGIN,
    trials: Sequence[RunRecord] = (),
) -> list[Answer]:
    """Every claim's answer in each section of each of its tables, in the order of the claims.

    Args:
        scales: only these scales, as in `compare`.
        tables: only these tables; by default all.
        margin: relative to the second row's mean, how much worse a row may be that matches it.
        trials: of hyper-parameter searches, as `records.find_trials` gives them.
    Raises:
        InputError: a margin outside of [0, 1), or as in `compare`.
    """
    if not 0 <= margin < 1:
        raise InputError(f"a margin of {margin:g} is not a share from 0 to below 1; take e.g. 0.01")
    found = []
    by_table: dict[str, list[list[ComparisonRow]]] = {}
    for claim in published.claims():
        for table in claim.pairs:
            if tables is not None and table not in tables:
                continue
            if table not in by_table:
                by_table[table] = by_section(compare(table, records, scales))
            runs, tried = of_table(table, records), of_table(table, trials)
            found += [
                _answer(claim, section, section_runs(section, runs), margin, tried)
                for section in by_table[table]
            ]
    return found


def _answer(
    claim: Claim,
    section: Sequence[ComparisonRow],
    runs: Sequence[RunRecord],
    margin: float,
    trials: Sequence[RunRecord],
) -> Answer:
    first = section[0]
    rows = {row.row: row for row in section}
    metric = _metric(first.table, runs)
    pairs = tuple(
        _pair(claim, rows[a], rows[b], runs, metric, margin) for a, b in claim.pairs[first.table]
    )
    verdicts = Counter(pair.verdict for pair in pairs)
    if len(verdicts) > 1:
        verdict = "undecided"
        ordered = sorted(pairs, key=lambda pair: VERDICTS.index(pair.verdict))
        words = Counter(map(_word, ordered))
        reason = "; ".join(f"{count} {word}" for word, count in words.items())
    else:
        verdict = pairs[0].verdict
        reasons = {pair.reason for pair in pairs}
        reason = reasons.pop() if len(reasons) == 1 else ""
    return Answer(
        claim=claim,
        table=first.table,
        scale=first.scale,
        data=first.data,
        metric=metric,
        margin=margin if claim.matches else None,
        verdict=verdict,
        limit=max((pair.limit for pair in pairs), key=list(_NO).index) if verdict == "no" else "",
        reason=reason,
        budgets=budget.budgets([run for pair in pairs for run in _behind(pair.difference, runs)]),
        trials=_trials(first, pairs, trials),
        pairs=pairs,
    )


def _behind(paired: PairedDifference, runs: Iterable[RunRecord]) -> list[RunRecord]:
    """The runs of the section that a difference rests on."""
    rows = (paired.row_a, paired.row_b)
    return [run for run in runs if run.row in rows and run.seed in paired.seeds]


def _trials(
    first: ComparisonRow, pairs: Sequence[PairAnswer], trials: Sequence[RunRecord]
) -> dict[str, int]:
    section = [trial for trial in trials if (trial.scale, trial.data) == (first.scale, first.data)]
    of_row = by_row(section)
    rows = dict.fromkeys(row for pair in pairs for row in (pair.first, pair.second))
    counts = {row: len(of_row.get(row, ())) for row in rows}
    return counts if any(counts.values()) else {}


def _metric(table: str, runs: Sequence[RunRecord]) -> str:
    """The paper's test metric, or that on the last set of our corpus where runs do not have it."""
    paper = headline_metric(table)
    suffix = f"_{published.metric(table)}"
    measured = list(dict.fromkeys(m for r in runs for m in r.metrics if m.endswith(suffix)))
    return paper if paper in measured or not measured else measured[-1]


def _pair(
    claim: Claim,
    first: ComparisonRow,
    second: ComparisonRow,
    runs: Sequence[RunRecord],
    metric: str,
    margin: float,
) -> PairAnswer:
    paired = paired_difference(runs, first.row, second.row, metric)
    allowed = None
    if paired.seeds:
        shared = [r for r in runs if r.row == second.row and r.seed in paired.seeds]
        mean = sum(record.metrics[metric] for record in shared) / len(paired.seeds)
        allowed = margin * mean if claim.matches else 0.0
    counts = [row.parameters["total"] for row in (first, second) if row.seeds]
    verdict, reason = _verdict(paired, allowed, less_is_better=metric.endswith("_ppl"))
    if len(counts) < 2:
        verdict, reason = "not run", ""
    elif claim.fewer_parameters and counts[0] >= counts[1]:
        verdict, reason = "no", "not fewer parameters"
    names = published.our_labels(first.table)
    printed = headline_metric(first.table)
    return PairAnswer(
        first=first.row,
        second=second.row,
        labels=(names[first.row], names[second.row]),
        verdict=verdict,
        limit=_limit(first.scale, reason, _behind(paired, runs)) if verdict == "no" else "",
        reason=reason,
        difference=paired,
        paper=first.published[printed] - second.published[printed],
        margin=allowed,
        parameters=tuple(counts) if len(counts) == 2 else None,
    )


def _limit(scale: str, reason: str, runs: Sequence[RunRecord]) -> str:
    """What limits a "no" that rests on these runs."""
    if scale == "paper":
        return ""
    if reason:
        return "size"
    return "one rate" if all(map(budget.one_rate, runs)) else "budget"


def _verdict(
    paired: PairedDifference, allowed: float | None, less_is_better: bool
) -> tuple[str, str]:
    """Verdict and reason by the interval; `allowed` is how much worse the first row may be."""
    if paired.interval95 is None:
        return "undecided", "one seed" if paired.seeds else "no shared seed"
    sign = 1 if less_is_better else -1
    worse = sorted(sign * end for end in paired.interval95)
    if worse[1] < allowed:
        return "yes", ""
    return ("no", "") if worse[0] > allowed else ("undecided", "")
