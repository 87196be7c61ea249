"""A hyper-parameter search: trials drawn by Optuna, each one training, judged on validation alone.

A search is a folder: `search.json` (the plan), `study.log` (Optuna's journal, from which it
resumes) and a run folder per trial. A search may resume with wider ranges, for a best value that
lies at the edge of its range; `search.json` then lists the earlier ranges and how many trials were
drawn from each.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from define.errors import InputError
from define.files import write_json
from define.runs import provenance, records
from define.runs.recipe import differences
from define.train import devices
from define.train.compose import compose, override
from define.train.counting import parameters
from define.train.rules import check_recipe
from define.train.run_folder import alone
from define.train.search import space
from define.train.search.plan import Plan
from define.train.search.samplers import PRUNERS, SAMPLERS
from define.train.search.space import Parameter, Value
from define.train.search.trial import POLL_SECONDS, RunningTrial
from define.train.workloads import workload

PLAN_FILE, STORAGE_FILE = "search.json", "study.log"
STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "interrupted",
}


@dataclass(frozen=True)
class TrialResult:
    """What became of a trial.

    Attributes:
        setting: key -> value.
        state: a value of `STATES`.
        valid_ppl: of a finished trial, its final validation perplexity; of another, the last one.
        updates: at the last validation.
        minutes: of training.
        reason: why it failed, else "".
    """

    number: int
    setting: Mapping[str, Value]
    state: str
    valid_ppl: float | None
    updates: int | None
    minutes: float | None
    reason: str


class Search:
    """One search in its folder.

    Args:
        plan: is checked, each range at both ends, before anything is written.
        tell: hears one line about each thing that happens.
    Raises:
        InputError: an override or a value that the config refuses, or no corpus.
    """

    def __init__(self, plan: Plan, tell: Callable[[str], None] = lambda line: None):
        self.plan, self._tell = plan, tell
        self.base = compose([*plan.overrides, "run.score_test=false"])
        self.folder = Path(self.base.runs_root, records.SEARCH_FOLDER, plan.name)
        self._check()

    def _check(self) -> None:
        """Builds what the trials at the ends of each range will build."""
        ends = [{p.key: value} for p in self.plan.space for value in p.values]
        for setting in ({}, *ends):
            config = compose([*self.plan.overrides, *self.chosen(setting), "run.score_test=false"])
            check_recipe(config)
            work = workload(config)
            parameters(config.model, work.types(work.load(config)))

    def run(self, trials: int, jobs: int = 1) -> list[TrialResult]:
        """Trains what is missing of so many trials, first those that were cut short.

        Returns:
            all trials of the search, by number.
        Raises:
            InputError: the folder holds another plan, or another process is at work in it.
            KeyboardInterrupt: this process was interrupted; its trials have saved what they had.
        """
        for option, value in (("--trials", trials), ("--jobs", jobs)):
            if value < 1:
                raise InputError(f"{option} {value} must be at least 1")
        there = [] if self.base.common.cpu else devices.visible()
        if there and jobs > len(there):
            raise InputError(
                f"--jobs {jobs} are more than the {len(there)} devices of this machine; take "
                f"fewer, or make more visible with {devices.VISIBLE}"
            )
        with ExitStack() as stack:
            try:
                stack.enter_context(alone(self.folder))
            except InputError:
                raise InputError(
                    f"another process is at work in {self.folder}; wait for it, or give this "
                    f"search a name of its own with --name"
                ) from None
            self._keep_plan()
            study = self._open()
            self._train(self._trials(study, trials), jobs)
            return [self._result(trial) for trial in study.get_trials()]

    def _train(self, waiting: Iterator[optuna.Trial], jobs: int) -> None:
        running: list[RunningTrial] = []
        try:
            while True:
                while len(running) < jobs and (trial := next(waiting, None)) is not None:
                    running.append(self._start(trial))
                if not running:
                    return
                time.sleep(POLL_SECONDS)
                running = [trial for trial in running if not trial.ended()]
        finally:
            for trial in running:
                trial.terminate()
            for trial in running:
                trial.wait()

    def _start(self, trial: optuna.Trial) -> RunningTrial:
        def tell(line: str) -> None:
            self._tell(f"trial {trial.number}: {line}")

        chosen, folder = self.chosen(trial.params), self.folder / f"trial_{trial.number}"
        place = override("run.dir", folder)
        overrides = [*self.plan.overrides, *chosen, "run.score_test=false", place]
        tell(" ".join(chosen))
        return RunningTrial(trial, folder, overrides, self.plan.name, self.base, tell)

    def _trials(self, study: optuna.Study, trials: int) -> Iterator[optuna.Trial]:
        """Trials that an earlier start left unfinished, then new ones."""
        if self.plan.sampler == "grid":
            trials = min(trials, math.prod(len(parameter.grid) for parameter in self.plan.space))
        earlier = study.get_trials()
        for trial in earlier:
            if trial.state == TrialState.RUNNING:
                yield self._drawn(study, trial)
        for _ in range(len(earlier), trials):
            yield self._drawn(study)

    def _drawn(self, study: optuna.Study, earlier: FrozenTrial | None = None) -> optuna.Trial:
        """A trial with its values, which follow from its number and the trials before it."""
        number = len(study.get_trials()) if earlier is None else earlier.number
        study.sampler = SAMPLERS[self.plan.sampler](self.plan, number)
        trial = study.ask() if earlier is None else optuna.Trial(study, earlier._trial_id)
        for parameter in self.plan.space:
            parameter.draw(trial)
        return trial

    def _keep_plan(self) -> None:
        path, plan = self.folder / PLAN_FILE, self.plan.to_json()
        if not path.exists():
            versions = provenance.versions() | {"optuna": version("optuna")}
            write_json(path, plan | {"versions": versions})
            return
        old = json.loads(path.read_text(encoding="utf-8"))
        if self._widens(space.parse_all(old["space"])):
            plan |= {"space": old["space"]}
        if changed := differences({key: old.get(key) for key in plan}, plan):
            raise InputError(
                f"{self.folder} holds a search with another plan ({'; '.join(changed)}); give this "
                f"one a name of its own with --name"
            )
        if old["space"] != (wider := self.plan.to_json()["space"]):
            drawn = {"space": old["space"], "trials": len(self._open().get_trials())}
            earlier = [*old.get("earlier_spaces", []), drawn]
            write_json(path, old | {"space": wider, "earlier_spaces": earlier})

    def _widens(self, earlier: Sequence[Parameter]) -> bool:
        """Whether the search may continue with this plan's ranges."""
        same = [p.key for p in earlier] == [p.key for p in self.plan.space]
        return (
            same
            and self.plan.sampler != "grid"
            and all(new.widens(old) for new, old in zip(self.plan.space, earlier, strict=True))
        )

    def _open(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        path = self.folder / STORAGE_FILE
        _mend(path)
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path))),
            study_name=self.plan.name,
            direction="minimize",
            pruner=PRUNERS[self.plan.pruner](),
            load_if_exists=True,
        )

    def _result(self, trial: FrozenTrial) -> TrialResult:
        path = self.folder / f"trial_{trial.number}" / records.FILE_NAME
        reported = trial.intermediate_values.get(trial.last_step)
        return TrialResult(
            number=trial.number,
            setting=trial.params,
            state=STATES[trial.state],
            valid_ppl=trial.value if trial.state == TrialState.COMPLETE else reported,
            updates=trial.last_step,
            minutes=records.read(path).speed["seconds"] / 60 if path.exists() else None,
            reason=trial.user_attrs.get("reason", ""),
        )

    def chosen(self, setting: Mapping[str, Value]) -> list[str]:
        """The overrides of a trial's own values."""
        return [space.override(key, value, self.base) for key, value in setting.items()]

    def command(self, trial: TrialResult) -> list[str]:
        """The words of the command that trains a trial's setting as a result, test set included."""
        common = [text for text in self.plan.overrides if not text.startswith("seed=")]
        return ["define", "train", *common, *self.chosen(trial.setting)]


def best_of(results: Sequence[TrialResult]) -> TrialResult | None:
    """The finished trial with the lowest validation perplexity; None if none has finished."""
    finished = [trial for trial in results if trial.state == "finished"]
    return min(finished, key=lambda trial: trial.valid_ppl, default=None)


def _mend(path: Path) -> None:
    """Takes back a line that a killed process left unfinished; Optuna would refuse the file."""
    if path.exists():
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            path.write_bytes(content[: content.rfind(b"\n") + 1])
