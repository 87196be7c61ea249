"""The paper's claims: verdicts by hand-computed intervals, one seed, several pairs, margins."""

import json
import math

import pytest

from define.analysis import claims, published
from define.analysis.claims import answers, text
from define.errors import InputError
from define.runs import records

T1 = math.tan(math.pi * 0.475)
"""Student's t of one degree of freedom at 95 %: 12.706."""
T2 = 0.95 * math.sqrt(2 / (1 - 0.95**2))
"""Student's t of two degrees: 4.303."""


@pytest.fixture
def runs(tmp_path, put):
    """Writes test perplexities, one run per seed from 1 on, and returns the records of all."""

    def write(table, **rows):
        for row, perplexities in rows.items():
            for seed, ppl in enumerate(perplexities, start=1):
                put(tmp_path, table=table, row=row, seed=seed, data="wikitext-2", test_ppl=ppl)
        return records.find([tmp_path])

    return write


def _answer(found, claim, table, **options):
    (answer,) = [a for a in answers(found, tables=[table], **options) if a.claim.id == claim]
    return answer


def test_two_seeds_against_the_closed_form(runs):
    # Differences -30 and -32: half the interval is 12.706 * 2 / 2.
    found = runs("6a", define=(100.0, 100.0), residual=(130.0, 132.0))
    answer = _answer(found, "concatenation_beats_residual", "6a")
    assert (answer.scale, answer.data, answer.metric) == ("mini", "wikitext-2", "test_ppl")
    assert (answer.verdict, text(answer)) == ("yes", "yes")
    (pair,) = answer.pairs
    assert (pair.first, pair.second) == ("define", "residual")
    assert pair.labels == ("DeFINE", "residual (every layer k/2 wide)")
    assert pair.difference.interval95 == (pytest.approx(-31 - T1), pytest.approx(-31 + T1))
    assert pair.paper == pytest.approx(38.01 - 39.03)
    # With -12 and -14 the interval reaches -13 + 12.706: still on the better side.
    found = runs("6a", define=(100.0, 100.0), residual=(112.0, 114.0))
    assert _answer(found, "concatenation_beats_residual", "6a").verdict == "yes"
    # With -11.7 and -13.7 it just covers zero.
    found = runs("6a", define=(100.0, 100.0), residual=(111.7, 113.7))
    answer = _answer(found, "concatenation_beats_residual", "6a")
    assert text(answer) == text(answer.pairs[0]) == "undecided"
    found = runs("6a", define=(100.0, 100.0), residual=(88.0, 86.0))
    answer = _answer(found, "concatenation_beats_residual", "6a")
    assert (answer.verdict, answer.limit) == ("no", "one rate")


def test_three_seeds_against_the_closed_form(runs):
    # Differences -1, -2 and -6: mean -3, deviation sqrt(7), half 4.303 sqrt(7 / 3) = 6.57.
    found = runs("4b", define=(99.0, 98.0, 94.0), no_mixer=(100.0,) * 3)
    answer = _answer(found, "mixer_helps", "4b")
    assert answer.pairs[0].difference.interval95 == (
        pytest.approx(-3 - T2 * math.sqrt(7 / 3)),
        pytest.approx(-3 + T2 * math.sqrt(7 / 3)),
    )
    assert answer.verdict == "undecided" and answer.reason == ""


def test_seeds_that_only_one_row_has_do_not_count(runs):
    found = runs("4b", define=(99.0, 97.0, 1.0), no_mixer=(100.0, 98.5))
    (pair,) = _answer(found, "mixer_helps", "4b").pairs
    assert pair.difference.seeds == (1, 2)
    assert pair.difference.difference.mean == pytest.approx(-1.25)


def test_one_seed_never_decides_but_shows_its_number(runs):
    found = runs("4b", define=(50.0,), no_mixer=(100.0,))
    answer = _answer(found, "mixer_helps", "4b")
    assert text(answer) == "undecided (one seed)"
    assert answer.pairs[0].difference.difference.mean == -50.0


