"""The comparison: statistics, statuses, sections, effects."""

import pytest

from define.analysis.compare import compare, of_table
from define.analysis.stats import Statistic
from define.errors import InputError
from define.runs import records


def _sections(folder, table="1c", scales=None):
    return compare(table, records.find([folder]), scales)


def _rows(folder, table="1c", scales=None):
    sections = _sections(folder, table, scales)
    return {(s.scale, s.data, row.row): row for s in sections for row in s.rows}


def test_a_row_has_statistics_over_its_seeds(mini_runs):
    row = _rows(mini_runs)["mini", "ptb", "awd_lstm"]
    assert row.seeds == (1, 2, 3) and row.status == "finished" and not row.comparable
    assert row.ours == {"valid_ppl": Statistic(122.0, 2.0, 3), "test_ppl": Statistic(118.0, 2.0, 3)}
    assert row.difference == {
        "valid_ppl": pytest.approx(122.0 - 61.2),
        "test_ppl": pytest.approx(118.0 - 58.8),
    }
    assert row.parameters["total"] == 1_640_000
    assert row.tokens_per_second == Statistic(15_000.0, 0.0, 3)
    assert row.peak_memory_mib == Statistic(512.5, 0.0, 3)


def test_controls_follow_the_papers_rows(mini_runs):
    (section,) = _sections(mini_runs)
    *paper, control = section.rows
    assert [row.row for row in paper][::5] == ["awd_lstm", "awd_lstm_define"] and len(paper) == 6
    assert control.row == "awd_lstm_wide" and control.kind == "control"
    assert control.published == control.difference == {} and control.ours["valid_ppl"].n == 2
    assert [(run.row, run.seed) for run in section.runs[4:7]] == [
        ("awd_lstm_define", 2),
        ("awd_lstm_define", 3),
        ("awd_lstm_wide", 1),
    ]


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


def test_sections_are_apart_in_order_of_scale_with_the_papers_corpus_first(tmp_path, put):
    runs = [("smoke", "python_docs", 500.0), ("smoke", "ptb", 900.0), ("paper", "ptb", 60.0)]
    runs += [("zeta", "ptb", 70.0), ("paper", "python_docs", 80.0)]
    for index, (scale, data, ppl) in enumerate(runs):
        put(tmp_path / str(index), scale=scale, data=data, test_ppl=ppl)
    found = {(s.scale, s.data): s.rows[0].ours["test_ppl"].mean for s in _sections(tmp_path)}
    assert list(found) == [runs[index][:2] for index in (2, 4, 1, 0, 3)]
    assert found == {(scale, data): ppl for scale, data, ppl in runs}
    assert [(s.scale, s.data) for s in _sections(tmp_path) if s.comparable] == [("paper", "ptb")]
    asked = _sections(tmp_path, scales=["smoke", "mini"])
    assert [s.key[1:] for s in asked] == [*list(found)[2:4], ("mini", "ptb")]


def test_without_runs_every_row_is_not_run_at_paper_scale(tmp_path):
    (section,) = _sections(tmp_path, "2")
    assert section.key == ("2", "paper", "wikitext-103") and len(section.rows) == 9
    assert {(row.status, row.parameters) for row in section.rows} == {("not run", None)}


def test_metrics_are_the_papers_then_those_of_our_sets(tmp_path, translation_runs, put):
    papers = ["newstest2014_bleu", "newstest2017_bleu"]
    (section,) = _sections(translation_runs, "3")
    assert section.metrics == [*papers, "val_bleu", "test_2016_flickr_bleu"]
    # Whatever the order in the record, the paper's order holds.
    ways = {"beam_5": ({}, {"newstest2017": 1.0, "val": 2.0, "newstest2014": 3.0})}
    put(tmp_path / "wmt", table="3", row="transformer", data="wmt14-en-de", translations=ways)
    assert _sections(tmp_path / "wmt", "3")[0].metrics == [*papers, "val_bleu"]
    put(tmp_path / "lm", translations=ways)
    assert _sections(tmp_path / "lm")[0].metrics == ["valid_ppl", "test_ppl"]


def test_bleu_over_the_seeds_is_that_of_the_headline_translation(translation_runs):
    rows = _rows(translation_runs, "3")
    row = rows["mini", "multi30k", "transformer_define"]
    # 33.5, 34.5 and 34.4 on val.
    mean, std = pytest.approx(102.4 / 3), pytest.approx((0.91 / 3) ** 0.5)
    assert row.ours["val_bleu"] == Statistic(mean, std, 3)
    assert row.protocol == "beam_5" and row.difference == {}
    assert rows["mini", "multi30k", "transformer_sru"].protocol is None


def _beam(size):
    return {"translations": {"beam_5": ({"beam": size}, {"val": 30.0})}}


def _protocol(name, batch_size):
    return {"protocols": {name: ({"batch_size": batch_size}, 120.0, 116.0)}}


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        (_beam(5), _beam(4), "translations"),
        (_beam(5), {}, "translations"),
        (_protocol("carried", 1), _protocol("carried", 10), "evaluation protocols"),
        (_protocol("carried", 1), _protocol("sliding", 1), "evaluation protocols"),
        ({}, {"define_parameters": 5}, "parameter counts"),
    ],
)
def test_seeds_that_cannot_be_averaged_are_refused(tmp_path, put, first, second, what):
    put(tmp_path, seed=1, **first)
    put(tmp_path, seed=2, **second)
    with pytest.raises(InputError, match=f"seed_1.*seed_2.*different {what}; move one"):
        _rows(tmp_path)


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


def test_unknown_table_and_scale_are_refused():
    with pytest.raises(InputError, match="table '9'"):
        compare("9", [])
    with pytest.raises(InputError, match="scale 'huge' does not exist; choose one of paper, mini"):
        compare("1c", [], ["huge"])


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


def test_effects_are_differences_from_the_baseline_row(tmp_path, mini_runs, put):
    rows = {row: found for (_, _, row), found in _rows(mini_runs).items()}
    define, wide = rows["awd_lstm_define"], rows["awd_lstm_wide"]
    assert define.effect == {"valid_ppl": pytest.approx(-3.0), "test_ppl": pytest.approx(-3.0)}
    assert define.published_effect["test_ppl"] == pytest.approx(54.2 - 58.8)
    assert wide.effect["valid_ppl"] == pytest.approx(-1.5) and wide.published_effect == {}
    assert rows["awd_lstm"].effect == {} and rows["awd_lstm_mos"].effect == {}
    # In Table 2 each n has its own baseline.
    for n, ppl in ((64, 100.0), (128, 90.0)):
        put(tmp_path / "2", table="2", row=f"txl_{n}", test_ppl=ppl)
        put(tmp_path / "2", table="2", row=f"txl_{n}_define", test_ppl=ppl - n / 8)
    rows = {row: found for (_, _, row), found in _rows(tmp_path / "2", "2").items()}
    assert rows["txl_64_define"].effect["test_ppl"] == pytest.approx(-8.0)
    assert rows["txl_128_define"].effect["test_ppl"] == pytest.approx(-16.0)
    assert rows["txl_410"].published_effect == {}
