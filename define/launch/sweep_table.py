"""The table of a sweep that is yet to run: its jobs, their size and cost."""

from collections.abc import Sequence

from define.launch.dry_run import Budget
from define.launch.sweep import Plan, Planned, measure
from define.results import sweeps
from define.results.grid import Grid

COMMON = ("table", "scale", "corpus", "seed")
"""What has a column only if it differs between the jobs; else it stands in the title."""
TO_RUN = ("pending", "interrupted", "failed")


def table(plan: Plan) -> Grid:
    """The jobs of a plan as a table, totals below.

    "tokens" are those read in training, of a translation on its longer side, and "FLOPs" their
    floating-point operations, as `define.launch.dry_run` has them.
    """
    sizes = [measure(p) if p.fault is None else None for p in plan.jobs]
    states = [s.state for s in sweeps.states(plan.sweep(""))]
    will_run = [
        state in TO_RUN and p.fault is None for state, p in zip(states, plan.jobs, strict=True)
    ]
    shown = [
        "cannot run" if p.fault else "would run" if runs else state
        for p, runs, state in zip(plan.jobs, will_run, states, strict=True)
    ]
    columns = {"job": [str(p.job.number) for p in plan.jobs]} | _descriptions(plan.jobs)
    same = {name: cells[0] for name, cells in columns.items() if len(set(cells)) == 1}
    title = f"Sweep {plan.name}"
    if common := [f"{name} {same[name]}" for name in COMMON if name in same]:
        title += f": {', '.join(common)}"
        columns = {k: v for k, v in columns.items() if k not in COMMON or k not in same}
    columns |= {
        "parameters": [_number(p.job.parameters) for p in plan.jobs],
        "updates": [_number(size and size.updates) for size in sizes],
        "tokens": [_number(size and _tokens(size)) for size in sizes],
        "FLOPs": [_operations(size and size.operations) for size in sizes],
        "state": shown,
    }
    rows = list(zip(*columns.values(), strict=True))
    to_run = [size for size, runs in zip(sizes, will_run, strict=True) if runs]
    return Grid(title, list(columns), rows, _notes(plan, to_run))


def _descriptions(jobs: Sequence[Planned]) -> dict[str, list[str]]:
    """Column -> cells, of what tells the jobs apart; overrides without a column share one."""
    columns = {
        name: [_text(getattr(p.job, name)) for p in jobs] for name in ("table", "row", *COMMON[1:])
    }
    overrides = [p.job.overrides for p in jobs]
    shown = ("experiment", "scale", "data", "seed")
    others = [
        " ".join(
            word
            for word in own
            if word.partition("=")[0] not in shown and any(word not in job for job in overrides)
        )
        for own in overrides
    ]
    return columns | ({"override": others} if any(others) else {})


def _notes(plan: Plan, to_run: Sequence[Budget]) -> list[str]:
    operations = [size.operations for size in to_run]
    tokens = [_tokens(size) for size in to_run]
    notes = [
        f"{len(to_run)} of {len(plan.jobs)} jobs would run: "
        f"{_number(_sum([size.updates for size in to_run]))} updates, "
        f"{_number(_sum(tokens))} tokens, at most {_operations(_sum(operations))} floating-point "
        f"operations, a translation's attention not counted. Nothing was trained."
    ]
    if plan.repeated:
        notes.append(f"Left out, as the same run as another job: {plan.repeated}.")
    return notes + [f"Job {p.job.number} cannot run: {p.fault}." for p in plan.jobs if p.fault]


def _tokens(size: Budget) -> int | None:
    return max(size.tokens) if size.tokens else None


def _sum(numbers: Sequence[float | None]) -> float | None:
    """The total; None if one of them is unknown."""
    return None if None in numbers else sum(numbers)


def _text(value: object) -> str:
    return "-" if value is None else str(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"


def _operations(value: float | None) -> str:
    return "-" if value is None else f"{value:.2e}"