def test_no_shared_seed_and_nothing_run(runs, tmp_path, put):
    found = runs("4b", define=(99.0,), no_mixer=())
    assert _answer(found, "mixer_helps", "4b").verdict == "not run"
    put(tmp_path, table="4b", row="no_mixer", seed=7, data="wikitext-2")
    put(tmp_path, table="4b", row="no_mixer", seed=1, data="wikitext-2", status="running")
    answer = _answer(records.find([tmp_path]), "mixer_helps", "4b")
    assert text(answer) == "undecided (no shared seed)"
    assert answer.pairs[0].margin is None and answer.pairs[0].difference.difference is None


def test_without_runs_every_claim_is_not_run_at_paper_scale():
    found = answers([])
    assert {(a.verdict, a.scale) for a in found} == {("not run", "paper")}
    assert {a.claim.id for a in found} == {claim.id for claim in published.claims()}
    assert {a.data for a in found if a.table == "3"} == {"wmt14-en-de"}


@pytest.mark.parametrize(
    ("shuffled", "expected"),
    [
        ((110.0, 111.0, 112.0), "yes"),
        ((90.0, 91.0, 92.0), "undecided (1 yes; 1 not at this budget, with one rate)"),
        ((100.0, 103.0, 101.0), "undecided (1 yes; 1 undecided)"),
        ((110.0,), "undecided (1 yes; 1 undecided)"),
        ((), "undecided (1 yes; 1 not run)"),
    ],
)
def test_several_pairs_have_to_agree(runs, shuffled, expected):
    hgt = (100.0, 101.0, 102.5)
    found = runs("4a", hgt=hgt, glt=(120.0, 121.0, 122.0), glt_shuffle=shuffled)
    assert text(_answer(found, "hgt_beats_glt", "4a")) == expected


def test_pairs_that_are_all_worse_say_no_and_all_of_one_seed_say_so(runs):
    found = runs("4a", hgt=(130.0, 131.0), glt=(100.0, 101.0), glt_shuffle=(90.0, 91.0))
    assert _answer(found, "hgt_beats_glt", "4a").verdict == "no"
    found = runs("1a", lstm_r3=(9.0,), lstm_r4=(8.0,), lstm_r5=(7.0,))
    assert text(_answer(found, "depth_helps", "1a")) == "undecided (one seed)"


# The second row's mean is 100 (99 and 101), so that a margin of 2 % is 2.
@pytest.mark.parametrize(
    ("first", "margin", "expected"),
    [
        ((100.5, 102.5), 0.02, "yes"),  # +1.5 twice: worse, but by less than the margin
        ((101.5, 103.5), 0.02, "no"),  # +2.5 twice
        ((101.0, 103.0), 0.02, "undecided"),  # +2 twice: on the margin
        ((100.5, 102.7), 0.02, "undecided"),  # +1.6, but its interval is 1.27 wide on each side
        ((101.5, 103.5), 0.03, "yes"),
        ((98.0, 100.0), 0.0, "yes"),
        ((99.0, 101.0), 0.0, "undecided"),  # equal: a margin of nothing has to be beaten
    ],
)
def test_a_match_allows_for_a_margin(runs, first, margin, expected):
    found = runs("6b", no_reduce=(99.0, 101.0))
    found = runs("4b", define=first)  # mer shows this run
    answer = _answer(found, "reduce_is_free", "6b", margin=margin)
    assert answer.pairs[0].margin == pytest.approx(100 * margin) and answer.margin == margin
    assert answer.verdict == expected and answer.reason == ""


def test_the_margin_is_a_share_of_the_seeds_that_are_compared(runs):
    found = runs("6b", no_reduce=(500.0, 99.0, 101.0))
    found = [r for r in runs("4b", define=(1.0, 100.5, 102.5)) if (r.row, r.seed) != ("define", 1)]
    (pair,) = _answer(found, "reduce_is_free", "6b", margin=0.02).pairs
    assert pair.difference.seeds == (2, 3) and pair.margin == pytest.approx(2.0)


@pytest.mark.parametrize("margin", [-0.01, 1.0, math.nan])
def test_a_margin_is_a_share(margin):
    with pytest.raises(InputError, match="not a share from 0 to below 1"):
        answers([], margin=margin)


