"""The grids of the paper's claims: the answers, and the differences behind them."""

from collections.abc import Sequence

from define.analysis import budget, claims, published
from define.analysis.claims import Answer
from define.analysis.compare import (
    headline_metric,
)
from define.report.grid import Cell, Grid, num
from define.report.tables import mean_and_interval


def claim_grids(answers: Sequence[Answer]) -> list[Grid]:
    """All answers in one table, then the differences of each section that has any run."""
    if not answers:
        return []
    lines = [
        [
            answer.claim.question,
            answer.table,
            answer.scale,
            answer.data,
            answer.claim.paper,
            claims.text(answer),
            budget.short(answer.budgets) if answer.budgets else None,
        ]
        for answer in answers
    ]
    header = ["claim", "table", "scale", "data", "paper", "ours", "our budget"]
    caveats = published.caveats(answer.table for answer in answers)
    summary = Grid("The paper's claims", header, lines, [*claims.RULE, *caveats])
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
        lines.append([answer.claim.question, "", "", "", answer.claim.paper, claims.text(answer)])
        lines += [[f"  {fact}", "", "", "", "", ""] for fact in claims.budget_fact(answer)]
        lines += [
            [
                "  " + " less ".join(pair.labels),
                *mean_and_interval(pair.difference),
                num(pair.paper, "+.2f"),
                claims.text(pair),
            ]
            for pair in answer.pairs
        ]
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
            notes.append(
                f"Parameters of ours: {first} {pair.parameters[0]:,}, {second} "
                f"{pair.parameters[1]:,}."
            )
    question = answer.claim.question
    notes += [f"{question} {told[0].upper()}{told[1:]}." for told in claims.search_fact(answer)]
    if note := answer.claim.notes.get(answer.table):
        notes.append(f"{question} {note}")
    return notes
