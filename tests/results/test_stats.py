"""Mean, deviation and t interval against closed forms and published quantiles."""

import math

import pytest

from define.analysis.stats import Statistic, interval95, summarise, t_quantile


@pytest.mark.parametrize(
    ("degrees", "expected"),
    # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2, column 0.975.
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (100, 1.984)],
)
def test_t_quantiles_are_the_tabulated_ones(degrees, expected):
    assert t_quantile(0.95, degrees) == pytest.approx(expected, abs=5e-4)


def test_t_quantiles_with_closed_forms():
    # Cauchy: tan(pi p / 2); two degrees: p sqrt(2 / (1 - p^2)).
    assert t_quantile(0.95, 1) == pytest.approx(math.tan(math.pi * 0.475), rel=1e-12)
    assert t_quantile(0.95, 2) == pytest.approx(0.95 * math.sqrt(2 / (1 - 0.95**2)), rel=1e-12)


def test_summary_uses_the_sample_deviation():
    assert summarise([1.0, 2.0, 6.0]) == Statistic(3.0, math.sqrt(7.0), 3)
    assert summarise([5.0]) == Statistic(5.0, None, 1)


def test_interval_of_three_values():
    low, high = interval95(Statistic(10.0, 3.0, 3))
    half = 4.302652729911275 * 3.0 / math.sqrt(3)
    assert (low, high) == (pytest.approx(10 - half), pytest.approx(10 + half))


def test_interval_of_two_values():
    # The deviation of x and x + d is d / sqrt(2), so half the interval is t d / 2.
    statistic = summarise([10.0, 11.0])
    half = math.tan(math.pi * 0.475) / 2
    assert statistic.half_width == pytest.approx(half)
    assert interval95(statistic) == (pytest.approx(10.5 - half), pytest.approx(10.5 + half))
    assert statistic.to_json() == {
        "mean": 10.5,
        "std": pytest.approx(0.5**0.5),
        "n": 2,
        "low": pytest.approx(10.5 - half),
        "high": pytest.approx(10.5 + half),
    }


def test_one_value_has_no_interval():
    alone = Statistic(10.0, None, 1)
    assert interval95(alone) is None and alone.half_width is None
    assert alone.to_json() == {"mean": 10.0, "std": None, "n": 1, "low": None, "high": None}
