"""One job of a sweep, run by whichever launcher Hydra has: process, devices, log, journal.

Launchers carry `run` to other processes and machines, so that this module imports neither torch nor
fairseq.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from define.files import hold, is_held
from define.runs import journal, records, sweeps
from define.train import devices
from define.train.process import INTERRUPTED, Ended, TrainProcess, end_with_the_parent

ELSEWHERE = "another process trains it"
_EXECUTOR = "SUBMITIT_EXECUTOR"


def run(config: DictConfig) -> None:
    """Runs the job `config.job` of the sweep in `config.folder`, unless that is needless.

    Never raises because of the job, so that no launcher gives the other jobs up.

    Args:
        config: `configs/sweep.yaml`, composed.
    """
    if _EXECUTOR not in os.environ:
        end_with_the_parent()
    sweep = sweeps.read(Path(config.folder))
    job = _SweepJob(sweep, sweep.job(config.job), config)
    try:
        job.run()
    except Exception as error:
        job.note("failed", reason=f"{type(error).__name__}: {error}")


class _SweepJob:
    def __init__(self, sweep: sweeps.Sweep, job: sweeps.Job, config: DictConfig):
        self.sweep, self.job, self.config = sweep, job, config
        self.attempt = 1 + sum(
            event["event"] == "started" and event["job"] == job.number
            for event in journal.read(sweep.journal)
        )

    def note(self, event: str, **fields: Any) -> None:
        """Adds an event of this job to the sweep's journal."""
        about = {"event": event, "job": self.job.number, "attempt": self.attempt}
        about["invocation"] = self.config.invocation
        journal.append(self.sweep.journal, about | fields)

    def run(self) -> None:
        with hold(self.sweep.claim(self.job)) as claimed:
            if not claimed or is_held(self.sweep.run_dir(self.job) / records.LOCK_NAME):
                self.note("skipped", reason=ELSEWHERE)
            elif sweeps.finished_record(self.sweep, self.job) is None and not self._stopping():
                self._run_on_a_device()

    def _stopping(self) -> bool:
        """Whether this start of the sweep was interrupted."""
        events = journal.read(self.sweep.journal)
        stops = [event["invocation"] for event in events if event["event"] == "stopping"]
        return self.config.invocation in stops

    def _run_on_a_device(self) -> None:
        if self.job.cpu or os.environ.get(_EXECUTOR) == "slurm":  # devices are SLURM's business
            self._run(None)
            return
        shared = [name for name in str(self.config.devices).split(",") if name]
        try:
            with devices.take(shared, self._stopping) as device:
                self._run(device)
        except devices.Stopped:
            pass

    def _run(self, device: str | None) -> None:
        begin = time.monotonic()
        if self.config.terminal:
            title = f"define train {' '.join(self.job.overrides)}"
            print(f"[{self.job.number}/{len(self.sweep.jobs)}] {title}", flush=True)
        log, quiet = self.sweep.log(self.job), self.config.quiet
        process = TrainProcess(self.job.overrides, log, self.sweep.name, device, quiet)
        self.note("started", pid=process.pid, device=device)
        if self._stopping():  # perhaps noted too late to be seen by whoever stops the jobs
            process.terminate()
        try:
            ended = process.follow(sys.stdout.buffer) if self.config.terminal else process.wait()
        except BaseException as error:
            process.terminate()
            process.wait()
            reason = f"the launcher ended it: {type(error).__name__}"
            self.note("interrupted", reason=reason, seconds=time.monotonic() - begin)
            if isinstance(error, Exception):  # submitit's, when the time is up
                return
            raise
        self._note_end(ended, time.monotonic() - begin, device)

    def _note_end(self, ended: Ended, seconds: float, device: str | None) -> None:
        fields = {"exit_code": ended.code, "seconds": seconds, "device": device}
        if ended.code == 0:
            self.note("finished", **fields)
        elif ended.code in (INTERRUPTED, -signal.SIGTERM, -signal.SIGINT):
            reason = _reason(ended).removeprefix("interrupted; ")  # the event's name says it
            self.note("interrupted", reason=reason, **fields)
        else:
            self.note("failed", reason=_reason(ended), **fields)


def _reason(ended: Ended) -> str:
    if ended.code >= 0:
        return ended.reason
    name = signal.Signals(-ended.code).name
    return f"killed by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")
