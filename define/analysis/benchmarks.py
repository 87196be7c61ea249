"""Records of `define bench`: medians, spreads and ratios."""

import statistics
from collections.abc import Sequence


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile, by linear interpolation of the sorted values."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def ratios(values: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Each value over the reference's of the same round."""
    return [value / base for value, base in zip(values, reference, strict=True)]
