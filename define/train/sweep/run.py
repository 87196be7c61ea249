"""Runs a planned sweep: starts Hydra's launcher, shows how the jobs stand, passes on an end."""

import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from define.errors import InputError
from define.files import hold
from define.runs import journal, sweeps
from define.runs.summary import summary
from define.runs.sweeps import State, Sweep
from define.train import devices
from define.train.compose import configs_folder, override
from define.train.dry_run import budget, types_of
from define.train.sweep.display import Display
from define.train.sweep.job import ELSEWHERE
from define.train.sweep.plan import Plan

ALL_FINISHED, SOME_FAILED = 0, 1
LOOK_S = 1.0
"""Between two looks into the journals."""


def run(plan: Plan, command: str, quiet: bool = False) -> int:
    """Runs all jobs that are not finished; one that fails does not stop the others.

    Args:
        command: what the user typed.
        quiet: whether to print no progress.
    Returns:
        0 if all jobs are finished, else 1.
    Raises:
        InputError: the sweep's name stands for other jobs, SLURM's commands are missing, or
            Hydra's launcher failed.
        KeyboardInterrupt: it was interrupted; the jobs of local launchers have saved and ended.
    """
    if plan.slurm and not (shutil.which("sbatch") and shutil.which("srun")):
        raise InputError(
            "the launcher needs SLURM's commands sbatch and srun; start the sweep on a machine "
            "that has them, or take hydra/launcher=joblib"
        )
    sweep = _written(plan, command)
    before = sweeps.states(sweep)
    print(f"sweep {sweep.name}: {_in_words(before)}", flush=True)

    @cache
    def updates(number: int) -> int | None:
        config = plan.jobs[number - 1].config
        return budget(config, *types_of(config)).updates

    display, to_run = Display(sweep, updates, quiet), []
    for state, planned in zip(before, plan.jobs, strict=True):
        if state.state == "finished":
            display.tell(state.job, f"is finished: {summary(state.record)}")
        elif state.state == "running":
            display.tell(state.job, ELSEWHERE)
        elif planned.fault:
            failed = {"event": "failed", "job": state.job.number, "reason": planned.fault}
            journal.append(sweep.journal, failed)
        else:
            to_run.append(state.job.number)
    with display:
        if to_run:
            _launch(plan, sweep, to_run, display)
        display.update()
    return _conclude(sweep)


def _written(plan: Plan, command: str) -> Sweep:
    """The sweep, with its plan in its folder; a sweep that is there keeps its command."""
    sweep = plan.sweep(command)
    if (sweep.folder / sweeps.FILE_NAME).is_file():
        old = sweeps.read(sweep.folder)
        if [list(job.overrides) for job in old.jobs] != [list(job.overrides) for job in sweep.jobs]:
            raise InputError(
                f"the sweep {sweep.name!r} has other jobs: {old.command}; take another --name"
            )
        sweep = Sweep(old.folder, old.command, old.created, sweep.jobs)
    sweeps.write(sweep)
    return sweep


def _in_words(states: Sequence[State]) -> str:
    """Such as "4 jobs: 3 finished, 1 failed"."""
    counts = [f"{count} {state}" for state, count in sweeps.counts(states).items() if count]
    return f"{len(states)} job{'s' if len(states) > 1 else ''}: {', '.join(counts)}"


def _conclude(sweep: Sweep) -> int:
    """Prints how the sweep stands and lists the jobs that are not finished."""
    after = sweeps.states(sweep)
    print(f"sweep {sweep.name}: {_in_words(after)}", flush=True)
    unfinished = [state for state in after if state.state != "finished"]
    for state in unfinished:
        what = f"define: job {state.job.number} {state.state}: {sweep.label(state.job)}"
        print(f"{what}: {state.reason}" if state.reason else what, file=sys.stderr)
    return SOME_FAILED if unfinished else ALL_FINISHED


def _launch(plan: Plan, sweep: Sweep, numbers: Sequence[int], display: Display) -> None:
    """Runs Hydra's launcher in a process of its own, which an interruption does not reach.

    Local jobs end when this process unlocks the file `starter`, and thus however it ends.
    """
    starter = sweep.folder / "locks" / f"starter_{uuid.uuid4().hex}"
    log = sweep.folder / "launcher.log"
    with hold(starter), open(log, "ab") as stream:
        process = subprocess.Popen(
            _command(plan, sweep, numbers, starter),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        try:
            _watch(process, display)
        except KeyboardInterrupt:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            if plan.slurm:
                process.terminate()
                print(
                    "define: the jobs stay in SLURM's queue: `define status` shows them, scancel "
                    "ends them",
                    file=sys.stderr,
                )
            else:
                print("define: waiting for the jobs to save", file=sys.stderr, flush=True)
                starter.unlink()
            _watch(process, display)
            raise
    starter.unlink()
    if process.returncode:
        raise InputError(
            f"Hydra's launcher ended with exit code {process.returncode} before all jobs had; "
            f"see {log}"
        )


def _command(plan: Plan, sweep: Sweep, numbers: Sequence[int], starter: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "define.train.sweep.job", str(configs_folder()), "--multirun"),
        f"job={','.join(map(str, numbers))}",
        override("folder", sweep.folder),
        *([] if plan.slurm else [override("starter", starter)]),
        f"devices='{','.join(devices.visible())}'",
        *plan.hydra_overrides,
    ]


def _watch(process: subprocess.Popen, display: Display) -> None:
    """Shows what happens until the launcher has ended."""
    while process.poll() is None:
        display.update()
        try:
            process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            pass
