"""The paper's claims, answered from our runs: yes, no or undecided, section by section."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from define.analysis import budget, published
from define.analysis.budget import Budget
from define.analysis.compare import Section, by_row, compare, headline_metric, of_table
from define.analysis.pairs import PairedDifference, paired_difference
from define.analysis.published import Claim
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
"""What limits a "no" -> how it reads; the later ones say less."""

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


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """An answer to a claim.

    Attributes:
        verdict: one of `VERDICTS`.
        limit: what limits a "no": "" at scale paper, else "size", "budget" or "one rate".
        reason: why it is so, e.g. "one seed" or "1 yes; 2 undecided"; "" if by the intervals.
    """

    verdict: str
    limit: str
    reason: str

    @property
    def word(self) -> str:
        """The verdict with its limit, e.g. "not at this budget"."""
        return _NO[self.limit] if self.verdict == "no" else self.verdict

    @property
    def text(self) -> str:
        """The verdict with limit and reason, e.g. "undecided (one seed)"."""
        return self.word + (f" ({self.reason})" if self.reason else "")


@dataclass(frozen=True, kw_only=True)
class PairAnswer(Verdict):
    """What one pair of rows says.

    Attributes:
        first, second: slugs of the rows; the difference is the first less the second.
        labels: the names of our runs of the two.
        difference, paper: ours, in the answer's metric, and the paper's.
        margin: how much worse the first may be, in the metric: 0 where it has to be better; None
            where no seed is shared.
        parameters: in total, of our models of the two; None if one has not been run.
    """

    first: str
    second: str
    labels: tuple[str, str]
    difference: PairedDifference
    paper: float
    margin: float | None
    parameters: tuple[int, int] | None

    def to_json(self) -> dict[str, Any]:
        """The pair as plain JSON values."""
        found = self.difference.difference
        plain = ("first", "second", "verdict", "limit", "reason")
        return {
            **{name: getattr(self, name) for name in plain},
            "answer": self.text,
            **(found.to_json() if found else dict.fromkeys(("mean", "std", "n", "low", "high"))),
            "n": len(self.difference.seeds),
            "seeds": list(self.difference.seeds),
            "paper_difference": self.paper,
            "margin": self.margin,
            "parameters": self.parameters and list(self.parameters),
        }


@dataclass(frozen=True, kw_only=True)
class Answer(Verdict):
    """What the runs of one section say to a claim: the verdict of all pairs where they agree.

    Attributes:
        metric: what the differences are of: the paper's test metric, or our corpus's last test set.
        margin: relative, how much worse a row may be that matches; None where it has to be better.
        budgets: the different budgets of the runs behind the differences.
        trials: row -> recorded search trials, of every row of a pair; empty if no row has any.
    """

    claim: Claim
    table: str
    scale: str
    data: str
    metric: str
    margin: float | None
    budgets: tuple[Budget, ...]
    trials: Mapping[str, int]
    pairs: tuple[PairAnswer, ...]

    @property
    def budget_fact(self) -> list[str]:
        """How long the runs behind the answer were trained; nothing without runs."""
        return [f"budget: {budget.text(self.budgets)}"] if self.budgets else []

    @property
    def search_fact(self) -> list[str]:
        """How many search trials each row had; nothing where none is on record."""
        names = published.our_labels(self.table)
        counts = [f"{count} for {names[row]}" for row, count in self.trials.items() if count]
        if len(counts) < len(self.trials):
            counts.append("none for the others")
        return [f"search trials on record: {', '.join(counts)}"] if counts else []

    def to_json(self) -> dict[str, Any]:
        """The answer as plain JSON values."""
        place = ("table", "scale", "data", "metric", "margin")
        return {
            "claim": self.claim.id,
            "question": self.claim.question,
            **{name: getattr(self, name) for name in place},
            "paper": self.claim.paper,
            **{name: getattr(self, name) for name in ("verdict", "limit", "reason")},
            "answer": self.text,
            "budgets": [asdict(each) for each in self.budgets],
            "trials": dict(self.trials),
            "pairs": [pair.to_json() for pair in self.pairs],
        }


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
        InputError: as `compare`.
    """
    names = published.names() if tables is None else tables
    claims = [(claim, table) for claim in published.claims() for table in claim.pairs]
    claims = [(claim, table) for claim, table in claims if table in names]
    sections = {table: compare(table, records, scales) for _, table in claims}
    return [
        _answer(claim, section, margin, of_table(table, trials))
        for claim, table in claims
        for section in sections[table]
    ]


