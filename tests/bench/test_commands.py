"""`define bench` and `define step`: what they write, print and refuse."""

import json
from types import SimpleNamespace

import pytest

from define.cli import step as module
from define.cli.main import main
from define.runs import benchmarks, steps

QUICK = ["bench", "share", "--quick", "--scale", "smoke", "--rounds", "1"]
SMALL = ["step", "experiment=table_1a/lstm_r2", "scale=smoke", "threads=1", "--streams", "2"]


def test_the_table_the_record_and_the_page_of_bench_agree(place, capsys):
    assert main([*QUICK, "--output", "record.json"]) == 0
    out = capsys.readouterr().out
    groups = benchmarks.read("record.json")["groups"]
    assert len(groups) == 2
    for group in groups:
        assert f"share: {group['title']}" in out and f"{group['values']['step'][0]:,.2f}" in out
    assert main(["bench", "--report", str(place)]) == 0
    assert groups[0]["title"] in (place / "README.md").read_text()


def test_the_summary_of_step_shows_its_record(place, capsys):
    assert main([*SMALL, "--updates", "2", "--output", "steps/lstm_r2.json"]) == 0
    record = steps.read("steps/lstm_r2.json")
    assert (record.table, record.row) == ("1a", "lstm_r2")
    assert (record.tokens_per_update, record.paper_tokens_per_update) == (40, 200)
    assert (record.updates, record.warm_up) == (2, 1)
    summary = capsys.readouterr().out
    for text in (
        "table 1a, lstm_r2: 40 of 200 tokens per update;",
        f"{record.median_ms:,.1f} ms per update",
        f"peak memory {record.peak_memory_mib:,.0f} MiB",
        ", ".join(f"{loss:.3f}" for loss in record.loss),
    ):
        assert text in summary
    assert [path.name for path in place.rglob("*")] == ["steps", "lstm_r2.json"]


@pytest.mark.parametrize("words", [QUICK, [*SMALL, "--updates", "1"]], ids=["bench", "step"])
def test_json_on_the_screen_is_the_file(words, capsys):
    assert main([*words, "--json", "--output", "record.json"]) == 0
    with open("record.json", encoding="utf-8") as stream:
        assert json.loads(capsys.readouterr().out) == json.load(stream)


def test_quiet_says_nothing(capsys):
    assert main([*SMALL, "--updates", "1", "--warm-up", "0", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_every_row_of_a_table_is_measured_and_a_failing_one_stops_no_other(place, monkeypatch):
    run = lambda words: SimpleNamespace(returncode=main(words[3:]))  # noqa: E731
    monkeypatch.setattr(module, "subprocess", SimpleNamespace(run=run))
    short = ["scale=smoke", "threads=1", "--streams", "1", "--updates", "1", "--warm-up", "0"]
    # Only the rows with DeFINE read the key: their table has 16 dimensions.
    assert main(["step", "table_1c", *short, "model.expand_dim=9", "--output", "kept"]) == 2
    written = {path.stem: steps.read(path) for path in (place / "kept/table_1c/steps").iterdir()}
    assert written.keys() == {"awd_lstm", "awd_lstm_linear", "awd_lstm_wide", "awd_lstm_mlp"}
    assert {(r.row == row, r.tokens_per_update) for row, r in written.items()} == {(True, 20)}


TRANSLATION = ["step", "experiment=table_3/transformer", "scale=smoke"]
BAD = [
    (["bench", "units"], "part 'units' is unknown; use some of unit, share"),
    (["bench", "unit", "--rounds", "0"], "--rounds 0 must be at least 1"),
    (["bench", "unit", "--threads", "-1"], "--threads -1 must be at least 1"),
    (["bench", "share", "--scale", "huge"], "huge"),
    (["bench", "--report", "."], "there is no record in ."),
    (["step", "table_9"], "there is no table 'table_9' with rows to measure; write table_1a"),
    ([*SMALL, "--streams", "11"], "streams = 11 must lie between 1 and the recipe's 10"),
    ([*SMALL, "--streams", "0"], "streams = 0 must lie between 1 and the recipe's 10"),
    ([*SMALL, "--max-tokens", "9"], "max_tokens has no effect on this run; use streams"),
    ([*SMALL, "--updates", "0"], "updates = 0 must be at least 1"),
    ([*SMALL, "--warm-up", "-2"], "warm_up = -2 must be at least 0"),
    ([*SMALL, "task.bptt=-1"], "task.bptt = -1 must be at least 1"),
    ([*SMALL, "dataset.batch_size=null"], "dataset.batch_size = None must be at least 1"),
    ([*SMALL, "model.layres=3"], "model.layres is unknown"),
    ([*SMALL, "model.cutoffs=[9,3]"], "cutoffs = [9, 3] must increase"),
    ([*SMALL, "data=nowhere"], "nowhere"),
    ([*SMALL, "common.bf16=true"], "bf16"),
    ([*TRANSLATION, "--streams", "2"], "streams has no effect on this run; use max_tokens or up"),
    ([*TRANSLATION, "--max-tokens", "1"], "max_tokens = 1 must be at least 2"),
    ([*TRANSLATION, "--update-freq", "0"], "update_freq = 0 must be at least 1"),
    ([*TRANSLATION, "--max-tokens", "513"], "513 times update_freq = 1 must be at most the recip"),
    ([*TRANSLATION, "--update-freq", "2"], "512 times update_freq = 2 must be at most the recipe"),
    (
        [
            *TRANSLATION,
            "run.tokens_per_update=0",
            "dataset.max_tokens=null",
            "dataset.batch_size=8",
        ],
        "dataset.max_tokens = None must be at least 1",
    ),
]


@pytest.mark.parametrize(("words", "sentence"), BAD)
def test_bad_values_are_one_sentence_and_leave_nothing(words, sentence, place, capsys):
    assert main([*words, *(["--output", "step.json"] if "step" in words else [])]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("define: ") and err.count("\n") == 1
    assert sentence in err
    assert list(place.iterdir()) == []
