"""The table of a sweep that is yet to run: its jobs, their size and cost."""

from collections.abc import Sequence

from define.report.grid import Grid
from define.runs import sweeps
from define.train.dry_run import Budget, budget, types_of
from define.train.sweep.plan import Plan, Planned

TO_RUN = ("pending", "interrupted", "failed")


def table(plan: Plan) -> Grid:
    """The jobs of a plan as a table, totals below; the title has what is the same in all jobs.

    "tokens" are those read in training, of a translation on its longer side, and "FLOPs" their
    floating-point operations, as `define.train.dry_run` has them.
    """
    sizes = [None if p.fault else budget(p.config, *types_of(p.config)) for p in plan.jobs]
    states = [s.state for s in sweeps.states(plan.sweep(""))]
    will_run = [
        state in TO_RUN and p.fault is None for state, p in zip(states, plan.jobs, strict=True)
    ]
    shown = [
        "cannot run" if p.fault else "would run" if runs else state
        for p, runs, state in zip(plan.jobs, will_run, states, strict=True)
    ]
    descriptions = [_description(p) for p in plan.jobs]
    same = [part for part in descriptions[0] if all(part in other for other in descriptions)]
    columns = {
        "job": [
            " ".join([str(p.job.number), *(part for part in parts if part not in same)])
            for p, parts in zip(plan.jobs, descriptions, strict=True)
        ],
        "parameters": [_number(p.job.parameters) for p in plan.jobs],
        "updates": [_number(size and size.updates) for size in sizes],
        "tokens": [_number(size and _tokens(size)) for size in sizes],
        "FLOPs": [_operations(size and size.operations) for size in sizes],
        "state": shown,
    }
    rows = list(zip(*columns.values(), strict=True))
    title = f"Sweep {plan.name}" + (f": {', '.join(same)}" if same else "")
    to_run = [size for size, runs in zip(sizes, will_run, strict=True) if runs]
    return Grid(title, list(columns), rows, _notes(plan, to_run))


def _description(planned: Planned) -> list[str]:
    """Which row it is, where and with which seed, and the overrides that do not tell that."""
    job = planned.job
    if job.table is None:
        return list(job.overrides)
    told = ("experiment", "scale", "data", "seed")
    others = [word for word in job.overrides if word.partition("=")[0] not in told]
    place = [str(part) for part in (job.scale, job.corpus) if part]
    return [f"{job.table}/{job.row}", *place, f"seed {job.seed}", *others]


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


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"


def _operations(value: float | None) -> str:
    return "-" if value is None else f"{value:.2e}"
