"""The paper's claims: verdicts by hand-computed intervals, one seed, several pairs, margins."""

import json
import math

import pytest

from define.analysis import published
from define.analysis.claims import answers
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


@pytest.mark.parametrize(
    ("define", "no_mixer", "low", "high", "expected"),
    [
        # Differences -30 and -32: half the interval is 12.706 * 2 / 2.
        ((100.0, 100.0), (130.0, 132.0), -31 - T1, -31 + T1, "yes"),
        # The interval ends at -13 + 12.706: still on the better side.
        ((100.0, 100.0), (112.0, 114.0), -13 - T1, -13 + T1, "yes"),
        # This one just covers zero.
        ((100.0, 100.0), (111.7, 113.7), -12.7 - T1, -12.7 + T1, "undecided"),
        ((100.0, 100.0), (88.0, 86.0), 13 - T1, 13 + T1, "not at this budget, with one rate"),
        # -1, -2 and -6: mean -3, deviation sqrt(7).
        (
            *((99.0, 98.0, 94.0), (100.0,) * 3),
            *(-3 - T2 * math.sqrt(7 / 3), -3 + T2 * math.sqrt(7 / 3), "undecided"),
        ),
        # A seed that only one row has does not count.
        ((99.0, 97.0, 1.0), (100.0, 98.5), -1.25 - T1 / 4, -1.25 + T1 / 4, "undecided"),
    ],
)
def test_verdicts_against_the_closed_form(runs, define, no_mixer, low, high, expected):
    answer = _answer(runs("4b", define=define, no_mixer=no_mixer), "mixer_helps", "4b")
    assert (answer.scale, answer.data, answer.metric) == ("mini", "wikitext-2", "test_ppl")
    assert answer.text == expected and answer.reason == ""
    (pair,) = answer.pairs
    assert (pair.first, pair.second) == ("define", "no_mixer")
    assert pair.labels == ("DeFINE", "DeFINE without mixer") and pair.text == expected
    assert pair.difference.interval95 == (pytest.approx(low), pytest.approx(high))
    assert pair.paper == pytest.approx(38.01 - 38.91)


def test_one_seed_no_shared_seed_and_nothing_run(runs, tmp_path, put):
    found = runs("4b", define=(50.0,), no_mixer=())
    assert _answer(found, "mixer_helps", "4b").verdict == "not run"
    put(tmp_path, table="4b", row="no_mixer", seed=7, data="wikitext-2")
    put(tmp_path, table="4b", row="no_mixer", seed=1, data="wikitext-2", status="running")
    answer = _answer(records.find([tmp_path]), "mixer_helps", "4b")
    assert answer.text == "undecided (no shared seed)"
    assert answer.pairs[0].margin is None and answer.pairs[0].difference.difference is None
    answer = _answer(runs("4b", no_mixer=(100.0,)), "mixer_helps", "4b")
    assert answer.text == "undecided (one seed)"
    assert answer.pairs[0].difference.difference.mean == -50.0


def test_without_runs_every_claim_is_not_run_at_paper_scale():
    found = answers([])
    assert {(a.verdict, a.scale) for a in found} == {("not run", "paper")}
    assert {a.claim.id for a in found} == {claim.id for claim in published.claims()}
    assert {a.data for a in found if a.table == "3"} == {"wmt14-en-de"}


@pytest.mark.parametrize(
    ("hgt", "shuffled", "expected"),
    [
        ((100.0, 101.0, 102.5), (110.0, 111.0, 112.0), "yes"),
        (
            *((100.0, 101.0, 102.5), (90.0, 91.0, 92.0)),
            "undecided (1 yes; 1 not at this budget, with one rate)",
        ),
        ((100.0, 101.0, 102.5), (100.0, 103.0, 101.0), "undecided (1 yes; 1 undecided)"),
        ((100.0, 101.0, 102.5), (110.0,), "undecided (1 yes; 1 undecided)"),
        ((100.0, 101.0, 102.5), (), "undecided (1 yes; 1 not run)"),
        ((130.0, 131.0), (90.0, 91.0), "not at this budget, with one rate"),
        ((100.0,), (90.0,), "undecided (one seed)"),
    ],
)
def test_several_pairs_have_to_agree(runs, hgt, shuffled, expected):
    glt = (120.0, 121.0, 122.0)
    answer = _answer(runs("4a", hgt=hgt, glt=glt, glt_shuffle=shuffled), "hgt_beats_glt", "4a")
    assert answer.text == expected


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
    runs("6b", no_reduce=(99.0, 101.0, 500.0))  # the third seed is not compared
    found = runs("4b", define=first)  # mer shows this run
    answer = _answer(found, "reduce_is_free", "6b", margin=margin)
    assert answer.pairs[0].margin == pytest.approx(100 * margin) and answer.margin == margin
    assert answer.verdict == expected and answer.reason == ""


