"""Run records: read back as written, found below folders, and told in one line."""

import json
import math

import pytest

from define.analysis import extras
from define.errors import InputError
from define.files import hold, write_json
from define.runs import records
from define.runs.summary import summary


def test_written_record_is_read_back(tmp_path, make_record, put):
    path = put(tmp_path, seed=3, curve=(300.0, 121.5), test_ppl=117.25)
    record = records.read(path)
    assert (record.table, record.row, record.scale, record.seed) == ("1c", "awd_lstm", "mini", 3)
    assert record.metrics == {"valid_ppl": 121.5, "test_ppl": 117.25}
    assert record.data == "ptb" and record.path == path and record.best_epoch == 2
    expected = make_record(seed=3, curve=(300.0, 121.5), test_ppl=117.25)
    assert json.loads(path.read_text()) == {**expected, "digest": records.digest(expected)}
    assert records.read_plain(path) == expected


def test_an_edited_record_is_refused_and_one_of_an_earlier_version_is_not(tmp_path, put):
    path = put(tmp_path)
    record = json.loads(path.read_text())
    record["final"]["test"] |= {"nll": math.log(99.0), "ppl": 99.0}  # consistent within itself
    write_json(path, record)
    with pytest.raises(InputError, match="record.json: it was changed after it was written, "):
        records.read(path)
    del record["digest"]
    write_json(path, record)
    assert records.read(path).metrics["test_ppl"] == 99.0
    path.write_text(json.dumps(record | {"digest": records.digest(record)}, indent=7))
    assert records.read(path).metrics["test_ppl"] == 99.0


def test_a_run_that_was_killed_is_interrupted(tmp_path, put):
    path = put(tmp_path, status="running", curve=())
    lock = path.with_name(records.LOCK_NAME)
    with hold(lock):
        assert records.read(path).status == "running"
    assert records.read(path).status == "interrupted"
    lock.unlink()
    assert records.read(path).status == "running"  # a copy, which nobody can know about


def test_metrics_count_when_finished_and_only_what_was_scored(tmp_path, make_record):
    path, record = tmp_path / "record.json", make_record(curve=(120.0,))
    records.write(path, {**record, "status": "interrupted"})
    assert records.read(path).metrics == {}
    del record["final"]["test"]
    records.write(path, record)
    assert records.read(path).metrics == {"valid_ppl": 120.0}


PROTOCOLS = {
    "training_lengths": ({"target": 64, "memory": 64}, 120.0, 116.0),
    "long_memory": ({"target": 64, "memory": 640, "same_length": True}, 118.0, 114.5),
}


def test_protocols_are_read_and_the_first_is_the_headline(tmp_path, put):
    record = records.read(put(tmp_path, protocols=PROTOCOLS))
    assert record.headline == "training_lengths" and list(record.protocols) == list(PROTOCOLS)
    assert record.protocols["long_memory"]["settings"]["memory"] == 640
    assert record.protocols["long_memory"]["scores"]["test"]["ppl"] == 114.5
    assert record.metrics == {"valid_ppl": 120.0, "test_ppl": 116.0}
    plain = records.read(put(tmp_path, seed=2))
    assert plain.headline is None and plain.protocols == {}


def test_the_final_scores_are_those_of_the_first_protocol(tmp_path, make_record):
    record = make_record(protocols=dict(reversed(PROTOCOLS.items())))
    with pytest.raises(InputError, match="other final scores than its first .* 'long_memory'"):
        records.write(tmp_path / "record.json", record)
    record = {**make_record(protocols=PROTOCOLS), "status": "interrupted", "final": None}
    with pytest.raises(InputError, match="other final scores"):
        records.write(tmp_path / "record.json", record)


TRANSLATIONS = {
    "beam_5": ({"beam": 5, "cache": True}, {"newstest2014": 25.5, "newstest2017": 26.25}),
    "beam_4": ({"beam": 4, "cache": True}, {"newstest2014": 25.25, "newstest2017": 27.0}),
}


def test_translations_are_read_and_the_first_is_the_bleu_of_the_run(tmp_path, put):
    record = records.read(put(tmp_path, table="3", curve=(9.0,), translations=TRANSLATIONS))
    assert record.translation == "beam_5" and list(record.translations) == list(TRANSLATIONS)
    assert record.translation_scores["newstest2014"]["sentences"] == 2_737
    assert record.metrics == {
        "valid_ppl": pytest.approx(9.0),
        "test_ppl": pytest.approx(116.0),
        "newstest2014_bleu": 25.5,
        "newstest2017_bleu": 26.25,
    }
    plain = records.read(put(tmp_path, seed=2))
    assert (plain.translation, plain.translations, plain.translation_scores) == (None, {}, {})
    cut_short = put(tmp_path, seed=3, status="interrupted", translations=TRANSLATIONS)
    assert records.read(cut_short).metrics == {}


def test_sacrebleus_perfect_score_is_no_error(tmp_path, make_record):
    record = make_record(translations=TRANSLATIONS)
    record["translations"]["beam_5"]["scores"]["newstest2014"]["bleu"]["score"] = 100.00000000000004
    records.write(tmp_path / "record.json", record)


def test_two_translations_of_one_run_in_one_folder_are_refused(tmp_path, put):
    put(tmp_path / "a", translations=TRANSLATIONS)
    put(tmp_path / "b", translations=TRANSLATIONS)
    assert len(records.find([tmp_path])) == 1
    other = {"beam_5": ({"beam": 5, "cache": True}, {"newstest2014": 25.5, "newstest2017": 26.0})}
    put(tmp_path / "c", translations=other)
    with pytest.raises(InputError, match="seed 1, with different results"):
        records.find([tmp_path])


