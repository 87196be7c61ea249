"""The comparison: statistics, statuses, sections and pairs."""

import pytest

from define.analysis.compare import compare, metrics, of_table, sections
from define.analysis.stats import Statistic
from define.errors import InputError
from define.runs import records


def _rows(folder, table="1c", scales=None):
    rows = compare(table, records.find([folder]), scales)
    return {(row.scale, row.data, row.row): row for row in rows}


def test_mean_deviation_and_count_over_the_seeds(mini_runs):
    row = _rows(mini_runs)["mini", "ptb", "awd_lstm"]
    assert row.seeds == (1, 2, 3) and row.status == "finished"
    assert row.ours == {
        "valid_ppl": Statistic(122.0, 2.0, 3),
        "test_ppl": Statistic(118.0, 2.0, 3),
    }
    assert row.difference == {
        "valid_ppl": pytest.approx(122.0 - 61.2),
        "test_ppl": pytest.approx(118.0 - 58.8),
    }
    assert not row.comparable
    assert row.parameters["total"] == 1_640_000
    assert row.tokens_per_second == Statistic(15_000.0, 0.0, 3)
    assert row.peak_memory_mib == Statistic(512.5, 0.0, 3)


def test_rows_keep_the_papers_order_and_controls_follow(mini_runs):
    rows = compare("1c", records.find([mini_runs]))
    assert [row.row for row in rows] == [
        "awd_lstm",
        "awd_lstm_finetune",
        "awd_lstm_mos",
        "awd_lstm_mos_finetune",
        "transformer_xl",
        "awd_lstm_define",
        "awd_lstm_wide",
    ]
    control = rows[-1]
    assert control.kind == "control" and control.published == {} and control.difference == {}
    assert control.ours["valid_ppl"].n == 2


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], "not run"),
        (["finished", "finished"], "finished"),
        (["finished", "failed"], "partial"),
        (["finished", "running"], "partial"),
        (["running", "failed"], "running"),
        (["running"], "running"),
        (["interrupted"], "partial"),
        (["failed", "failed"], "failed"),
        (["failed", "interrupted"], "partial"),
    ],
)
def test_status(tmp_path, statuses, expected, put):
    for seed, status in enumerate(statuses):
        put(tmp_path, seed=seed, status=status)
    row = _rows(tmp_path, scales=["mini"])["mini", "ptb", "awd_lstm"]
    assert row.status == expected
    assert row.seeds == tuple(s for s, status in enumerate(statuses) if status == "finished")
    assert row.unfinished == {s: x for s, x in enumerate(statuses) if x != "finished"}
    assert ("valid_ppl" in row.ours) == ("finished" in statuses)


def test_scales_and_corpora_are_never_mixed(tmp_path, put):
    put(tmp_path / "a", scale="mini", test_ppl=100.0)
    put(tmp_path / "b", scale="smoke", test_ppl=900.0)
    put(tmp_path / "c", scale="smoke", test_ppl=500.0, data="python_docs")
    rows = _rows(tmp_path)
    for section, expected in [
        (("mini", "ptb"), 100.0),
        (("smoke", "ptb"), 900.0),
        (("smoke", "python_docs"), 500.0),
    ]:
        assert rows[(*section, "awd_lstm")].ours["test_ppl"] == Statistic(expected, None, 1)
    assert len(rows) == 3 * 6


def test_sections_in_order_of_scale_with_the_papers_corpus_first(tmp_path, put):
    for index, (scale, data) in enumerate(
        [("smoke", "python_docs"), ("smoke", "ptb"), ("paper", "ptb"), ("zeta", "ptb")]
    ):
        put(tmp_path / str(index), scale=scale, data=data)
    found = records.find([tmp_path])
    assert sections("1c", found) == [
        ("paper", "ptb"),
        ("smoke", "ptb"),
        ("smoke", "python_docs"),
        ("zeta", "ptb"),
    ]
    assert sections("1c", found, ["smoke"]) == [("smoke", "ptb"), ("smoke", "python_docs")]
    assert sections("1c", found, ["mini"]) == [("mini", "ptb")]


