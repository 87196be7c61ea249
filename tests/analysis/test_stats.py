"""Intervals, quartiles and ratios against closed forms and published quantiles."""

import math

import pytest

from define.analysis.stats import Statistic, quartiles, ratios, summarise


@pytest.mark.parametrize(
    ("degrees", "expected"),
    # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2, column 0.975.
    [(1, 12.706), (2, 4.303), (9, 2.262), (100, 1.984)],
)
def test_half_the_interval_is_the_tabulated_t_times_the_standard_error(degrees, expected):
    n = degrees + 1
    assert Statistic(0.0, math.sqrt(n), n).half_width == pytest.approx(expected, abs=5e-4)


def test_summary_uses_the_sample_deviation():
    assert summarise([1.0, 2.0, 6.0]) == Statistic(3.0, math.sqrt(7.0), 3)
    assert summarise([5.0]) == Statistic(5.0, None, 1) and summarise([]) is None


def test_interval_of_two_values_against_its_closed_form():
    # The deviation of x and x + d is d / sqrt(2), so half the interval is t d / 2.
    half = math.tan(math.pi * 0.475) / 2
    assert summarise([10.0, 11.0]).to_json() == {
        "mean": 10.5,
        "std": pytest.approx(0.5**0.5),
        "n": 2,
        "low": pytest.approx(10.5 - half),
        "high": pytest.approx(10.5 + half),
    }
    assert Statistic(10.0, None, 1).interval95 is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], (7, 7, 7)),
        ([4.0, 1.0, 3.0, 2.0, 5.0], (2, 3, 4)),
        # Places 0.75, 1.5 and 2.25 of the sorted values, counted from 0.
        ([1.0, 3.0, 5.0, 9.0], (2.5, 4.0, 6.0)),
    ],
)
def test_quartiles(values, expected):
    assert quartiles(values) == pytest.approx(expected)


def test_ratios_are_round_by_round():
    # The median of the ratios, 2.5, would be 1.25 if the values were sorted.
    assert ratios([40.0, 20.0, 10.0], [8.0, 8.0, 10.0]) == [5.0, 2.5, 1.0]
