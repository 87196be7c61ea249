"""Paired differences: closed forms, the paper's pairs, and directions."""

import math

import pytest

from define.analysis import pairs
from define.analysis.compare import compare
from define.analysis.pairs import paired_difference
from define.analysis.stats import Statistic
from define.runs import records


def test_paired_difference_against_its_closed_form(mini_runs, put):
    # Seeds that have not finished, or that one row lacks, do not count.
    put(mini_runs, row="awd_lstm_define", seed=4, status="running", define_parameters=360_000)
    put(mini_runs, row="awd_lstm", seed=4)
    found = records.find([mini_runs])
    paired = paired_difference(found, "awd_lstm_define", "awd_lstm", "valid_ppl")
    # Differences -2, -5, -2: mean -3, deviation sqrt(3), t of two degrees 4.3027.
    assert paired.seeds == (1, 2, 3)
    assert paired.difference == Statistic(-3.0, pytest.approx(math.sqrt(3.0)), 3)
    half = pytest.approx(4.302652729911275)
    assert (-3.0 - paired.interval95[0], paired.interval95[1] + 3.0) == (half, half)
    assert paired_difference(found, "awd_lstm_wide", "awd_lstm", "test_ppl").seeds == (1, 2)


def test_one_or_no_shared_seed(tmp_path, put):
    put(tmp_path, row="a", seed=1, test_ppl=100.0)
    put(tmp_path, row="b", seed=1, test_ppl=97.0)
    put(tmp_path, row="c", seed=2)
    found = records.find([tmp_path])
    one = paired_difference(found, "b", "a", "test_ppl")
    assert (one.difference, one.interval95) == (Statistic(-3.0, None, 1), None)
    none = paired_difference(found, "c", "a", "test_ppl")
    assert (none.difference, none.seeds, none.interval95) == (None, (), None)


@pytest.mark.parametrize(
    ("differences", "paper", "expected"),
    [
        ((-3.0, -3.5, -4.0), -3.7, "same"),
        ((-3.0, -3.5, -4.0), 3.7, "opposite"),
        ((3.0, 3.5, 4.0), -3.7, "opposite"),
        ((3.0, 3.5, 4.0), 0.1, "same"),
        ((-3.0, 0.5, -4.0), -3.7, "undecided"),
        ((-3.0,), -3.7, "one seed"),
        ((-3.0, -3.5), None, None),
        ((-3.0, -3.5), 0.0, None),
    ],
)
def test_direction(tmp_path, put, differences, paper, expected):
    for seed, difference in enumerate(differences):
        put(tmp_path, row="a", seed=seed, test_ppl=100.0 + difference)
        put(tmp_path, row="b", seed=seed, test_ppl=100.0)
    paired = paired_difference(records.find([tmp_path]), "a", "b", "test_ppl")
    assert pairs.direction(paired, paper) == expected


@pytest.mark.parametrize(
    ("table", "rows", "expected"),
    [
        (  # the paper's pairs, and each control with every row
            "1a",
            ["1a/lstm_r1", "1a/lstm_r2", "1a/lstm_r3", "1a/lstm_wide"],
            ["wide - r1", "r3 - r2", "wide - r2", "wide - r3"],
        ),
        (  # at equal n, whatever the order of the rows
            "2",
            ["2/txl_64", "2/txl_64_define", "2/txl_128", "2/txl_128_define", "2/txl_256"],
            ["128_define - 128", "64_define - 64"],
        ),
        # Rows that show runs of another table.
        ("4b", ["4a/hgt", "4b/no_mixer", "4b/define"], ["no_mixer - hgt", "define - no_mixer"]),
        ("6b", ["4b/define", "6b/no_reduce"], ["mer - no_reduce"]),
    ],
)
def test_chosen_pairs(tmp_path, put, table, rows, expected):
    for name in rows:
        source, row = name.split("/")
        put(tmp_path, table=source, row=row)
    (section,) = compare(table, records.find([tmp_path]))
    names = [f"{first.row} - {second.row}" for first, second in pairs.chosen_pairs(section)]
    assert [name.replace("lstm_", "").replace("txl_", "") for name in names] == expected


def _differences(folder):
    (section,) = compare("3", records.find([folder]))
    return [
        (one.row_a, one.row_b, one.metric, one.difference.mean, paper, pairs.direction(one, paper))
        for one, paper in pairs.differences(section)
    ]


def test_on_the_papers_own_sets_each_has_its_own_difference(tmp_path, put):
    for row, gain in (("transformer", 0.0), ("transformer_define", -1.0)):
        for seed in (1, 2):
            scores = {"newstest2014": 20.0 + gain + 0.001 * seed * gain, "newstest2017": 21.0}
            ways = {"beam_5": ({}, scores)}
            put(tmp_path, table="3", row=row, seed=seed, data="wmt14-en-de", translations=ways)
    # The paper: 27.01 - 25.01 and 28.25 - 25.81.
    assert [found[2:] for found in _differences(tmp_path)] == [
        ("newstest2014_bleu", pytest.approx(-1.0015), pytest.approx(2.00), "opposite"),
        ("newstest2017_bleu", 0.0, pytest.approx(2.44), "undecided"),
    ]


def test_bleu_on_other_sets_has_the_difference_of_the_papers_test_set(translation_runs):
    define, linear, both = _differences(translation_runs)[1::2]
    # Differences 2, 1.5 and 2.3; the paper's 28.25 - 25.81 on newstest2017.
    assert define == (
        *("transformer_define", "transformer", "test_2016_flickr_bleu"),
        *(pytest.approx(5.8 / 3), pytest.approx(2.44), "same"),
    )
    assert linear[:2] == ("transformer_linear", "transformer")
    assert both[:2] == ("transformer_linear", "transformer_define")