def _answer(claim: Claim, section: Section, margin: float, trials: Sequence[RunRecord]) -> Answer:
    metric = _metric(section)
    pairs = tuple(
        _pair(claim, section, first, second, metric, margin)
        for first, second in claim.pairs[section.table]
    )
    ordered = sorted(pairs, key=lambda pair: VERDICTS.index(pair.verdict))
    if ordered[0].verdict != ordered[-1].verdict:
        verdict, words = "undecided", Counter(pair.word for pair in ordered)
        reason = "; ".join(f"{count} {word}" for word, count in words.items())
    else:
        verdict, reasons = pairs[0].verdict, {pair.reason for pair in pairs}
        reason = reasons.pop() if len(reasons) == 1 else ""
    return Answer(
        claim=claim,
        table=section.table,
        scale=section.scale,
        data=section.data,
        metric=metric,
        margin=margin if claim.matches else None,
        verdict=verdict,
        limit=max((pair.limit for pair in pairs), key=list(_NO).index) if verdict == "no" else "",
        reason=reason,
        budgets=budget.budgets([r for pair in pairs for r in _behind(pair.difference, section)]),
        trials=_trials(section, pairs, trials),
        pairs=pairs,
    )


def _behind(paired: PairedDifference, section: Section) -> list[RunRecord]:
    """The runs that a difference rests on."""
    rows = (paired.row_a, paired.row_b)
    return [run for run in section.runs if run.row in rows and run.seed in paired.seeds]


def _trials(
    section: Section, pairs: Sequence[PairAnswer], trials: Sequence[RunRecord]
) -> dict[str, int]:
    of_row = by_row(t for t in trials if (t.scale, t.data) == (section.scale, section.data))
    counts = {row: len(of_row.get(row, ())) for p in pairs for row in (p.first, p.second)}
    return counts if any(counts.values()) else {}


def _metric(section: Section) -> str:
    """The paper's test metric, or that on the last set of our corpus where runs do not have it."""
    paper, suffix = headline_metric(section.table), f"_{published.metric(section.table)}"
    measured = [m for run in section.runs for m in run.metrics if m.endswith(suffix)]
    return paper if paper in measured or not measured else list(dict.fromkeys(measured))[-1]


def _pair(
    claim: Claim, section: Section, first: str, second: str, metric: str, margin: float
) -> PairAnswer:
    paired = paired_difference(section.runs, first, second, metric)
    allowed = None
    if paired.seeds:
        shared = [run for run in _behind(paired, section) if run.row == second]
        mean = sum(run.metrics[metric] for run in shared) / len(shared)
        allowed = margin * mean if claim.matches else 0.0
    rows = {row.row: row for row in section.rows}
    counts = [rows[row].parameters["total"] for row in (first, second) if rows[row].seeds]
    verdict, reason = _verdict(paired, allowed, less_is_better=metric.endswith("_ppl"))
    if len(counts) < 2:
        verdict, reason = "not run", ""
    elif claim.fewer_parameters and counts[0] >= counts[1]:
        verdict, reason = "no", "not fewer parameters"
    limit = ""
    if verdict == "no" and section.scale != "paper":
        one_rate = all(map(budget.one_rate, _behind(paired, section)))
        limit = "size" if reason else "one rate" if one_rate else "budget"
    names, printed = published.our_labels(section.table), headline_metric(section.table)
    return PairAnswer(
        first=first,
        second=second,
        labels=(names[first], names[second]),
        verdict=verdict,
        limit=limit,
        reason=reason,
        difference=paired,
        paper=rows[first].published[printed] - rows[second].published[printed],
        margin=allowed,
        parameters=tuple(counts) if len(counts) == 2 else None,
    )


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