def test_only_paper_scale_on_the_papers_corpus_is_comparable(tmp_path, put):
    put(tmp_path / "a", scale="paper")
    put(tmp_path / "b", scale="paper", data="python_docs")
    rows = _rows(tmp_path)
    assert rows["paper", "ptb", "awd_lstm"].comparable
    assert not rows["paper", "python_docs", "awd_lstm"].comparable


def test_without_runs_every_row_is_not_run_at_paper_scale(tmp_path):
    rows = compare("2", records.find([tmp_path]))
    assert {(row.scale, row.data, row.status) for row in rows} == {
        ("paper", "wikitext-103", "not run")
    }
    assert len(rows) == 9 and all(row.parameters is None for row in rows)


def test_metrics_are_the_papers_then_those_of_our_sets(tmp_path, translation_runs, mini_runs, put):
    rows = compare("3", records.find([translation_runs]))
    assert metrics(rows) == [
        "newstest2014_bleu",
        "newstest2017_bleu",
        "val_bleu",
        "test_2016_flickr_bleu",
    ]
    assert metrics(compare("3", [])) == ["newstest2014_bleu", "newstest2017_bleu"]
    assert metrics(compare("1c", records.find([mini_runs]))) == ["valid_ppl", "test_ppl"]
    # A set within another may come last; the paper's order holds.
    ways = {"beam_5": ({}, {"newstest2017": 1.0, "val": 2.0, "newstest2014": 3.0})}
    put(tmp_path / "wmt", table="3", row="transformer", data="wmt14-en-de", translations=ways)
    found = records.find([tmp_path / "wmt"])
    assert metrics(compare("3", found)) == ["newstest2014_bleu", "newstest2017_bleu", "val_bleu"]
    # Perplexity stays what a language model's table compares.
    put(tmp_path / "lm", translations=ways)
    assert metrics(compare("1c", records.find([tmp_path / "lm"]))) == ["valid_ppl", "test_ppl"]


def test_bleu_over_the_seeds_is_that_of_the_headline_translation(translation_runs):
    row = _rows(translation_runs, "3")["mini", "multi30k", "transformer_define"]
    # 33.5, 34.5 and 34.4 on val.
    mean, std = pytest.approx(102.4 / 3), pytest.approx((0.91 / 3) ** 0.5)
    assert row.ours["val_bleu"] == Statistic(mean, std, 3)
    assert row.protocol == "beam_5" and not row.comparable and row.difference == {}
    assert _rows(translation_runs, "3")["mini", "multi30k", "transformer_sru"].protocol is None


def test_seeds_translated_in_different_ways_are_refused(tmp_path, put):
    scores = {"val": 30.0}
    corpus = {"table": "3", "row": "transformer", "data": "multi30k"}
    put(tmp_path, **corpus, seed=1, translations={"beam_5": ({"beam": 5}, scores)})
    put(tmp_path, **corpus, seed=2, translations={"beam_5": ({"beam": 4}, scores)})
    with pytest.raises(InputError, match="seed_1.*seed_2.*different translations"):
        _rows(tmp_path, "3")
    put(tmp_path, **corpus, seed=2)
    with pytest.raises(InputError, match="different translations"):
        _rows(tmp_path, "3")


def test_unknown_table_and_scale_are_refused():
    with pytest.raises(InputError, match="table '9'"):
        compare("9", [])
    with pytest.raises(InputError, match="scale 'huge' does not exist; choose one of paper, mini"):
        compare("1c", [], ["huge"])


def test_seeds_of_different_models_are_refused(tmp_path, put):
    put(tmp_path, seed=1)
    put(tmp_path, seed=2, define_parameters=5)
    with pytest.raises(InputError, match="different parameter counts"):
        compare("1c", records.find([tmp_path]))


def test_seeds_of_different_settings_are_refused(tmp_path, put):
    def config(seed: int, lr: float, **version) -> dict:
        common = {"seed": seed, **version}
        run = {"dir": f"runs/seed_{seed}", "row": "awd_lstm"}
        return {"seed": seed, "common": common, "run": run, "optimization": {"lr": [lr]}}

    put(tmp_path, seed=1, config=config(1, 30.0))
    put(tmp_path, seed=2, config=config(2, 30.0, a_key_of_another_version=True))
    assert _rows(tmp_path)["mini", "ptb", "awd_lstm"].seeds == (1, 2)
    put(tmp_path, seed=3, config=config(3, 0.0001), status="interrupted")
    assert _rows(tmp_path)["mini", "ptb", "awd_lstm"].unfinished == {3: "interrupted"}
    put(tmp_path, seed=3, config=config(3, 0.0001))
    named = r"seed_1.*seed_3.*different settings \(optimization.lr is \[30.0\] and \[0.0001\]\)"
    with pytest.raises(InputError, match=named):
        _rows(tmp_path)


