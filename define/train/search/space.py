"""What a search varies: keys of the config, each with its range."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig, ListConfig, OmegaConf
from optuna.trial import Trial

from define.errors import InputError

Value = float | int | str
NUMBERS = {"log": float, "uniform": float, "int": int}
GRID_POINTS = 5
"""Values that a grid takes of a continuous range, its ends included."""
AROUND = 4
"""The default range of the learning rate, in both directions from the recipe's."""


@dataclass(frozen=True)
class Parameter:
    """A key of the config and the values that it may take.

    Attributes:
        key: dotted, such as "optimization.lr".
        kind: "log", "uniform", "int" or "choice".
        values: both ends of the range, which belong to it; of a choice all values, as texts.
    """

    key: str
    kind: str
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{self.key}={self.kind}({','.join(map(str, self.values))})"

    def draw(self, trial: Trial) -> Value:
        """The value in a trial; a trial keeps the value that it first drew."""
        if self.kind == "choice":
            return trial.suggest_categorical(self.key, self.values)
        if self.kind == "int":
            return trial.suggest_int(self.key, *self.values)
        return trial.suggest_float(self.key, *self.values, log=self.kind == "log")

    def widens(self, earlier: "Parameter") -> bool:
        """Whether this is the earlier range, or one of the same kind that contains it."""
        if (self.key, self.kind) != (earlier.key, earlier.kind) or self.kind == "choice":
            return self == earlier
        (low, high), (earlier_low, earlier_high) = self.values, earlier.values
        return low <= earlier_low and earlier_high <= high

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
        InputError: the text is none of these, or the range is empty.
    """
    found = re.fullmatch(r"([\w.]+)=(log|uniform|int|choice)\((.*)\)", text.strip())
    if found is None:
        raise InputError(
            f"space {text!r} is malformed; write KEY=log(a,b), KEY=uniform(a,b), KEY=int(a,b) or "
            f"KEY=choice(x,y,...)"
        )
    key, kind, inside = found.groups()
    values = [value.strip() for value in re.split(r",(?![^\[]*\])", inside)]
    if kind == "choice":
        if "" in values or len(set(values)) < max(2, len(values)):
            raise InputError(f"space {text!r} must choose from at least two different values")
        return Parameter(key, kind, tuple(values))
    number = "whole numbers" if kind == "int" else "numbers"
    try:
        low, high = map(NUMBERS[kind], values)
    except ValueError:
        raise InputError(f"space {text!r} needs two {number}: {kind}(low,high)") from None
    least, above_0 = (0, ", both above 0") if kind == "log" else (-math.inf, "")
    if not least < low < high < math.inf:
        raise InputError(f"space {text!r} must go from a lower to a higher number{above_0}")
    return Parameter(key, kind, (low, high))


def parse_all(texts: Sequence[str]) -> tuple[Parameter, ...]:
    """Reads parameters of different keys.

    Raises:
        InputError: as `parse`, or a key has two ranges.
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
        InputError: the key is a section of the config.
    """
    current = OmegaConf.select(config, key)
    if isinstance(current, DictConfig):
        raise InputError(f"space: {key} is a section of the config; name one value in it")
    as_list = isinstance(current, ListConfig) and not str(value).startswith("[")
    return f"{key}=[{value}]" if as_list else f"{key}={value}"