def test_a_match_with_fewer_parameters_needs_them(tmp_path, put):
    def answer(linear):
        for row, size in (("hgt", 500), ("linear", linear)):
            for seed in (1, 2):
                put(tmp_path, table="4a", row=row, seed=seed, define_parameters=size, test_ppl=90.0)
        return _answer(records.find([tmp_path]), "hgt_matches_linear", "4a")

    assert text(answer(linear=501)) == "yes"
    assert answer(linear=501).pairs[0].parameters == (1_640_500, 1_640_501)
    assert text(answer(linear=500)) == "not at this size (not fewer parameters)"


RATES = {"table": 1.0, "unit": 0.06, "context": 0.25, "output": 1.0}


def _losses(folder, put, factors, scale="mini", **values):
    """Records of a DeFINE that is certainly worse, and of the plain model, each with factors."""
    for row, ppl, of_row in zip(("lstm_r3", "lstm_r2"), (110.0, 100.0), factors, strict=True):
        config = {"optimization": {"lr_factors": of_row} if of_row else {}}
        for seed in (1, 2):
            run = {"table": "1a", "row": row, "seed": seed, "data": "wikitext-2", "scale": scale}
            put(folder, **run, test_ppl=ppl + seed, config=config, **values)
    return records.find([folder])


@pytest.mark.parametrize(
    ("scale", "factors", "limit", "expected"),
    [
        ("mini", (None, None), "one rate", "not at this budget, with one rate"),  # old records
        ("mini", (dict.fromkeys(RATES, 1.0),) * 2, "one rate", "not at this budget, with one rate"),
        ("smoke", ({"unit": 1}, None), "one rate", "not at this budget, with one rate"),
        ("mini", (RATES, RATES), "budget", "not at this budget"),
        ("mini", (RATES, None), "budget", "not at this budget"),  # not all runs had one rate
        ("mini", ({"unit": 0.06}, None), "budget", "not at this budget"),
        ("paper", (None, None), "", "no"),
        ("paper", (RATES, RATES), "", "no"),
    ],
)
def test_a_no_says_no_more_than_its_budget_and_its_rates_allow(
    tmp_path, put, scale, factors, limit, expected
):
    found = answers(_losses(tmp_path, put, factors, scale), tables=["1a"])
    answer = found[0]
    assert answer.claim.id == "define_helps"
    assert (answer.verdict, answer.limit, text(answer)) == ("no", limit, expected)
    (pair,) = answer.pairs
    assert (pair.verdict, pair.limit, text(pair)) == ("no", limit, expected)
    entry = answer.to_json()
    assert (entry["verdict"], entry["limit"], entry["answer"]) == ("no", limit, expected)


def test_of_several_pairs_the_one_that_says_least_limits_the_no(tmp_path, put):
    rates = {"hgt": None, "glt": None, "glt_shuffle": RATES}
    for row, factors in rates.items():
        ppl = 130.0 if row == "hgt" else 90.0
        for seed in (1, 2):
            config = {"optimization": {"lr_factors": factors}}
            put(tmp_path, table="4a", row=row, seed=seed, test_ppl=ppl + seed, config=config)
    answer = _answer(records.find([tmp_path]), "hgt_beats_glt", "4a")
    assert [pair.limit for pair in answer.pairs] == ["one rate", "budget"]
    assert text(answer) == "not at this budget, with one rate"


def test_the_budget_is_that_of_the_text_that_was_trained_on(tmp_path, put):
    for row, tokens in (("lstm_r3", 0), ("lstm_r2", 300_000)):
        config = {"task": {"train_tokens": tokens}}
        put(tmp_path, table="1a", row=row, data="wikitext-2", config=config)
    answer = _answer(records.find([tmp_path]), "define_helps", "1a")
    # 15,000 tokens/s for 600 s, on 929,589 tokens or on 300,000 of them.
    expected = "budget: 1,980 updates, 9.68 to 30.00 passes over 300,000 / 929,589 training tokens"
    assert claims.stated(answer) == [expected]


