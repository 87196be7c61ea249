"""Curves of training and validation against known numbers."""

import pytest

from define.analysis import curves
from define.analysis.compare import of_table
from define.runs import records


def test_curve_is_mean_and_range_over_the_seeds(mini_runs):
    runs = [record for record in records.find([mini_runs]) if record.row == "awd_lstm"]
    line = curves.curve(runs)
    assert line.at == (1, 2, 3) and line.seeds == 3
    assert line.mean == pytest.approx((310.0, 160.0, 122.0))
    assert line.low == (310.0, 160.0, 120.0) and line.high == (310.0, 160.0, 124.0)
    assert line.best == (3, pytest.approx(122.0))


def test_curve_ends_with_the_shortest_seed_and_leaves_unfinished_ones_out(tmp_path, put):
    put(tmp_path, seed=1, curve=(300.0, 200.0, 210.0))
    put(tmp_path, seed=2, curve=(320.0, 220.0))
    put(tmp_path, seed=3, curve=(900.0,), status="interrupted")
    line = curves.curve(records.find([tmp_path]))
    assert line.at == (1, 2) and line.mean == (310.0, 210.0) and line.seeds == 2


def test_unfinished_runs_are_drawn_when_nothing_else_is_there(tmp_path, put):
    put(tmp_path, seed=1, curve=(300.0, 200.0), status="running")
    assert curves.curve(records.find([tmp_path])).mean == (300.0, 200.0)
    assert curves.curve([]) is None


def test_curves_by_update_take_the_journal(everything):
    runs = [r for r in of_table("5", records.find([everything])) if r.row == "n3_k1024"]
    assert curves.valid_by_update(runs[0]) == pytest.approx({300: 240.0, 600: 120.0, 660: 392.2})
    losses = curves.training_by_update(runs[0])
    assert list(losses) == list(range(60, 601, 60)) and losses[600] == pytest.approx(4.60517)
    assert curves.curves(runs, curves.training_by_update, points=11) == {}
