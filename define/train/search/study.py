"""A search: trials drawn by Optuna, each one training, judged on validation alone.

A search is a folder: `search.json` (the plan), `study.log` (Optuna's journal, from which it
resumes) and one run folder per trial. A search may resume with wider ranges, when the best value
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
from define.files import is_held, write_json
from define.runs import journal, provenance, records
from define.runs.recipe import differences
from define.train import devices
from define.train.compose import compose, override
from define.train.process import POLL_S, Ended, TrainProcess
from define.train.rules import check_recipe
from define.train.run_folder import alone
from define.train.search import space
from define.train.search.plan import PRUNERS, SAMPLERS, Plan
from define.train.search.space import Value
from define.train.workloads import workload

PLAN_FILE, STORAGE_FILE, LOG_FILE = "search.json", "study.log", "output.log"
STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "interrupted",
}


@dataclass(frozen=True)
class TrialResult:
    """The outcome of a trial.

    Attributes:
        setting: key -> value.
        state: a value of `STATES`.
        valid_ppl: the final validation perplexity if it is finished, else the last one.
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
    """A search in its folder.

    Args:
        plan: checked, each range at both ends, before anything is written.
        tell: called with a line about each event.
    Raises:
        InputError: the config refuses an override or a value, or there is no corpus.
    """

    def __init__(self, plan: Plan, tell: Callable[[str], None] = lambda line: None):
        self.plan, self._tell = plan, tell
        self.base = compose([*plan.overrides, "run.score_test=false"])
        self.folder = Path(self.base.runs_root, records.SEARCH_FOLDER, plan.name)
        self._stopping = False
        work, loaded = workload(self.base), {}
        for setting in ({}, *({p.key: value} for p in plan.space for value in p.values)):
            config = compose([*plan.overrides, *self.chosen(setting), "run.score_test=false"])
            check_recipe(config)
            if config.task.data not in loaded:
                loaded[config.task.data] = work.load(config)
            work.check(config, loaded[config.task.data])

    def run(self, trials: int, jobs: int = 1) -> list[TrialResult]:
        """Trains until there are so many trials; unfinished ones of an earlier start come first.

        Returns:
            all trials of the search, by number.
        Raises:
            InputError: the folder holds another plan, or another process works in it.
            KeyboardInterrupt: this process was interrupted; its trials have saved.
        """
        for option, value in (("--trials", trials), ("--jobs", jobs)):
            if value < 1:
                raise InputError(f"{option} {value} must be at least 1")
        visible = [] if self.base.common.cpu else devices.visible()
        if visible and jobs > len(visible):
            raise InputError(
                f"--jobs {jobs} are more than the {len(visible)} devices of this machine; take "
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
            self._train_all(self._trials(study, trials), jobs)
            return [self._result(trial) for trial in study.get_trials()]

    def _train_all(self, trials: Iterator[optuna.Trial], jobs: int) -> None:
        running: list[Iterator[None]] = []

        def look() -> bool:
            """Starts what can be started and follows what runs; whether anything ran."""
            while len(running) < jobs and not self._stopping:
                if (trial := next(trials, None)) is None:
                    break
                running.append(self._train(trial))
            followed = list(running)
            for training in followed:
                if next(training, True):
                    running.remove(training)
            time.sleep(POLL_S)
            return bool(followed)

        try:
            while look():
                pass
        finally:  # after an interruption all trials save before this ends
            self._stopping = True
            while look():
                pass

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

    def _train(self, trial: optuna.Trial) -> Iterator[None]:
        """Trains a trial on a device of its own; reports its validations whenever it is asked."""
        folder = self.folder / f"trial_{trial.number}"
        chosen, place = self.chosen(trial.params), override("run.dir", folder)
        reported = set(trial.study.get_trials()[trial.number].intermediate_values)
        judged = set(sorted(reported)[:-1])

        def hopeless() -> bool:
            """Reports new validations, in their order, until Optuna gives the trial up."""
            for event in journal.read(folder / journal.FILE_NAME):
                if event["event"] != "validated" or event["updates"] in judged:
                    continue
                judged.add(event["updates"])
                if event["updates"] not in reported:
                    trial.report(event["valid"]["ppl"], event["updates"])
                if not self._almost_finished(event) and trial.should_prune():
                    return True
            return False

        self._tell(f"trial {trial.number}: {' '.join(chosen)}")
        if is_held(folder / LOG_FILE):
            self._tell(f"trial {trial.number}: an earlier start still trains it; waiting")
        with ExitStack() as stack:
            device = None
            if not self.base.common.cpu:
                device = stack.enter_context(devices.take(devices.visible()))
            overrides = [*self.plan.overrides, *chosen, "run.score_test=false", place]
            process = TrainProcess(overrides, folder / LOG_FILE, self.plan.name, device)
            asked_to_end = pruned = False
            try:
                while (ended := process.poll()) is None:
                    pruned = pruned or hopeless()
                    if (pruned or self._stopping) and not asked_to_end:
                        process.terminate()
                        asked_to_end = True
                    yield
            except BaseException:
                if not asked_to_end:
                    process.terminate()
                process.wait()
                raise
        pruned = pruned or hopeless()  # by validations since the last look
        what = self._settle(trial, folder / records.FILE_NAME, ended, pruned)
        self._tell(f"trial {trial.number}: {what}")

    def _almost_finished(self, event: Mapping) -> bool:
        """Whether so little of the training is left that it may as well be finished."""
        limit = self.base.optimization
        return event["updates"] >= limit.max_update > 0 or event["epoch"] >= limit.max_epoch > 1

    def _settle(self, trial: optuna.Trial, path: Path, ended: Ended, pruned: bool) -> str:
        """Tells Optuna how a trial ended; returns it in words."""
        if pruned:
            records.mark_pruned(path)
            trial.study.tell(trial, state=TrialState.PRUNED)
            return "pruned"
        if ended.code == 0:
            perplexity = records.read(path).final["valid"]["ppl"]
            trial.study.tell(trial, perplexity)
            return f"finished with a validation perplexity of {perplexity:.2f}"
        if ended.interrupted or self._stopping:
            return f"{ended.reason.partition(';')[0]}; it resumes when the search is started again"
        trial.set_user_attr("reason", ended.reason)
        trial.study.tell(trial, state=TrialState.FAIL)
        return f"failed: {ended.reason}"

    def _keep_plan(self) -> None:
        """Writes the plan, or compares it with the one that is there; its ranges may be wider."""
        path, plan = self.folder / PLAN_FILE, self.plan.to_json()
        if not path.exists():
            versions = provenance.versions() | {"optuna": version("optuna")}
            write_json(path, plan | {"versions": versions})
            return
        old = json.loads(path.read_text(encoding="utf-8"))
        earlier = space.parse_all(old["space"])
        if (
            self.plan.sampler != "grid"
            and len(earlier) == len(self.plan.space)
            and all(new.widens(was) for new, was in zip(self.plan.space, earlier, strict=True))
        ):
            plan |= {"space": old["space"]}
        if changed := differences({key: old.get(key) for key in plan}, plan):
            raise InputError(
                f"{self.folder} holds a search with another plan ({'; '.join(changed)}); give this "
                f"one a name of its own with --name"
            )
        if old["space"] != (wider := self.plan.to_json()["space"]):
            drawn = {"space": old["space"], "trials": len(self._open().get_trials())}
            spaces = [*old.get("earlier_spaces", []), drawn]
            write_json(path, old | {"space": wider, "earlier_spaces": spaces})

    def _open(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        path = self.folder / STORAGE_FILE
        # Optuna refuses a file whose last line a killed process left unfinished.
        if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
            path.write_bytes(content[: content.rfind(b"\n") + 1])
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
