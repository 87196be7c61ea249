"""The table that `define train -m --dry-run` prints: the jobs of a sweep, their size and cost."""

from collections.abc import Sequence

from define.report.grid import Grid
from define.runs import sweeps
from define.train.dry_run import Budget, budget, types_of
from define.train.sweep.plan import Plan, Planned


def table(plan: Plan) -> Grid:
    """The jobs of a plan with totals below; the title names what all jobs share.

    "tokens" are those read in training (of a translation, on its longer side), and "FLOPs" their
    floating-point operations, as `define.train.dry_run` counts them.
    """
    names = [_name(planned) for planned in plan.jobs]
    shared = [part for part in names[0] if all(part in name for name in names)]
    rows, to_run = [], []
    states = sweeps.states(plan.sweep(""))
    for planned, name, state in zip(plan.jobs, names, states, strict=True):
        job, size, shown = planned.job, None, "cannot run"
        if not planned.fault:
            size = budget(planned.config, *types_of(planned.config))
            shown = state.state
            if shown in ("pending", "interrupted", "failed"):
                shown = "would run"
                to_run.append(size)
        label = " ".join([str(job.number), *(part for part in name if part not in shared)])
        updates, tokens = size and size.updates, size and _tokens(size)
        operations = _operations(size and size.operations)
        rows.append([label, *map(_number, (job.parameters, updates, tokens)), operations, shown])
    title = f"Sweep {plan.name}" + (f": {', '.join(shared)}" if shared else "")
    header = ["job", "parameters", "updates", "tokens", "FLOPs", "state"]
    return Grid(title, header, rows, _notes(plan, to_run))


def _name(planned: Planned) -> list[str]:
    """Row, scale, corpus and seed, and the overrides that say something else."""
    job = planned.job
    if job.table is None:
        return list(job.overrides)
    said = ("experiment", "scale", "data", "seed")
    others = [word for word in job.overrides if word.partition("=")[0] not in said]
    place = [part for part in (job.scale, job.corpus) if part]
    return [f"{job.table}/{job.row}", *place, f"seed {job.seed}", *others]


def _notes(plan: Plan, to_run: Sequence[Budget]) -> list[str]:
    updates, tokens, operations = (
        None if None in column else sum(column)
        for column in (
            [size.updates for size in to_run],
            [_tokens(size) for size in to_run],
            [size.operations for size in to_run],
        )
    )
    notes = [
        f"{len(to_run)} of {len(plan.jobs)} jobs would run: {_number(updates)} updates, "
        f"{_number(tokens)} tokens, at most {_operations(operations)} floating-point operations, "
        f"a translation's attention not counted. Nothing was trained."
    ]
    if plan.repeated:
        notes.append(f"Left out, because another job is the same run: {plan.repeated}.")
    return notes + [f"Job {p.job.number} cannot run: {p.fault}." for p in plan.jobs if p.fault]


def _tokens(size: Budget) -> int | None:
    return max(size.tokens) if size.tokens else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"


def _operations(value: float | None) -> str:
    return "-" if value is None else f"{value:.2e}"
