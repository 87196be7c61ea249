"""What a hyper-parameter search may vary: parameters of a config, each with its range."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig, ListConfig, OmegaConf
from optuna.trial import Trial

from define.errors import InputError

KINDS = ("log", "uniform", "int", "choice")
GRID_POINTS = 5
"""Values that a grid takes of a continuous range, its ends among them."""

AROUND = 4
"""The default range of the learning rate, in both directions from the recipe's."""

Value = float | int | str


@dataclass(frozen=True)
class Parameter:
    """A key of the config and the values that it may take.

    Attributes:
        key: dotted, such as "optimization.lr".
        kind: of `KINDS`.
        values: both ends of the range, ends included; of a choice all values, as Hydra reads them.
    """

    key: str
    kind: str
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{self.key}={self.kind}({','.join(map(str, self.values))})"

    def draw(self, trial: Trial) -> Value:
        """The value in a trial, which keeps the first that is drawn."""
        if self.kind == "choice":
            return trial.suggest_categorical(self.key, self.values)
        if self.kind == "int":
            return trial.suggest_int(self.key, *self.values)
        return trial.suggest_float(self.key, *self.values, log=self.kind == "log")

    def widens(self, earlier: "Parameter") -> bool:
        """Whether this is the earlier range or one of the same kind that contains it."""
        if self == earlier:
            return True
        (low, high), (least, most) = self.values[:2], earlier.values[:2]
        kinds = {self.kind, earlier.kind}
        return (
            self.key == earlier.key
            and kinds in ({"log"}, {"uniform"}, {"int"})
            and (low <= least and most <= high)
        )

    @property
    def grid(self) -> list[Value]:
        """The values of an exhaustive search."""
        if self.kind == "choice":
            return list(self.values)
        low, high = self.values
        if self.kind == "int":
            return list(range(low, high + 1))
        steps = [index / (GRID_POINTS - 1) for index in range(1, GRID_POINTS - 1)]
        if self.kind == "log":
            return [low, *(low * (high / low) ** step for step in steps), high]
        return [low, *(low + (high - low) * step for step in steps), high]


def parse(text: str) -> Parameter:
    """Reads "KEY=log(a,b)", "KEY=uniform(a,b)", "KEY=int(a,b)" or "KEY=choice(x,y,...)".

    Raises:
        InputError: another text, or a range that is none.
    """
    found = re.fullmatch(rf"([\w.]+)=({'|'.join(KINDS)})\((.*)\)", text.strip())
    if found is None:
        raise InputError(
            f"space {text!r} is no space to search; write KEY=log(a,b), KEY=uniform(a,b), "
            f"KEY=int(a,b) or KEY=choice(x,y,...)"
        )
    key, kind, inside = found.groups()
    values = [value.strip() for value in re.split(r",(?![^\[]*\])", inside)]
    if kind == "choice":
        if "" in values or len(set(values)) < max(2, len(values)):
            raise InputError(f"space {text!r} must choose from at least two different values")
        return Parameter(key, kind, tuple(values))
    try:
        low, high = map(int if kind == "int" else float, values)
    except ValueError:
        number = "whole numbers" if kind == "int" else "numbers"
        raise InputError(f"space {text!r} needs two {number}: {kind}(low,high)") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"space {text!r} must go from a lower to a higher number")
    if kind == "log" and low <= 0:
        raise InputError(f"space {text!r} is logarithmic, so it must begin above 0")
    return Parameter(key, kind, (low, high))


def parse_all(texts: Sequence[str]) -> tuple[Parameter, ...]:
    """Reads parameters of different keys.

    Raises:
        InputError: as `parse`, or a key that is given twice.
    """
    space = tuple(map(parse, texts))
    keys = [parameter.key for parameter in space]
    for key in keys:
        if keys.count(key) > 1:
            raise InputError(f"space has {key} {keys.count(key)} times; give it one range")
    return space


def around_learning_rate(config: DictConfig) -> Parameter:
    """The default space: the learning rate, from a quarter of the recipe's to four times it."""
    rate = config.optimization.lr[0]
    low, high = (float(f"{end:.3g}") for end in (rate / AROUND, rate * AROUND))
    return Parameter("optimization.lr", "log", (low, high))


def override(key: str, value: Value, config: DictConfig) -> str:
    """KEY=VALUE for Hydra; where the config has a list, a list of this one value.

    Raises:
        InputError: the config has a whole section there.
    """
    current = OmegaConf.select(config, key)
    if isinstance(current, DictConfig):
        raise InputError(f"space: {key} is a section of the config; name one value in it")
    as_list = isinstance(current, ListConfig) and not str(value).startswith("[")
    return f"{key}=[{value}]" if as_list else f"{key}={value}"
