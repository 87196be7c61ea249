"""Grids behind the results: protocols, translations, speed, steps, evaluations and tests."""

import json

import pytest

from define.analysis import extras
from define.analysis.compare import compare
from define.analysis.speed import timings
from define.evaluation import bleu
from define.report import details, scores, tables
from define.runs import records, schema


def _section(table, folder, scale="mini"):
    (section,) = compare(table, records.find([folder]), [scale])
    return section


def _write(folder, *values):
    folder.mkdir(parents=True, exist_ok=True)
    for index, value in enumerate(values):
        (folder / f"{index}.json").write_text(json.dumps(value))


def test_the_metrics_are_the_scorers():
    assert list(schema.TRANSLATED) == list(bleu.METRICS)


def test_protocols_have_their_mean_scores_and_settings(tmp_path, put):
    for seed in (1, 2):
        ways = {
            "training_lengths": ({"target": 64}, 120.0 + seed, 116.0),
            "long_memory": ({"memory": 640}, 118.0 + seed, 115.0),
        }
        run = {"row": "txl_64", "seed": seed, "curve": (120.0 + seed,)}
        put(tmp_path, table="2", **run, protocols=ways)
    wide = {"training_lengths": ({"target": 128}, 120.0, 116.0)}
    put(tmp_path, table="2", row="txl_128", protocols=wide)
    put(tmp_path, table="2", row="txl_256")
    grid, lines = scores.protocols(_section("2", tmp_path))
    assert [(row[0], row[1], row[2].value, row[4], row[5]) for row in grid.rows] == [
        ("Transformer-XL (128)", "training_lengths", 120.0, 1, "headline"),
        ("Transformer-XL (64)", "training_lengths", 121.5, 2, "headline"),
        ("Transformer-XL (64)", "long_memory", 119.5, 2, ""),
    ]
    assert "`training_lengths` (Transformer-XL (64)): target 64." in lines
    assert "`long_memory`: memory 640." in lines


def test_translations_have_scores_intervals_and_settings(translation_runs):
    shown = scores.translations(_section("3", translation_runs))
    assert len(shown["scores"].rows) == 2 * (3 + 3 + 2)
    row = shown["scores"].rows[7]
    # The interval goes around the mean of the resamples, 0.05 above the score.
    assert row[2] == "test_2016_flickr" and row[4].value == 35.0
    assert (row[5].low, row[5].high) == (pytest.approx(33.8), pytest.approx(36.3))
    ways = [(row[1], row[3].value, row[-1]) for row in shown["ways"].rows if "DeFINE" in row[0]]
    assert ways == [
        ("beam_5", pytest.approx(106.9 / 3), "headline"),
        ("average_of_5", pytest.approx(106.9 / 3 + 0.25), ""),
        ("beam_5_uncached", pytest.approx(106.9 / 3), ""),
    ]
    assert "`average_of_5`: beam 5, length penalty 1.0, cache, average 5." in shown["settings"]
    assert len(shown["cache"]) == 3
    assert all("5.0 s" in x and "8.0 s; the hypotheses are identical" in x for x in shown["cache"])
    assert len(shown["signatures"]) == 3


def test_only_translations_that_differ_in_the_cache_alone_are_compared(tmp_path, put):
    put(tmp_path, table="3", row="transformer", data="multi30k")
    assert scores.translations(_section("3", tmp_path)) is None
    ways = {
        "beam_5_uncached": ({"beam": 5, "cache": False}, {"val": 30.0, "test_2016_flickr": 31.0}),
        "beam_4": ({"beam": 4, "cache": True}, {"val": 30.0, "test_2016_flickr": 31.0}),
        "beam_5": ({"beam": 5, "cache": True}, {"val": 30.0, "test_2016_flickr": 31.5}),
    }
    put(tmp_path, table="3", row="transformer_define", data="multi30k", translations=ways)
    (line,) = scores.translations(_section("3", tmp_path))["cache"]
    assert "`beam_5` 5.0 s" in line and "the hypotheses differ on test_2016_flickr" in line


def test_a_signature_names_its_runs_where_there_are_several(tmp_path, put):
    run = {"table": "3", "data": "multi30k", "translations": {"beam_5": ({}, {"val": 30.0})}}
    put(tmp_path, row="transformer_define", **run)
    path = put(tmp_path, row="transformer", **run)
    record = records.read_plain(path)
    record["translations"]["beam_5"]["scores"]["val"]["bleu"]["signature"] = "tok:intl"
    records.write(path, record)
    lines = scores.translations(_section("3", tmp_path))["signatures"]
    assert lines[0] == "BLEU (Transformer on multi30k): `tok:intl`" and len(lines) == 4


def test_speed_is_compared_on_one_machine_only(everything):
    timed = timings(_section("1c", everything))
    assert {machine: [row.ms.mean for row in of] for machine, of in timed.items()} == {
        "NVIDIA H100, 2 threads": [9.5],
        "cpu, 2 threads": [93.0, 93.0, 93.0],
    }


