"""Paired differences: closed forms, the paper's claims, and directions."""

import math

import pytest

from define.analysis import pairs
from define.analysis.compare import compare
from define.analysis.pairs import paired_difference
from define.errors import InputError
from define.runs import records


def test_paired_difference_against_its_closed_form(mini_runs):
    found = records.find([mini_runs])
    paired = paired_difference(found, "awd_lstm_define", "awd_lstm", "mini", "valid_ppl")
    # Differences -2, -5, -2: mean -3, deviation sqrt(3), t of two degrees 4.3027.
    assert paired.seeds == (1, 2, 3) and paired.n == 3
    assert paired.mean == pytest.approx(-3.0)
    assert paired.std == pytest.approx(math.sqrt(3.0))
    assert paired.interval95 == (
        pytest.approx(-3.0 - 4.302652729911275),
        pytest.approx(-3.0 + 4.302652729911275),
    )


def test_pairs_use_shared_finished_seeds_only(mini_runs, put):
    put(mini_runs, row="awd_lstm_define", seed=4, status="running", define_parameters=360_000)
    put(mini_runs, row="awd_lstm", seed=4)
    found = records.find([mini_runs])
    assert paired_difference(found, "awd_lstm_wide", "awd_lstm", "mini", "test_ppl").seeds == (1, 2)
    assert paired_difference(found, "awd_lstm_define", "awd_lstm", "mini", "test_ppl").n == 3


def test_one_or_no_shared_seed(tmp_path, put):
    put(tmp_path, row="awd_lstm", seed=1, test_ppl=100.0)
    put(tmp_path, row="awd_lstm_define", seed=1, test_ppl=97.0)
    put(tmp_path, row="awd_lstm_wide", seed=2)
    found = records.find([tmp_path])
    one = paired_difference(found, "awd_lstm_define", "awd_lstm", "mini", "test_ppl")
    assert (one.mean, one.std, one.n, one.interval95) == (-3.0, None, 1, None)
    none = paired_difference(found, "awd_lstm_wide", "awd_lstm", "mini", "test_ppl")
    assert (none.mean, none.n, none.interval95) == (None, 0, None)


def test_pairs_across_corpora_are_refused(tmp_path, put):
    put(tmp_path / "a", data="ptb")
    put(tmp_path / "b", data="python_docs")
    with pytest.raises(InputError, match="two runs of seed 1"):
        paired_difference(
            records.find([tmp_path]), "awd_lstm", "awd_lstm_define", "mini", "test_ppl"
        )


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
        ((-3.0, -3.5), None, "-"),
        ((-3.0, -3.5), 0.0, "-"),
    ],
)
def test_direction(tmp_path, put, differences, paper, expected):
    for seed, difference in enumerate(differences):
        put(tmp_path, row="a", seed=seed, test_ppl=100.0 + difference)
        put(tmp_path, row="b", seed=seed, test_ppl=100.0)
    found = records.find([tmp_path])
    paired = paired_difference(found, "a", "b", "mini", "test_ppl")
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


def test_a_table_without_claims_has_every_pair(tmp_path, put):
    put(tmp_path, table="1a", row="lstm_r5")
    for row in ("lstm_grave", "qrnn_merity"):
        put(tmp_path, table="1b", row=row)
    assert _chosen("1b", tmp_path) == [
        ("qrnn_merity", "lstm_grave"),
        ("lstm_define", "lstm_grave"),
        ("lstm_define", "qrnn_merity"),
    ]


def test_rows_that_show_another_tables_run_are_paired(tmp_path, put):
    for table, row in (("4a", "hgt"), ("4b", "no_mixer"), ("4b", "define"), ("6b", "no_reduce")):
        put(tmp_path, table=table, row=row)
    assert _chosen("4b", tmp_path) == [("no_mixer", "hgt"), ("define", "no_mixer")]
    assert _chosen("6b", tmp_path) == [("mer", "no_reduce")]