def test_a_row_that_is_another_tables_run_shows_that_run(tmp_path, put):
    put(tmp_path, table="1a", row="lstm_r5", data="wikitext-2", test_ppl=90.0)
    put(tmp_path, table="1a", row="lstm_r4", data="wikitext-2", test_ppl=95.0)
    found = records.find([tmp_path])
    assert [(r.table, r.row) for r in of_table("1b", found)] == [("1b", "lstm_define")]
    assert [r.row for r in of_table("1a", found)] == ["lstm_r4", "lstm_r5"]
    rows = _rows(tmp_path, "1b")
    assert rows["mini", "wikitext-2", "lstm_define"].ours["test_ppl"].mean == 90.0
    assert len(rows) == 4 and rows["mini", "wikitext-2", "qrnn_merity"].status == "not run"


def test_time_of_an_update_over_the_finished_seeds(tmp_path, put):
    for seed, ms in ((1, 100.0), (2, 104.0)):
        put(tmp_path, table="1a", row="lstm_r2", seed=seed, ms_per_update=ms)
    put(tmp_path, table="1a", row="lstm_r2", seed=3, status="interrupted")
    row = _rows(tmp_path, "1a")["mini", "ptb", "lstm_r2"]
    assert row.ms_per_update == Statistic(102.0, pytest.approx(8**0.5), 2)
    assert row.published_ms_per_batch == 297
    assert _rows(tmp_path, "1a")["mini", "ptb", "lstm_r1"].ms_per_update is None


def test_seeds_scored_in_different_ways_are_refused(tmp_path, put):
    carried = {"carried": ({"batch_size": 1}, 120.0, 116.0)}
    put(tmp_path, seed=1, protocols=carried)
    put(tmp_path, seed=2, protocols=carried)
    assert _rows(tmp_path)["mini", "ptb", "awd_lstm"].protocol == "carried"
    put(tmp_path, seed=3, protocols={"carried": ({"batch_size": 10}, 120.0, 116.0)})
    with pytest.raises(InputError, match="seed_1.*seed_3.*different evaluation protocols"):
        _rows(tmp_path)
    put(tmp_path, seed=3, protocols={"sliding_window": ({"batch_size": 1}, 120.0, 116.0)})
    with pytest.raises(InputError, match="different evaluation protocols"):
        _rows(tmp_path)


def test_effects_are_differences_from_the_baseline_row(mini_runs):
    rows = {row.row: row for row in compare("1c", records.find([mini_runs]))}
    define, wide = rows["awd_lstm_define"], rows["awd_lstm_wide"]
    assert define.effect == {"valid_ppl": pytest.approx(-3.0), "test_ppl": pytest.approx(-3.0)}
    assert define.published_effect["test_ppl"] == pytest.approx(54.2 - 58.8)
    assert wide.effect["valid_ppl"] == pytest.approx(-1.5) and wide.published_effect == {}
    assert rows["awd_lstm"].effect == {} and rows["awd_lstm_mos"].effect == {}


def test_each_transformer_xl_has_the_baseline_of_its_own_n(tmp_path, put):
    for n, ppl in ((64, 100.0), (128, 90.0)):
        put(tmp_path, table="2", row=f"txl_{n}", test_ppl=ppl)
        put(tmp_path, table="2", row=f"txl_{n}_define", test_ppl=ppl - n / 8)
    rows = {row.row: row for row in compare("2", records.find([tmp_path]))}
    assert rows["txl_64_define"].effect["test_ppl"] == pytest.approx(-8.0)
    assert rows["txl_128_define"].effect["test_ppl"] == pytest.approx(-16.0)
    assert rows["txl_410"].published_effect == {}