def test_find_searches_below_its_folders_in_order(tmp_path, put):
    put(tmp_path / "deep" / "er", row="transformer_xl", seed=2)
    put(tmp_path / "deep", seed=2)
    put(tmp_path / "deep", seed=1)
    put(tmp_path / "other", table="1a", row="lstm_r1", data="wikitext-103")
    found = records.find([tmp_path])
    assert [(r.table, r.row, r.seed) for r in found] == [
        ("1a", "lstm_r1", 1),
        ("1c", "awd_lstm", 1),
        ("1c", "awd_lstm", 2),
        ("1c", "transformer_xl", 2),
    ]


def test_find_passes_over_search_trials(tmp_path, put):
    put(tmp_path / "search" / "trial_1", test_ppl=99.0)
    put(tmp_path / "runs", test_ppl=111.0)
    assert [record.metrics["test_ppl"] for record in records.find([tmp_path])] == [111.0]


def test_duplicates_prefer_finished_then_the_first_folder(tmp_path, put):
    first, second = tmp_path / "a", tmp_path / "b"
    put(first, seed=1, test_ppl=101.0)
    put(second, seed=1, test_ppl=201.0)
    put(first, seed=2, status="interrupted")
    put(second, seed=2, test_ppl=202.0)
    put(first, seed=3, status="interrupted")
    put(second, seed=3, status="running")
    found = {record.seed: record for record in records.find([first, second])}
    assert found[1].metrics["test_ppl"] == 101.0
    assert found[2].metrics["test_ppl"] == 202.0
    assert found[3].status == "interrupted"
    found = {record.seed: record for record in records.find([second, first])}
    assert found[1].metrics["test_ppl"] == 201.0


def test_superseded_results_count_only_where_their_folder_is_named(tmp_path, put, make_step):
    put(tmp_path / "table_1c", test_ppl=99.0)
    put(tmp_path / "one_rate" / "table_1c", test_ppl=111.0)  # another result of the same run
    put(tmp_path / "one_rate" / "table_1c" / "search" / "trial_1", row="awd_lstm_define")
    write_json(tmp_path / "one_rate" / "table_1a" / "steps" / "lstm_r2.json", make_step())
    assert [record.metrics["test_ppl"] for record in records.find([tmp_path])] == [99.0]
    assert extras.find([tmp_path]) == {} and records.find_trials([tmp_path]) == []
    for named in (tmp_path / "one_rate", tmp_path / "one_rate" / "table_1c"):
        assert [record.metrics["test_ppl"] for record in records.find([named])] == [111.0]
    assert list(extras.find([tmp_path / "one_rate"])) == ["1a"]


def test_runs_on_two_corpora_are_no_duplicates(tmp_path, put):
    put(tmp_path / "a", data="ptb")
    put(tmp_path / "b", data="python_docs")
    assert [record.data for record in records.find([tmp_path])] == ["ptb", "python_docs"]


def test_two_different_results_of_one_run_in_one_folder_are_refused(tmp_path, put):
    put(tmp_path / "a", test_ppl=101.0)
    put(tmp_path / "b", test_ppl=101.0)
    assert len(records.find([tmp_path])) == 1
    put(tmp_path / "c", test_ppl=102.0)
    with pytest.raises(
        InputError, match="row awd_lstm, scale mini, seed 1, with different results"
    ):
        records.find([tmp_path])


def test_default_folders_may_be_missing_but_a_given_one_may_not(tmp_path, monkeypatch, put):
    monkeypatch.chdir(tmp_path)
    assert records.find() == []
    put(tmp_path / "experiments" / "table_1c")
    assert len(records.find()) == 1
    with pytest.raises(InputError, match="'nowhere' is not a folder"):
        records.find(["nowhere"])


@pytest.mark.parametrize(
    "command, published",
    [
        ("define train scale=mini seed=3", "define train scale=mini seed=3"),
        (
            "define train run.dir=/a/b/lr_1 'task.x=[1, 2]'",
            "define train run.dir=lr_1 'task.x=[1, 2]'",
        ),
        (
            "define evaluate /a/b/best.pt --output c/d.json",
            "define evaluate best.pt --output c/d.json",
        ),
        ("define train '+x={a: 1}' run.dir='/a b/c d'", "define train '+x={a: 1}' 'run.dir=c d'"),
        ("define train \"run.dir='/a b/c=d'\"", "define train run.dir=c=d"),
    ],
)
def test_commands_name_no_folder_of_a_machine(command, published):
    assert records.without_places(command) == published


def test_a_summary_has_perplexities_and_the_bleu_of_the_first_translation(tmp_path, put):
    path = put(tmp_path, seed=7, curve=(12.345,), test_ppl=13.0)
    assert summary(records.read(path)) == (
        "table 1c, awd_lstm, mini, seed 7: valid ppl 12.35 (73,760 tokens), test ppl 13.00 "
        f"(82,430 tokens), 1,640,000 parameters, 600 s; {path.parent}"
    )
    line = summary(records.read(put(tmp_path, table="3", translations=TRANSLATIONS)))
    assert "newstest2014 BLEU 25.50 (2,737 sentences)" in line and "valid subword ppl" in line
    assert "25.25" not in line
