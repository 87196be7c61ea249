"""Mean, sample deviation and Student's t interval, without SciPy."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Statistic:
    """A mean over n values; `std` is the sample deviation (n - 1), None for a single value."""

    mean: float
    std: float | None
    n: int

    @property
    def half_width(self) -> float | None:
        """Half the 95 % interval of the mean: Student's t, n - 1 degrees of freedom.

        None for a single value.
        """
        if self.std is None:
            return None
        return t_quantile(0.95, self.n - 1) * self.std / math.sqrt(self.n)

    def to_json(self) -> dict[str, Any]:
        """The fields and the interval's ends, as plain JSON values."""
        low, high = interval95(self) or (None, None)
        return {**asdict(self), "low": low, "high": high}


def summarise(values: Sequence[float]) -> Statistic:
    """Mean and sample deviation of at least one value."""
    std = statistics.stdev(values) if len(values) > 1 else None
    return Statistic(statistics.fmean(values), std, len(values))


def interval95(statistic: Statistic) -> tuple[float, float] | None:
    """The ends of the mean's 95 % interval, as in `half_width`; None for a single value."""
    half = statistic.half_width
    return None if half is None else (statistic.mean - half, statistic.mean + half)


def t_quantile(confidence: float, degrees: int) -> float:
    """The t with P(|T| < t) = `confidence` for `degrees` degrees of freedom, by bisection."""
    low, high = 0.0, math.pi / 2
    # 100 halvings exhaust the 53 bits of a double.
    for _ in range(100):
        middle = (low + high) / 2
        if _central_probability(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(low)


def _central_probability(theta: float, degrees: int) -> float:
    """P(|T| < sqrt(degrees) tan(theta)): Abramowitz and Stegun, 26.7.3 (odd) and 26.7.4 (even)."""
    odd = degrees % 2
    cosine = math.cos(theta)
    term, total = (cosine if odd else 1.0), 0.0
    for power in range(2 + odd, degrees + 1, 2):
        total += term
        term *= cosine**2 * (power - 1) / power
    series = math.sin(theta) * total
    return 2 / math.pi * (theta + series) if odd else series