def test_speed_ratios_are_to_the_first_row_that_the_paper_timed(tmp_path, put):
    for row, ms in (("lstm_r2", 100.0), ("lstm_r4", 80.0), ("lstm_wide", 210.0)):
        put(tmp_path, table="1a", row=row, ms_per_update=ms)
    ((machine, timed),) = timings(_section("1a", tmp_path)).items()
    grid = details.speed("1a", machine, timed)
    found = [(row[3].value, row[4] and row[4].value) for row in grid.rows]
    assert found == [(1.0, 297), (0.8, 364), (2.1, None)]
    assert grid.rows[1][5].value == pytest.approx(364 / 297)


def test_step_ratios_are_between_as_many_tokens_on_one_device(tmp_path, make_step, make_batch_step):
    _write(
        tmp_path / "steps",
        make_step("lstm_r1", streams=5, ms_per_update=(2000.0,) * 3),
        make_step("lstm_r2"),
        make_step("lstm_r3", ms_per_update=(1500.0, 1500.0, 1600.0)),
        make_step("lstm_wide", streams=60, ms_per_update=(4000.0,) * 3),
        make_step("lstm_r4", device="H100", ms_per_update=(50.0,) * 3),
        make_batch_step(),
    )
    found = extras.find([tmp_path])
    devices = details.by_device(found["1a"].steps)
    assert [len(of) for of in devices.values()] == [1, 4]
    grid = details.steps(devices["cpu"])
    assert [(row[0], row[3].value, row[6]) for row in grid.rows] == [
        ("R1", 1.0, "R1"),
        ("R2", 1.0, "R2"),
        ("R3", 1.5, "R2"),
        ("lstm_wide", 1.0, "lstm_wide"),
    ]
    assert grid.notes == [
        "The paper's batch was cut: R1, R2, R3.",
        "R1: the paper measured it on two GPUs.",
    ]
    assert "ms paper" in grid.header  # the paper has no times of translation
    assert "ms paper" not in details.steps(found["3"].steps).header


def test_an_evaluation_is_shown_with_its_own_runs_scores(tmp_path, put, make_evaluation):
    put(tmp_path, table="1a", row="lstm_r2", data="wikitext-2", curve=(99.0,), test_ppl=97.0)
    # The same row on another corpus is another run.
    put(tmp_path / "b", table="1a", row="lstm_r2", data="ptb", curve=(55.0,), test_ppl=56.0)
    other = make_evaluation("lstm_define_cache", ppl=80.0)
    other["run"]["row"] = "lstm_r5"
    _write(tmp_path / "evaluations", make_evaluation(), other)
    found = extras.find([tmp_path])["1b"].evaluations
    grid, settings = details.evaluations(found, records.find([tmp_path]))
    own, without = grid.rows
    assert [cell.value for cell in own[5:9]] == [99.0, 90.0, 97.0, 85.0]
    assert [cell and cell.value for cell in without[5:9]] == [None, 80.0, None, 75.0]
    assert len(settings) == 1 and settings[0].endswith(f"{found[0].settings}.")


def test_a_significance_test_names_the_runs_with_its_hypotheses(
    tmp_path, translation_runs, make_significance
):
    section = _section("3", translation_runs)
    test = make_significance()
    runs = {(r.row, r.seed): r.translations["beam_5"]["scores"] for r in section.runs}
    digests = test["hypotheses_sha256"]
    digests["plain"] = runs["transformer", 2]["test_2016_flickr"]["hypotheses_sha256"]
    # The hypotheses of another set are not those of this one.
    digests["linear"] = runs["transformer_linear", 1]["val"]["hypotheses_sha256"]
    _write(tmp_path / "significance", test)
    (read,) = extras.read(tmp_path, "3").tests
    plain, define, linear = scores.significance(read, section.runs, section.labels).rows[:3]
    assert plain[1] == "Transformer, mini, multi30k, seed 2, beam_5" and linear[1] is None
    assert (plain[5], define[5].value, define[6].value) == (None, 2.0, 0.001)


def test_a_run_has_its_scores_and_a_link_to_its_record(everything):
    grid = tables.runs(_section("1a", everything), everything.parent / "reports")
    line = dict(zip(grid.header, grid.rows[1], strict=True))
    assert (line["row"], line["seed"].value, line["test ppl"].value) == ("R1", 2, 336.0)
    record = "../experiments/table_1a/mini/table_1a/lstm_r1/mini/seed_2/record.json"
    assert line["record"].href == record and line["valid tokens scored"] == 73_760
    unfinished = dict(zip(grid.header, grid.rows[-1], strict=True))
    assert unfinished["status"] == "running" and unfinished["valid ppl"] is None
