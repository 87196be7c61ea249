"""What a hyper-parameter search is: the overrides of its trials, the space, how it is searched."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from define.errors import InputError
from define.train.compose import compose
from define.train.search import space
from define.train.search.space import Parameter

SEED = 11
"""Of the trials' training: a seed that no result uses, so that results are not chosen by it."""
OWN_KEYS = ("run.dir", "run.score_test", "checkpoint.save_dir")
"""What a search sets for each trial."""


@dataclass(frozen=True)
class Plan:
    """What a search is; it resumes only with the plan that it began with.

    Attributes:
        name: of its folder.
        overrides: Hydra overrides of every trial, the training's seed among them.
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
        """As search.json has it, next to the versions."""
        return {
            "name": self.name,
            "overrides": list(self.overrides),
            "space": [str(parameter) for parameter in self.space],
            "sampler": self.sampler,
            "sampler_seed": self.sampler_seed,
            "pruner": self.pruner,
        }


def make_plan(
    overrides: Sequence[str],
    space_texts: Sequence[str] = (),
    name: str | None = None,
    **options: Any,
) -> Plan:
    """A plan with what the user leaves open: the space, the trials' seed and the name.

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