def test_more_bleu_is_better_and_the_papers_test_set_gives_the_direction(translation_runs):
    found = records.find([translation_runs])
    blocks = pairs.chapter(compare("3", found), found)
    assert "; above zero, the one named first is better." in blocks[1]
    text = "\n".join(blocks)
    cells = [[c.strip() for c in x.strip("|").split("|")] for x in text.splitlines()]
    chosen = [line[:2] for line in cells if len(line) == 8 and " less " in line[0]]
    assert chosen == [
        [f"{first} less {second}", metric]
        for first, second in (
            ("Transformer + DeFINE", "Transformer"),
            ("transformer_linear", "Transformer"),
            ("transformer_linear", "Transformer + DeFINE"),
        )
        for metric in ("val_bleu", "test_2016_flickr_bleu")
    ]
    # Differences 2, 1.5 and 2.3; the paper's 28.25 - 25.81 on newstest2017.
    interval = "[+0.93, +2.94]"
    for metric in ("val_bleu", "test_2016_flickr_bleu"):
        assert [
            "Transformer + DeFINE less Transformer", metric, "+1.93", interval, "3", "1, 2, 3",
            "+2.44", "same",
        ] in cells  # fmt: skip
    assert [line[6:] for line in cells if line[0].startswith("transformer_linear less")] == [
        ["-", "-"]
    ] * 4
    assert (
        "On val, test_2016_flickr, which the paper does not have, its difference is that on its "
        "test set, newstest2017; only the direction can be compared."
    ) in text


def test_on_the_papers_own_sets_each_has_its_own_difference(tmp_path, put):
    for row, gain in (("transformer", 0.0), ("transformer_define", -1.0)):
        for seed in (1, 2):
            scores = {"newstest2014": 20.0 + gain + 0.001 * seed * gain, "newstest2017": 21.0}
            ways = {"beam_5": ({}, scores)}
            put(tmp_path, table="3", row=row, seed=seed, data="wmt14-en-de", translations=ways)
    found = records.find([tmp_path])
    text = "\n".join(pairs.chapter(compare("3", found), found))
    cells = [[c.strip() for c in x.strip("|").split("|")] for x in text.splitlines()]
    # The paper: 27.01 - 25.01 and 28.25 - 25.81.
    assert [[x[1], x[2], *x[6:]] for x in cells if len(x) == 8 and " less " in x[0]] == [
        ["newstest2014_bleu", "-1.00", "+2.00", "opposite"],
        ["newstest2017_bleu", "+0.00", "+2.44", "undecided"],
    ]
    assert "which the paper does not have" not in text


def test_less_perplexity_is_better(mini_runs):
    found = records.find([mini_runs])
    blocks = pairs.chapter(compare("1c", found), found)
    assert "; below zero, the one named first is better." in blocks[1]


def test_chapter_has_the_papers_difference_beside_ours(tmp_path, put):
    for seed, ours in enumerate((101.0, 102.0, 103.5), start=1):
        put(tmp_path, table="1a", row="lstm_r3", seed=seed, curve=(110.0,), test_ppl=ours)
        put(tmp_path, table="1a", row="lstm_r2", seed=seed, curve=(110.0,), test_ppl=110.0)
    found = records.find([tmp_path])
    text = "\n".join(pairs.chapter(compare("1a", found), found))
    cells = [[c.strip() for c in x.strip("|").split("|")] for x in text.splitlines()]
    # Differences -9, -8, -6.5; the paper's 41.17 - 44.87 and 39.99 - 43.49.
    assert [
        "R3 less R2", "test_ppl", "-7.83", "[-10.96, -4.71]", "3", "1, 2, 3", "-3.70", "same",
    ] in cells  # fmt: skip
    assert [
        "R3 less R2", "valid_ppl", "+0.00", "[+0.00, +0.00]", "3", "1, 2, 3", "-3.50",
        "undecided",
    ] in cells  # fmt: skip
    assert pairs.chapter(compare("1a", []), []) == []
