"""The grids of paired differences, and of the answers to the paper's claims that rest on them."""

from collections.abc import Sequence

from define.analysis import budget, claims, published
from define.analysis.claims import Answer
from define.analysis.compare import Section, headline_metric
from define.analysis.pairs import PairedDifference, differences, direction, paper_metric
from define.report.grid import Cell, Grid, Interval, num

_BETTER = {"ppl": "below", "bleu": "above"}
"""Metric of a table -> the side of zero on which the row named first is better."""


def paired(section: Section) -> Grid | None:
    """The paired differences of a section; None without a shared seed."""
    names = published.our_labels(section.table)
    lines, others = [], {}
    for found, paper in differences(section):
        first, second = (names.get(row, row) for row in (found.row_a, found.row_b))
        seeds = ", ".join(map(str, found.seeds))
        line = [f"{first} less {second}", found.metric, *_mean_and_interval(found), seeds]
        lines.append([*line, num(paper, "+.2f"), direction(found, paper)])
        if paper_metric(section, found.metric) != found.metric:
            others[found.metric.removesuffix("_bleu")] = None
    notes = []
    if others:
        test_set = headline_metric(section.table).removesuffix("_bleu")
        notes.append(
            f"On {', '.join(others)}, which the paper does not have, its difference is that on its "
            f"test set, {test_set}; only the direction can be compared."
        )
    header = ["difference", "metric", "mean", "95 % interval", "n", "seeds", "paper", "direction"]
    return Grid("Paired differences", header, lines, notes) if lines else None


def _mean_and_interval(found: PairedDifference) -> list[Cell]:
    interval = found.interval95 and Interval(*found.interval95, "+.2f")
    return [num(found.difference and found.difference.mean, "+.2f"), interval, len(found.seeds)]


def paired_rule(table: str) -> str:
    """How to read a table's paired differences."""
    return (
        f"One row less another, seed by seed; {_BETTER[published.metric(table)]} zero, the "
        "one named first is better. The interval is that of the mean over the n shared seeds "
        "(Student's t, n - 1 degrees of freedom), each taken alone; it needs two seeds. Direction "
        "compares its sign with the sign of the paper's difference; it is undecided where the "
        "interval covers zero."
    )


def claim_grids(answers: Sequence[Answer]) -> list[Grid]:
    """All answers in one table, then the differences of each section that has any run."""
    if not answers:
        return []
    caveats = published.caveats(answer.table for answer in answers)
    summary = Grid.of(
        "The paper's claims",
        answers,
        {
            "claim": lambda a: a.claim.question,
            "table": lambda a: a.table,
            "scale": lambda a: a.scale,
            "data": lambda a: a.data,
            "paper": lambda a: a.claim.paper,
            "ours": lambda a: a.text,
            "our budget": lambda a: budget.short(a.budgets) if a.budgets else None,
        },
        [*claims.RULE, *caveats],
    )
    sections: dict[tuple[str, str, str], list[Answer]] = {}
    for answer in sorted(answers, key=lambda answer: published.names().index(answer.table)):
        sections.setdefault((answer.table, answer.scale, answer.data), []).append(answer)
    return [summary, *filter(None, map(claim_grid, sections.values()))]


def claim_grid(answers: Sequence[Answer]) -> Grid | None:
    """The differences behind the answers of one section; None where nothing was run."""
    if all(answer.verdict == "not run" for answer in answers):
        return None
    lines: list[list[Cell]] = []
    for answer in answers:
        lines.append([answer.claim.question, "", "", "", answer.claim.paper, answer.text])
        lines += [[f"  {fact}", "", "", "", "", ""] for fact in answer.budget_fact]
        for pair in answer.pairs:
            line = ["  " + " less ".join(pair.labels), *_mean_and_interval(pair.difference)]
            lines.append([*line, num(pair.paper, "+.2f"), pair.text])
    first = answers[0]
    where = f"Table {first.table}, scale {first.scale}, data {first.data}"
    notes = dict.fromkeys(note for answer in answers for note in _claim_notes(answer))
    header = ["claim and its differences", "mean", "95 % interval", "n", "paper", "answer"]
    return Grid(f"{where}: the paper's claims, by {first.metric}", header, lines, list(notes))


def _claim_notes(answer: Answer) -> list[str]:
    notes = []
    printed = headline_metric(answer.table)
    if answer.metric != printed:
        notes.append(f"The paper's differences are those of its own test set, {printed}.")
    for pair in answer.pairs:
        first, second = pair.labels
        if answer.claim.matches and pair.margin is not None:
            notes.append(
                f"{first} matches {second} if the interval ends less than {pair.margin:.2f} to the "
                f"worse, {100 * answer.margin:g} % of the mean of {second}."
            )
        if answer.claim.fewer_parameters and pair.parameters:
            counts = f"{pair.parameters[0]:,}, {second} {pair.parameters[1]:,}"
            notes.append(f"Parameters of ours: {first} {counts}.")
    told = [f"{fact[0].upper()}{fact[1:]}." for fact in answer.search_fact]
    told += filter(None, [answer.claim.notes.get(answer.table)])
    return notes + [f"{answer.claim.question} {sentence}" for sentence in told]