def test_search_trials_are_counted_once_where_they_are_on_record(tmp_path, put):
    found = _losses(tmp_path / "runs", put, (None, None))

    def trial(number, row, **values):
        folder = tmp_path / "runs" / "search" / "rates" / f"trial_{number}"
        record = put(tmp_path / "made", table="1a", row=row, data="wikitext-2", **values)
        plain = json.loads(record.read_text())
        plain["final"] and plain["final"].pop("test")
        for target in (folder, tmp_path / "copy" / "search" / folder.name):
            records.write(target / "record.json", plain)

    trial(0, "lstm_r3")
    trial(1, "lstm_r3", status="pruned")
    trial(2, "lstm_r3", status="running")
    trial(3, "lstm_r2", scale="smoke")
    records.write(  # a run that was scored on the test set
        tmp_path / "runs" / "search" / "earlier" / "record.json",
        json.loads((tmp_path / "runs/table_1a/lstm_r2/mini/seed_1/record.json").read_text()),
    )
    trials = records.find_trials([tmp_path / "runs", tmp_path / "copy"])
    assert len(trials) == 3
    answer = _answer(found, "define_helps", "1a", trials=trials)
    assert answer.trials == {"lstm_r3": 2, "lstm_r2": 0}
    assert claims.stated(answer)[1] == "search trials on record: 2 for R3, none for the others"
    assert _answer(found, "define_helps", "1a").trials == {}


def test_rows_that_show_another_tables_run_are_paired(runs):
    runs("4a", hgt=(100.0, 101.0))
    found = runs("4b", define=(80.0, 81.0), no_mixer=(90.0, 91.0))
    found = runs("6a", residual=(95.0, 96.0))
    expected = {"skip_helps": "4b", "mixer_helps": "4b", "concatenation_beats_residual": "6a"}
    assert {claim: _answer(found, claim, t).verdict for claim, t in expected.items()} == (
        dict.fromkeys(expected, "yes")
    )


def test_more_bleu_is_better_on_the_corpus_last_set(translation_runs):
    answer = _answer(records.find([translation_runs]), "define_beats_plain", "3")
    # Differences 2, 1.5 and 2.3.
    assert answer.metric == "test_2016_flickr_bleu" and answer.verdict == "yes"
    assert answer.pairs[0].difference.difference.mean == pytest.approx(5.8 / 3)
    assert answer.pairs[0].paper == pytest.approx(28.25 - 25.81)


def test_less_bleu_is_a_no(tmp_path, put):
    for row, bleu in (("transformer", 30.0), ("transformer_define", 29.0)):
        for seed in (1, 2):
            ways = {"beam_5": ({}, {"val": 50.0, "newstest2017": bleu + seed})}
            put(tmp_path, table="3", row=row, seed=seed, data="wmt14-en-de", translations=ways)
    answer = _answer(records.find([tmp_path]), "define_beats_plain", "3")
    assert (answer.metric, answer.verdict) == ("newstest2017_bleu", "no")


def test_sections_are_answered_apart(tmp_path, put):
    for scale, gain in (("mini", 5.0), ("smoke", -5.0)):
        for seed in (1, 2):
            for row, ppl in (("awd_lstm", 100.0), ("awd_lstm_define", 100.0 - gain)):
                put(tmp_path / scale, row=row, scale=scale, seed=seed, test_ppl=ppl)
    found = records.find([tmp_path])
    shown = [(a.scale, a.verdict) for a in answers(found, tables=["1c"])]
    assert shown == [("mini", "yes"), ("smoke", "no")]
    assert [a.scale for a in answers(found, ["smoke"], ["1c"])] == ["smoke"]


def test_the_claims_rest_on_published_numbers():
    ids = [claim.id for claim in published.claims()]
    assert len(ids) == len(set(ids)) == 10
    for claim in published.claims():
        assert claim.question.endswith("?") and set(claim.notes) <= set(claim.pairs)
        assert set(claim.pairs) <= set(published.names())


@pytest.mark.parametrize("claim", published.claims(), ids=lambda claim: claim.id)
def test_the_papers_answer_is_that_of_its_own_numbers(claim):
    for table, pairs in claim.pairs.items():
        (answer,) = [a for a in answers([], tables=[table]) if a.claim.id == claim.id]
        sign = 1 if published.metric(table) == "ppl" else -1
        better = [sign * pair.paper < 0 for pair in answer.pairs]
        assert len(better) == len(pairs)
        if claim.paper == "yes":
            assert all(better)
        else:  # width: some better, some worse, none by more than a quarter of a perplexity
            assert any(better) and not all(better)
            assert all(abs(pair.paper) < 0.25 for pair in answer.pairs)
