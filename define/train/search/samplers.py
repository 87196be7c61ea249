"""What draws the trials of a search, and what gives up hopeless ones: Optuna's, set here."""

from collections.abc import Callable
from typing import Any

import numpy as np
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler

from define.train.search.plan import Plan

TPE_STARTUP = 5
"""Trials that TPE draws at random before it has something to go by."""

MEDIAN_STARTUP = 3
"""Finished trials before the median prunes."""

PRUNERS: dict[str, Callable[[], BasePruner]] = {
    "none": NopPruner,
    "median": lambda: MedianPruner(n_startup_trials=MEDIAN_STARTUP),
    "halving": SuccessiveHalvingPruner,
}


class _Grid(GridSampler):
    def after_trial(self, *_: Any) -> None:
        """Nothing: the search itself ends with the grid."""


def _seed(plan: Plan, number: int) -> int:
    """A seed for each trial: a resumed search draws what an uninterrupted one draws."""
    return int(np.random.SeedSequence([plan.sampler_seed, number]).generate_state(1)[0])


SAMPLERS: dict[str, Callable[[Plan, int], BaseSampler]] = {
    "tpe": lambda plan, number: TPESampler(seed=_seed(plan, number), n_startup_trials=TPE_STARTUP),
    "random": lambda plan, number: RandomSampler(seed=_seed(plan, number)),
    "grid": lambda plan, number: _Grid({p.key: p.grid for p in plan.space}, plan.sampler_seed),
}