def test_a_match_with_fewer_parameters_needs_them(tmp_path, put):
    def answer(linear):
        for row, size in (("hgt", 500), ("linear", linear)):
            for seed in (1, 2):
                put(tmp_path, table="4a", row=row, seed=seed, define_parameters=size, test_ppl=90.0)
        return _answer(records.find([tmp_path]), "hgt_matches_linear", "4a")

    assert answer(linear=501).text == "yes"
    assert answer(linear=501).pairs[0].parameters == (1_640_500, 1_640_501)
    assert answer(linear=500).text == "not at this size (not fewer parameters)"


RATES = {"table": 1.0, "unit": 0.06, "context": 0.25, "output": 1.0}
ONE_RATE = "not at this budget, with one rate"


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
        ("mini", (None, None), "one rate", ONE_RATE),  # old records
        ("smoke", (dict.fromkeys(RATES, 1.0), {"unit": 1}), "one rate", ONE_RATE),
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
    answer = _answer(_losses(tmp_path, put, factors, scale), "define_helps", "1a")
    for found in (answer, *answer.pairs):
        assert (found.verdict, found.limit, found.text) == ("no", limit, expected)
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
    assert answer.text == ONE_RATE


def test_the_budget_is_that_of_the_text_that_was_trained_on(tmp_path, put):
    for row, tokens in (("lstm_r3", 0), ("lstm_r2", 300_000)):
        config = {"task": {"train_tokens": tokens}}
        put(tmp_path, table="1a", row=row, data="wikitext-2", config=config)
    answer = _answer(records.find([tmp_path]), "define_helps", "1a")
    # 15,000 tokens/s for 600 s, on 929,589 tokens or on 300,000 of them.
    expected = "budget: 1,980 updates, 9.68 to 30.00 passes over 300,000 / 929,589 training tokens"
    assert answer.budget_fact == [expected]


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
    assert answer.search_fact == ["search trials on record: 2 for R3, none for the others"]
    assert _answer(found, "define_helps", "1a").search_fact == []


@pytest.mark.parametrize(
    ("scores", "data", "expected"),
    [
        # Differences 2, 1.5 and 2.3 on the corpus's last set.
        (((33.0, 34.5, 33.6), (35.0, 36.0, 35.9)), "multi30k", "yes"),
        (((31.0, 32.0), (30.0, 31.0)), "wmt14-en-de", ONE_RATE),
    ],
)
def test_more_bleu_is_better(tmp_path, put, scores, data, expected):
    last = {"multi30k": "test_2016_flickr", "wmt14-en-de": "newstest2017"}[data]
    for row, of_row in zip(("transformer", "transformer_define"), scores, strict=True):
        for seed, bleu in enumerate(of_row):
            ways = {"beam_5": ({}, {"val": 50.0 - bleu, last: bleu})}
            put(tmp_path, table="3", row=row, seed=seed, data=data, translations=ways)
    answer = _answer(records.find([tmp_path]), "define_beats_plain", "3")
    assert (answer.metric, answer.text) == (f"{last}_bleu", expected)
    assert answer.pairs[0].paper == pytest.approx(28.25 - 25.81)


def test_sections_are_answered_apart(tmp_path, put):
    for scale, gain in (("mini", 5.0), ("smoke", -5.0)):
        for seed in (1, 2):
            for row, ppl in (("awd_lstm", 100.0), ("awd_lstm_define", 100.0 - gain)):
                put(tmp_path / scale, row=row, scale=scale, seed=seed, test_ppl=ppl)
    found = records.find([tmp_path])
    shown = [(a.scale, a.verdict) for a in answers(found, tables=["1c"])]
    assert shown == [("mini", "yes"), ("smoke", "no")]
    assert [a.scale for a in answers(found, ["smoke"], ["1c"])] == ["smoke"]


@pytest.mark.parametrize("claim", published.claims(), ids=lambda claim: claim.id)
def test_the_papers_answer_is_that_of_its_own_numbers(claim):
    assert claim.question.endswith("?") and set(claim.notes) <= set(claim.pairs)
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
