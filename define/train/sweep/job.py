"""One job of a sweep, in whatever process or on whatever machine Hydra's launcher runs it.

`python -m define.train.sweep.job CONFIGS --multirun OVERRIDES` starts the launcher. The module
imports neither torch nor fairseq, because launchers load it in each of their processes.
"""

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from define.files import hold, is_held
from define.runs import journal, records, sweeps
from define.train import devices
from define.train.process import TrainProcess

ELSEWHERE = "another process trains it"


def run(config: DictConfig) -> None:
    """Runs the job `config.job` of the sweep in `config.folder`, unless it is finished or running.

    Never raises because of the job: some launchers would give up the other jobs.

    Args:
        config: `configs/sweep.yaml`, composed.
    """
    sweep = sweeps.read(Path(config.folder))
    job = sweep.job(config.job)

    def note(event: str, **fields: Any) -> None:
        journal.append(sweep.journal, {"event": event, "job": job.number, **fields})

    try:
        with hold(sweep.claim(job)) as claimed:
            if not claimed or is_held(sweep.run_dir(job) / records.LOCK_NAME):
                note("skipped", reason=ELSEWHERE)
            elif sweeps.finished_record(sweep, job) is None:
                _train(sweep, job, config, note)
    except Exception as error:
        note("failed", reason=f"{type(error).__name__}: {error}")


def _train(sweep: sweeps.Sweep, job: sweeps.Job, config: DictConfig, note) -> None:
    def wanted() -> bool:
        """Whether `define train -m` still runs; jobs in SLURM's queue outlive it."""
        return not config.starter or is_held(config.starter)

    with ExitStack() as stack:
        device = None
        if config.starter and not job.cpu:  # SLURM chooses the devices of its own jobs
            names = [name for name in str(config.devices).split(",") if name]
            try:
                device = stack.enter_context(devices.take(names, wanted))
            except devices.Unwanted:
                return
        if not wanted():
            return
        begin = time.monotonic()
        process = TrainProcess(job.overrides, sweep.log(job), sweep.name, device)
        note("started", pid=process.pid, device=device)
        try:
            ended = process.wait(wanted)
        except BaseException as error:  # submitit's, when the time is up
            process.terminate()
            process.wait()
            reason = f"the launcher ended it: {type(error).__name__}"
            note("interrupted", reason=reason, seconds=time.monotonic() - begin)
            if isinstance(error, Exception):
                return
            raise
        fields = {"exit_code": ended.code, "seconds": time.monotonic() - begin, "device": device}
        if ended.code == 0:
            note("finished", **fields)
        else:
            # An interruption in the middle of an import may end it with another exit code.
            event = "interrupted" if ended.interrupted or not wanted() else "failed"
            note(event, reason=ended.reason.removeprefix("interrupted; "), **fields)


if __name__ == "__main__":
    from define.train.sweep import job  # launchers' processes import the function by its name

    configs = sys.argv.pop(1)
    hydra.main(version_base="1.3", config_path=configs, config_name="sweep")(job.run)()
