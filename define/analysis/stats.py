"""Means with Student's t intervals, quartiles and ratios."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Statistic:
    """A mean over n values; `std` is the sample deviation (n - 1), None for a single value."""

    mean: float
    std: float | None
    n: int

    @property
    def half_width(self) -> float | None:
        """Half the 95 % interval of the mean (Student's t, n - 1); None for a single value."""
        return None if self.std is None else _t(self.n - 1) * self.std / math.sqrt(self.n)

    @property
    def interval95(self) -> tuple[float, float] | None:
        """The ends of the mean's 95 % interval; None for a single value."""
        half = self.half_width
        return None if half is None else (self.mean - half, self.mean + half)

    def to_json(self) -> dict[str, Any]:
        """The fields and the interval's ends, as plain JSON values."""
        low, high = self.interval95 or (None, None)
        return {**asdict(self), "low": low, "high": high}


def summarise(values: Sequence[float]) -> Statistic | None:
    """Mean and sample deviation; None without a value."""
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return Statistic(statistics.fmean(values), std, len(values))


@cache
def _t(degrees: int) -> float:
    """The t with P(|T| < t) = 95 % for these degrees of freedom."""
    from scipy.special import stdtrit  # importing scipy.stats takes longer than the comparison

    return float(stdtrit(degrees, 0.975))


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile, by linear interpolation of the sorted values."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def ratios(values: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Each value divided by the reference's value of the same round."""
    return [value / base for value, base in zip(values, reference, strict=True)]
