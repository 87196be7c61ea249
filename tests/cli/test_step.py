"""`define step`: what it writes and prints, and what it refuses."""

import json
from types import SimpleNamespace

import pytest

from define.cli import step as module
from define.cli.main import main
from define.runs.steps import read

SMALL = ["experiment=table_1a/lstm_r2", "scale=smoke", "threads=1", "--streams", "2"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty folder to work in, and no corpus."""
    monkeypatch.setenv("DEFINE_DATA", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_output_is_a_step_record_and_the_summary_shows_it(place, capsys):
    assert main(["step", *SMALL, "--updates", "2", "--output", "steps/lstm_r2.json"]) == 0
    record = read("steps/lstm_r2.json")
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


def test_json_on_the_screen_is_the_file(capsys):
    assert main(["step", *SMALL, "--updates", "1", "--json", "--output", "step.json"]) == 0
    with open("step.json", encoding="utf-8") as stream:
        assert json.loads(capsys.readouterr().out) == json.load(stream)


def test_quiet_says_nothing(capsys):
    assert main(["step", *SMALL, "--updates", "1", "--warm-up", "0", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_every_row_of_a_table_is_measured_and_a_failing_one_stops_no_other(place, monkeypatch):
    def run(words):
        return SimpleNamespace(returncode=main(words[3:]))

    monkeypatch.setattr(module, "subprocess", SimpleNamespace(run=run))
    short = ["scale=smoke", "threads=1", "--streams", "1", "--updates", "1", "--warm-up", "0"]
    # Only the rows with DeFINE read the key: their table has 16 dimensions.
    assert main(["step", "table_1c", *short, "model.expand_dim=9", "--output", "kept"]) == 2
    written = {path.stem: read(path) for path in (place / "kept/table_1c/steps").iterdir()}
    assert written.keys() == {"awd_lstm", "awd_lstm_linear", "awd_lstm_wide", "awd_lstm_mlp"}
    assert {(r.row == row, r.tokens_per_update) for row, r in written.items()} == {(True, 20)}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["table_9"], "there is no table 'table_9' with rows to measure; write table_1a"),
        (["--streams", "11"], "streams = 11 must lie between 1 and the recipe's 10"),
        (["--streams", "0"], "streams = 0 must lie between 1 and the recipe's 10"),
        (["--max-tokens", "9"], "max_tokens does not cut the updates of this run; take streams"),
        (["--updates", "0"], "updates = 0 must be at least 1"),
        (["--warm-up", "-2"], "warm_up = -2 must be at least 0"),
        (["task.bptt=-1"], "task.bptt = -1 must be at least 1"),
        (["dataset.batch_size=null"], "dataset.batch_size = None must be at least 1"),
        (["model.layres=3"], "model.layres is unknown"),
        (["model.cutoffs=[9,3]"], "cutoffs = [9, 3] must increase"),
        (["data=nowhere"], "nowhere"),
    ],
)
def test_bad_values_are_one_sentence_and_leave_nothing(arguments, sentence, place, capsys):
    assert main(["step", *SMALL, "--output", "step.json", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("define: ") and err.count("\n") == 1
    assert sentence in err
    assert list(place.iterdir()) == []


def test_numbers_that_are_none_are_wrong_usage(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["step", *SMALL, "--updates", "many"])
    assert raised.value.code == 2
    assert "--updates" in capsys.readouterr().err
