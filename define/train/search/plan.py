"""What a search is: the overrides of its trials, the space, the sampler and the pruner."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler

from define.errors import InputError
from define.train.compose import compose
from define.train.search import space
from define.train.search.space import Parameter

SEED = 11
"""Of the trials' training: a seed that no result uses, so that results are not chosen by it."""
OWN_KEYS = ("run.dir", "run.score_test", "checkpoint.save_dir")
"""Keys that a search sets for each trial."""


@dataclass(frozen=True)
class Plan:
    """A search; it resumes only with the plan that it began with, or with wider ranges.

    Attributes:
        name: of its folder.
        overrides: Hydra overrides of every trial, the training's seed included.
        space: what differs between the trials.
        sampler: a key of `SAMPLERS`.
        sampler_seed: of the sampler alone.
        pruner: a key of `PRUNERS`.
    """

    name: str
    overrides: tuple[str, ...]
    space: tuple[Parameter, ...]
    sampler: str = "tpe"
    sampler_seed: int = 0
    pruner: str = "median"

    def to_json(self) -> dict[str, Any]:
        """The plan as search.json holds it, next to the versions."""
        texts = {"overrides": list(self.overrides), "space": list(map(str, self.space))}
        return asdict(self) | texts


class _Grid(GridSampler):
    def after_trial(self, *_: Any) -> None:
        """Nothing: the search itself ends with the grid."""


def _seed(plan: Plan, number: int) -> int:
    """A seed for each trial: a resumed search draws what an uninterrupted one draws."""
    return int(np.random.SeedSequence([plan.sampler_seed, number]).generate_state(1)[0])


SAMPLERS: dict[str, Callable[[Plan, int], BaseSampler]] = {
    "tpe": lambda plan, number: TPESampler(seed=_seed(plan, number), n_startup_trials=5),
    "random": lambda plan, number: RandomSampler(seed=_seed(plan, number)),
    "grid": lambda plan, number: _Grid({p.key: p.grid for p in plan.space}, plan.sampler_seed),
}
"""Name -> (plan, number of the trial) -> what draws its values."""

PRUNERS: dict[str, Callable[[], BasePruner]] = {
    "none": NopPruner,
    "median": lambda: MedianPruner(n_startup_trials=3),
    "halving": SuccessiveHalvingPruner,
}


def make_plan(
    overrides: Sequence[str],
    space_texts: Sequence[str] = (),
    name: str | None = None,
    **options: Any,
) -> Plan:
    """A plan; what the user leaves open (space, seed of the trials, name) gets its default.

    Args:
        overrides: Hydra overrides, as for `define train`.
        space_texts: as `define.train.search.space.parse` reads them.
        options: further fields of `Plan`.
    Raises:
        InputError: what cannot be read or composed, or a key that the search sets itself.
    """
    keys = [text.lstrip("+~").partition("=")[0] for text in overrides]
    chosen = space.parse_all(space_texts)
    for key in (*keys, *(parameter.key for parameter in chosen)):
        if key in OWN_KEYS:
            raise InputError(f"{key} is set for each trial by the search; leave it out")
    trained = tuple(overrides) if "seed" in keys else (*overrides, f"seed={SEED}")
    config = compose(list(trained))
    chosen = chosen or (space.around_learning_rate(config),)
    if name is None:
        text = json.dumps([trained, list(map(str, chosen))])
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        name = f"table_{config.run.table}_{config.run.row}_{config.run.scale}_{digest}"
    if re.fullmatch(r"\w[\w.-]*", name) is None:
        raise InputError(f"--name {name!r} must be letters, digits, '.', '_' and '-'")
    return Plan(name, trained, chosen, **options)
