"""Sweeps: what they run, and how each job stands by the journal, the locks and the run's record.

A sweep is the folder RUNS/sweeps/NAME: `sweep.json` is the plan, `journal.jsonl` what happened,
`logs/NUMBER.log` what a job printed. The journal's events are "started", "finished", "failed",
"interrupted" and "skipped", each with "job", and "stopping", with the "invocation" that was
interrupted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from typing_extensions import TypedDict

from define.errors import InputError
from define.files import is_held, write_json
from define.runs import journal, reading, records, schema
from define.runs.recipe import digest
from define.runs.records import RunRecord

SCHEMA = 1
FOLDER = "sweeps"
"""Below the folder of the runs."""
FILE_NAME = "sweep.json"
VARIABLE = "DEFINE_SWEEP"
"""Environment variable: the sweep, or search, that a process is a job of."""
STATES = ("finished", "failed", "interrupted", "running", "pending")
_REMEDY = "remove the sweep's folder and start the sweep again; finished runs are kept"


@dataclass(frozen=True)
class Job:
    """One run of a sweep. What follows from the config is None where that could not be composed.

    Attributes:
        number: from 1 on.
        overrides: the arguments of `define train`.
        run_dir: the run's folder, relative to the folder of the runs where it is below it.
        cpu: whether it computes on the processor.
        parameters: of the model, in total.
        config_sha256: `define.runs.recipe.digest` of the config.
    """

    number: schema.Positive
    overrides: list[str]
    table: str | None = None
    row: str | None = None
    scale: str | None = None
    corpus: str | None = None
    seed: schema.Count | None = None
    run_dir: str | None = None
    cpu: bool | None = None
    parameters: schema.Count | None = None
    config_sha256: str | None = None


class _File(TypedDict):
    schema: Literal[1]
    name: schema.Name
    command: str
    created: str
    jobs: list[Job]


@dataclass(frozen=True)
class Sweep:
    """A sweep's plan, and its folder."""

    folder: Path
    command: str
    created: str
    jobs: Sequence[Job]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def journal(self) -> Path:
        return self.folder / journal.FILE_NAME

    def job(self, number: int) -> Job:
        return self.jobs[number - 1]

    def label(self, job: Job) -> str:
        """The job's overrides, without those that all jobs have."""
        own = [w for w in job.overrides if not all(w in other.overrides for other in self.jobs)]
        return " ".join(own or job.overrides)

    def log(self, job: Job) -> Path:
        """What the job printed, over all its attempts."""
        return self.folder / "logs" / f"{job.number}.log"

    def claim(self, job: Job) -> Path:
        """The file that is locked while the job runs in this sweep."""
        return self.folder / "locks" / str(job.number)

    def run_dir(self, job: Job) -> Path | None:
        """The folder of the job's run."""
        return None if job.run_dir is None else self.folder.parents[1] / job.run_dir


@dataclass(frozen=True)
class State:
    """How a job stands.

    Attributes:
        state: one of `STATES`.
        reason: why it failed or was interrupted; "" otherwise.
        attempts: how often it was started.
        seconds: of its last attempt that ended, None if none did.
        record: of the finished run, else None.
    """

    job: Job
    state: str
    reason: str
    attempts: int
    seconds: float | None
    record: RunRecord | None


def write(sweep: Sweep) -> None:
    """Writes the plan, whole or not at all."""
    plan = {"schema": SCHEMA, "name": sweep.name, "command": sweep.command}
    jobs = [asdict(job) for job in sweep.jobs]
    write_json(sweep.folder / FILE_NAME, {**plan, "created": sweep.created, "jobs": jobs})


def read(folder: Path) -> Sweep:
    """The sweep in a folder.

    Raises:
        InputError: there is none, or its plan is malformed.
    """
    path = folder.resolve() / FILE_NAME
    plan = reading.check(_File, reading.read_text(path, "sweep"), path, _REMEDY)
    return Sweep(path.parent, plan["command"], plan["created"], plan["jobs"])


def find(runs: Path) -> list[Sweep]:
    """All sweeps below the folder of the runs, by name."""
    return [read(path.parent) for path in sorted((runs / FOLDER).glob(f"*/{FILE_NAME}"))]


def find_one(runs: Path, name: str) -> Sweep:
    """The sweep with that name.

    Raises:
        InputError: there is none.
    """
    folder = runs / FOLDER / name
    if not (folder / FILE_NAME).is_file():
        known = ", ".join(sweep.name for sweep in find(runs))
        raise InputError(f"there is no sweep {name!r} below {runs}; there are: {known or 'none'}")
    return read(folder)


def finished_record(sweep: Sweep, job: Job) -> RunRecord | None:
    """The record of the job's run, if it is finished and has the config of the job."""
    folder = sweep.run_dir(job)
    if folder is None or not (folder / records.FILE_NAME).is_file():
        return None
    try:
        record = records.read(folder / records.FILE_NAME)
    except InputError:  # the run itself will say what is wrong with it
        return None
    return record if record.finished and digest(record.config) == job.config_sha256 else None


def is_running(sweep: Sweep, job: Job) -> bool:
    """Whether a process trains it, of this sweep or not."""
    folder = sweep.run_dir(job)
    return is_held(sweep.claim(job)) or (folder is not None and is_held(folder / records.LOCK_NAME))


def states(sweep: Sweep) -> list[State]:
    """How all jobs stand, in their order."""
    events: dict[int, list[dict[str, Any]]] = {job.number: [] for job in sweep.jobs}
    for event in journal.read(sweep.journal):
        if event["event"] != "skipped" and event.get("job") in events:
            events[event["job"]].append(event)
    return [_state(sweep, job, events[job.number]) for job in sweep.jobs]


def _state(sweep: Sweep, job: Job, events: Sequence[Mapping[str, Any]]) -> State:
    record = finished_record(sweep, job)
    last = events[-1] if events else {"event": "pending"}
    state, reason = last["event"], last.get("reason", "")
    if record is not None:
        state, reason = "finished", ""
    elif is_running(sweep, job):
        state, reason = "running", ""
    elif state == "started":
        state, reason = "interrupted", "its process was killed"
    elif state == "finished":
        state = "pending"  # its run was removed since, or has another config now
    attempts = sum(event["event"] == "started" for event in events)
    seconds = next((event["seconds"] for event in reversed(events) if "seconds" in event), None)
    return State(job, state, reason, attempts, seconds, record)


def counts(found: Sequence[State]) -> dict[str, int]:
    """State -> number of jobs, for all of `STATES`."""
    number = Counter(state.state for state in found)
    return {state: number[state] for state in STATES}
