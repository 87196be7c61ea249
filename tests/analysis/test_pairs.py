"""Paired differences: closed forms, the paper's claims, and directions."""

import math

import pytest

from define.analysis import pairs
from define.analysis.compare import compare
from define.analysis.pairs import paired_difference
from define.analysis.stats import Statistic
from define.errors import InputError
from define.runs import records


def test_paired_difference_against_its_closed_form(mini_runs):
    found = records.find([mini_runs])
    paired = paired_difference(found, "awd_lstm_define", "awd_lstm", "valid_ppl")
    # Differences -2, -5, -2: mean -3, deviation sqrt(3), t of two degrees 4.3027.
    assert paired.seeds == (1, 2, 3) and len(paired.seeds) == 3
    assert paired.difference.mean == pytest.approx(-3.0)
    assert paired.difference.std == pytest.approx(math.sqrt(3.0))
    assert paired.interval95 == (
        pytest.approx(-3.0 - 4.302652729911275),
        pytest.approx(-3.0 + 4.302652729911275),
    )


def test_pairs_use_shared_finished_seeds_only(mini_runs, put):
    put(mini_runs, row="awd_lstm_define", seed=4, status="running", define_parameters=360_000)
    put(mini_runs, row="awd_lstm", seed=4)
    found = records.find([mini_runs])
    assert paired_difference(found, "awd_lstm_wide", "awd_lstm", "test_ppl").seeds == (1, 2)
    assert paired_difference(found, "awd_lstm_define", "awd_lstm", "test_ppl").seeds == (1, 2, 3)


def test_one_or_no_shared_seed(tmp_path, put):
    put(tmp_path, row="awd_lstm", seed=1, test_ppl=100.0)
    put(tmp_path, row="awd_lstm_define", seed=1, test_ppl=97.0)
    put(tmp_path, row="awd_lstm_wide", seed=2)
    found = records.find([tmp_path])
    one = paired_difference(found, "awd_lstm_define", "awd_lstm", "test_ppl")
    assert (one.difference, one.interval95) == (Statistic(-3.0, None, 1), None)
    none = paired_difference(found, "awd_lstm_wide", "awd_lstm", "test_ppl")
    assert (none.difference, none.seeds, none.interval95) == (None, (), None)


def test_pairs_across_corpora_are_refused(tmp_path, put):
    put(tmp_path / "a", data="ptb")
    put(tmp_path / "b", data="python_docs")
    with pytest.raises(InputError, match="two runs of seed 1"):
        paired_difference(records.find([tmp_path]), "awd_lstm", "awd_lstm_define", "test_ppl")


@pytest.mark.parametrize(
    ("differences", "paper", "expected"),
    [
        ((-3.0, -3.5, -4.0), -3.7, "same"),
        ((-3.0, -3.5, -4.0), 3.7, "opposite"),
        ((3.0, 3.5, 4.0), -3.7, "opposite"),
        ((3.0, 3.5, 4.0), 0.1, "same"),
        ((-3.0, 0.5, -4.0), -3.7, "undecided"),
        ((3.0, -0.5, 4.0), -3.7, "undecided"),
        ((-3.0,), -3.7, "one seed"),
        ((-3.0, -3.5), None, None),
        ((-3.0, -3.5), 0.0, None),
    ],
)
def test_direction(tmp_path, put, differences, paper, expected):
    for seed, difference in enumerate(differences):
        put(tmp_path, row="a", seed=seed, test_ppl=100.0 + difference)
        put(tmp_path, row="b", seed=seed, test_ppl=100.0)
    found = records.find([tmp_path])
    paired = paired_difference(found, "a", "b", "test_ppl")
    assert pairs.direction(paired, paper) == expected


def _chosen(table, folder):
    chosen = pairs.chosen_pairs(compare(table, records.find([folder])))
    return [(first.row, second.row) for first, second in chosen]


def test_the_papers_claims_come_first_and_controls_are_compared_with_all(tmp_path, put):
    for row in ("lstm_r1", "lstm_r2", "lstm_r3", "lstm_r4", "lstm_wide"):
        put(tmp_path, table="1a", row=row)
    assert _chosen("1a", tmp_path) == [
        ("lstm_wide", "lstm_r1"),
        ("lstm_r3", "lstm_r2"),
        ("lstm_wide", "lstm_r2"),
        ("lstm_r4", "lstm_r3"),
        ("lstm_wide", "lstm_r3"),
        ("lstm_wide", "lstm_r4"),
    ]


def test_transformer_xl_is_paired_at_equal_n_whatever_the_order_of_rows(tmp_path, put):
    for n in (64, 128):
        put(tmp_path, table="2", row=f"txl_{n}")
        put(tmp_path, table="2", row=f"txl_{n}_define")
    put(tmp_path, table="2", row="txl_256")
    assert _chosen("2", tmp_path) == [("txl_128_define", "txl_128"), ("txl_64_define", "txl_64")]


def test_rows_that_show_another_tables_run_are_paired(tmp_path, put):
    for table, row in (("4a", "hgt"), ("4b", "no_mixer"), ("4b", "define"), ("6b", "no_reduce")):
        put(tmp_path, table=table, row=row)
    assert _chosen("4b", tmp_path) == [("no_mixer", "hgt"), ("define", "no_mixer")]
    assert _chosen("6b", tmp_path) == [("mer", "no_reduce")]


def test_on_the_papers_own_sets_each_has_its_own_difference(tmp_path, put):
    for row, gain in (("transformer", 0.0), ("transformer_define", -1.0)):
        for seed in (1, 2):
            scores = {"newstest2014": 20.0 + gain + 0.001 * seed * gain, "newstest2017": 21.0}
            ways = {"beam_5": ({}, scores)}
            put(tmp_path, table="3", row=row, seed=seed, data="wmt14-en-de", translations=ways)
    found = records.find([tmp_path])
    shown = [
        (one.metric, one.difference.mean, paper, pairs.direction(one, paper))
        for one, paper in pairs.differences(compare("3", found), found)
    ]
    # The paper: 27.01 - 25.01 and 28.25 - 25.81.
    assert shown == [
        ("newstest2014_bleu", pytest.approx(-1.0015), pytest.approx(2.00), "opposite"),
        ("newstest2017_bleu", 0.0, pytest.approx(2.44), "undecided"),
    ]


def test_bleu_on_other_sets_has_the_difference_of_the_papers_test_set(translation_runs):
    found = records.find([translation_runs])
    shown = pairs.differences(compare("3", found), found)
    assert [(one.row_a, one.row_b) for one, _ in shown[::2]] == [
        ("transformer_define", "transformer"),
        ("transformer_linear", "transformer"),
        ("transformer_linear", "transformer_define"),
    ]
    # Differences 2, 1.5 and 2.3; the paper's 28.25 - 25.81 on newstest2017.
    one, paper = shown[1]
    assert (one.metric, paper) == ("test_2016_flickr_bleu", pytest.approx(2.44))
    assert one.difference.mean == pytest.approx(5.8 / 3) and pairs.direction(one, paper) == "same"
