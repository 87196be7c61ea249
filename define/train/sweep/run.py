"""Runs a planned sweep: starts Hydra's launcher, tells how the jobs go, and passes on an end."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from typing import Any

from define.errors import InputError
from define.runs import journal, sweeps
from define.runs.summary import summary
from define.runs.sweeps import Job, Sweep
from define.train import devices
from define.train.compose import configs_folder, override
from define.train.process import end_with_the_parent
from define.train.sweep.job import ELSEWHERE
from define.train.sweep.plan import ONE_BY_ONE, SLURM, Plan

ALL_FINISHED, SOME_FAILED = 0, 1
_LOOK_S = 0.5
"""Between two looks into the journal."""


def run(plan: Plan, command: str, quiet: bool = False) -> int:
    """Runs all jobs that are not finished; one that fails does not stop the others.

    Args:
        command: what the user typed.
        quiet: no progress bars.
    Returns:
        0 if all jobs are finished, else 1.
    Raises:
        InputError: the sweep's name stands for other jobs, or SLURM's commands are not there.
        KeyboardInterrupt: it was interrupted; the jobs of local launchers have saved and ended.
    """
    if plan.launcher == SLURM and not (shutil.which("sbatch") and shutil.which("srun")):
        raise InputError(
            "the launcher needs SLURM's sbatch and srun, and one is not there; start the sweep "
            "where they are, or take hydra/launcher=joblib"
        )
    sweep = _written(plan, command)
    invocation = uuid.uuid4().hex
    before = sweeps.states(sweep)
    print(f"sweep {sweep.name}: {_in_words(before)}", flush=True)
    faults = {p.job.number: p.fault for p in plan.jobs if p.fault}
    todo = []
    for state in before:
        job = state.job
        if (settled := _settled(state, faults.get(job.number))) is None:
            todo.append(job.number)
        else:
            event, reason, text = settled
            about = {"event": event, "job": job.number, "invocation": invocation}
            journal.append(sweep.journal, {**about, "reason": reason})
            _tell(sweep, job, text)
    if todo:
        _Launch(plan, sweep, invocation, quiet).run(todo)
    return _conclude(sweep)


def _settled(state: sweeps.State, fault: str | None) -> tuple[str, str, str] | None:
    """The event, its reason and the line for the terminal of a job that need not be started."""
    if state.state == "finished":
        return "skipped", "finished", f"is finished: {summary(state.record)}"
    if state.state == "running":
        return "skipped", ELSEWHERE, ELSEWHERE
    if fault:
        return "failed", fault, f"failed: {fault}"
    return None


def _written(plan: Plan, command: str) -> Sweep:
    """The sweep with its plan in its folder; what follows from the configs may have changed."""
    sweep = plan.sweep(command)
    if (sweep.folder / sweeps.FILE_NAME).is_file():
        old = sweeps.read(sweep.folder)
        if [list(job.overrides) for job in old.jobs] != [list(job.overrides) for job in sweep.jobs]:
            raise InputError(
                f"the sweep {sweep.name!r} has other jobs: {old.command}; take another --name"
            )
        sweep = Sweep(old.folder, old.command, old.created, sweep.jobs)
        if old == sweep:
            return sweep
    sweeps.write(sweep)
    return sweep


def _tell(sweep: Sweep, job: Job, text: str) -> None:
    print(f"[{job.number}/{len(sweep.jobs)}] {sweep.label(job)}: {text}", flush=True)


def _in_words(found: Sequence[sweeps.State]) -> str:
    """Such as "4 jobs: 3 finished, 1 failed"."""
    number = [f"{count} {state}" for state, count in sweeps.counts(found).items() if count]
    return f"{len(found)} job{'s' if len(found) > 1 else ''}: {', '.join(number)}"


def _conclude(sweep: Sweep) -> int:
    """Tells how the sweep stands, and lists what is not finished."""
    after = sweeps.states(sweep)
    print(f"sweep {sweep.name}: {_in_words(after)}", flush=True)
    for state in after:
        if state.state != "finished":
            what = f"define: job {state.job.number} {state.state}: {sweep.label(state.job)}"
            print(f"{what}: {state.reason}" if state.reason else what, file=sys.stderr)
    return ALL_FINISHED if all(s.state == "finished" for s in after) else SOME_FAILED


class _Launch:
    """One start of Hydra's launcher, in a process of its own.

    It and its descendants are out of the terminal's reach: an interruption comes here alone, and
    goes to each job once.
    """

    def __init__(self, plan: Plan, sweep: Sweep, invocation: str, quiet: bool):
        self.plan, self.sweep, self.invocation = plan, sweep, invocation
        self.one_by_one = plan.launcher == ONE_BY_ONE
        self.quiet = quiet or not self.one_by_one
        self.log = sweep.folder / "launcher.log"
        self._told = len(journal.read(sweep.journal))

    def run(self, numbers: Sequence[int]) -> None:
        # Messages of Hydra and its launcher are for the log, what a single job prints is not.
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                self._command(numbers),
                stdin=subprocess.DEVNULL,
                stdout=None if self.one_by_one else log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_the_parent,
            )
            try:
                self._watch(process)
            except KeyboardInterrupt:
                self._stop(process)
                raise
        if process.returncode:
            raise InputError(
                f"Hydra's launcher ended with exit code {process.returncode} before all jobs had; "
                f"see {self.log}"
            )

    def _command(self, numbers: Sequence[int]) -> list[str]:
        return [
            *(sys.executable, "-m", "define.train.sweep.distribute", str(configs_folder())),
            "--multirun",
            f"job={','.join(map(str, numbers))}",
            override("folder", self.sweep.folder),
            override("invocation", self.invocation),
            f"devices='{','.join(devices.visible())}'",
            f"terminal={str(self.one_by_one).lower()}",
            f"quiet={str(self.quiet).lower()}",
            *self.plan.hydra_overrides,
        ]

    def _watch(self, process: subprocess.Popen) -> None:
        while True:
            try:
                process.wait(_LOOK_S)
                return
            except subprocess.TimeoutExpired:
                pass
            finally:
                self._tell_news()

    def _news(self) -> list[dict[str, Any]]:
        events = journal.read(self.sweep.journal)
        new, self._told = events[self._told :], len(events)
        return [e for e in new if e.get("invocation") == self.invocation and "job" in e]

    def _tell_news(self) -> None:
        """A line for every job that started, ended or was left to another process.

        One that runs alone has shown the terminal its start and end itself.
        """
        for event in self._news():
            if self.one_by_one and event["event"] != "skipped":
                continue
            job = self.sweep.job(event["job"])
            text, device = event["event"], event.get("device")
            record = sweeps.finished_record(self.sweep, job) if text == "finished" else None
            if record is not None:
                text += f": {summary(record)}"
            elif "reason" in event:
                text += f": {event['reason']}"
            elif device:
                text += f" on device {device}"
            _tell(self.sweep, job, text)

    def _stop(self, process: subprocess.Popen) -> None:
        """Asks the jobs to end, and waits until they have saved."""
        handlers = {s: signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM)}
        if self.plan.launcher == SLURM:
            process.terminate()
            process.wait()
            message = (
                "the jobs stay in SLURM's queue: `define status` shows them, scancel ends them"
            )
            print(f"define: {message}", file=sys.stderr)
        else:
            print("define: waiting for the jobs to save", file=sys.stderr, flush=True)
            stop = {"event": "stopping", "invocation": self.invocation}
            journal.append(self.sweep.journal, stop)
            for pid in self._running():
                try:
                    os.kill(pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass
            self._watch(process)
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def _running(self) -> list[int]:
        """The processes of the jobs that this start of the sweep has running."""
        pids: dict[int, int] = {}
        for event in journal.read(self.sweep.journal):
            if event.get("invocation") == self.invocation and "job" in event:
                pids.pop(event["job"], None)
                if event["event"] == "started":
                    pids[event["job"]] = event["pid"]
        return list(pids.values())
