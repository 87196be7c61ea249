"""One trial of a search while it is trained: its process, its validations, what became of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import optuna
from omegaconf import DictConfig
from optuna.trial import TrialState

from define.files import is_held
from define.runs import journal, records
from define.train import devices
from define.train.process import Ended, TrainProcess

LOG_FILE = "output.log"
POLL_SECONDS = 0.2


class RunningTrial:
    """Starts a training and reports its validations to Optuna, which may give it up.

    Args:
        trial: with its parameters drawn; validations reported by an earlier start count.
        folder: of the run.
        overrides: of the run.
        search: the name of the search.
        config: the search's, which says where training ends and whether on the processor.
        tell: hears one line about each thing that happens.
    """

    def __init__(
        self,
        trial: optuna.Trial,
        folder: Path,
        overrides: Sequence[str],
        search: str,
        config: DictConfig,
        tell: Callable[[str], None],
    ):
        self._trial, self._folder, self._config, self._tell = trial, folder, config, tell
        self._device = ExitStack()
        log = folder / LOG_FILE
        if is_held(log):
            tell("its training goes on since an earlier start of this search; waiting for its end")
            while is_held(log):
                time.sleep(POLL_SECONDS)
        self._reported = set(trial.study.get_trials()[trial.number].intermediate_values)
        known = [event for event in self._validations() if event["updates"] in self._reported]
        self._pruned = bool(known) and self._gives_up(known[-1])
        self._follow()
        self._training: TrainProcess | None = None
        if not self._pruned:
            device = None
            if not config.common.cpu:
                device = self._device.enter_context(devices.take(devices.visible()))
            self._training = TrainProcess(overrides, log, search, device)

    def ended(self) -> bool:
        """Reports what is new; once training has ended, says what became of the trial."""
        end = self._training.poll() if self._training else None
        if self._follow() and self._training:
            self._training.terminate()
        if self._training and end is None:
            return False
        self._device.close()
        self._settle(end)
        return True

    def terminate(self) -> None:
        """Asks the training to end; the trial resumes at the next start of the search."""
        if self._training:
            self._training.terminate()

    def wait(self) -> None:
        """Waits for the end of the training."""
        if self._training:
            self._training.wait()

    def _follow(self) -> bool:
        """Reports validations one by one, in their order, until the trial is given up.

        Returns:
            whether it has been given up just now.
        """
        for event in self._validations():
            if self._pruned:
                break
            if event["updates"] not in self._reported:
                self._reported.add(event["updates"])
                self._trial.report(event["valid"]["ppl"], event["updates"])
                if self._gives_up(event):
                    self._pruned = True
                    return True
        return False

    def _validations(self) -> list[dict[str, Any]]:
        events = journal.read(self._folder / journal.FILE_NAME)
        return [event for event in events if event["event"] == "validated"]

    def _gives_up(self, event: Mapping[str, Any]) -> bool:
        return not self._at_the_end(event) and self._trial.should_prune()

    def _at_the_end(self, event: Mapping[str, Any]) -> bool:
        """Whether so little of the training is left that it may as well be finished."""
        limit = self._config.optimization
        return event["updates"] >= limit.max_update > 0 or event["epoch"] >= limit.max_epoch > 1

    def _settle(self, end: Ended | None) -> None:
        study, path = self._trial.study, self._folder / records.FILE_NAME
        if self._pruned:
            records.mark_pruned(path)
            study.tell(self._trial, state=TrialState.PRUNED)
            self._tell(f"pruned at update {max(self._reported)}")
        elif end.code == 0:
            perplexity = records.read(path).final["valid"]["ppl"]
            study.tell(self._trial, perplexity)
            self._tell(f"finished with a validation perplexity of {perplexity:.2f}")
        elif end.interrupted:
            self._tell("its training was ended from outside; it goes on when the search runs again")
        else:
            self._trial.set_user_attr("reason", end.reason)
            study.tell(self._trial, state=TrialState.FAIL)
            self._tell(f"failed: {end.reason}")
