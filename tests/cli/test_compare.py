"""`define compare` through its argument parser."""

import argparse
import json

import pytest

from define.cli import compare
from define.errors import InputError


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*words, code=0):
        parser = argparse.ArgumentParser()
        compare.add_parser(parser.add_subparsers())
        args = parser.parse_args(["compare", *words])
        assert args.run(args) == code
        return capsys.readouterr()

    return run


def test_defaults_show_the_tables_with_runs_then_the_claims(command, mini_runs, put):
    put(mini_runs, table="4b", row="define")  # a run that other tables show too
    out = command().out
    shown = [name for name in ("1a", "1c", "4a", "4b", "6a", "6b") if f"\nTable {name}, " in out]
    assert out.startswith("Table 1c, scale mini, data ptb") and shown == ["1c", "4b", "6a", "6b"]
    # All answers come in one table, then the differences.
    assert out.index("\nMER ") < out.index("\nThe paper's claims") < out.index("\nIs the reduce")
    (line,) = [line for line in out.splitlines() if "AWD-LSTM + DeFINE less AWD-LSTM" in line]
    assert line.split()[-6:] == ["-3.00", "[-7.30,", "+1.30]", "3", "-4.60", "undecided"]


@pytest.mark.parametrize("content", ["{}", "[" * 9_999, "7", '{"status": "finished"}', "\\xff"])
def test_a_damaged_record_is_skipped_and_named(command, mini_runs, content):
    expected = command().out
    path = mini_runs / "table_1c" / "damaged" / "record.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    found = command(code=1)
    assert found.out == expected
    assert found.err.startswith("define: skipped ") and "/damaged/record.json: " in found.err
    assert found.err.count("\n") == 1
    with pytest.raises(InputError, match="damaged"):
        command("--table", "1c", "--report", "report")


def test_a_table_asked_for_has_no_claims_below_unless_they_are_asked_for(command, mini_runs):
    assert "claims" not in command("--table", "1c").out
    out = command("--table", "1c", "--claims").out
    assert out.startswith("The paper's claims") and "undecided" in out and "finished" not in out
    assert "HGT" not in out and "HGT" in command("--claims").out


def test_data_has_the_rows_or_the_answers(command, mini_runs):
    rows = json.loads(command("--json").out)
    assert {row["row"] for row in rows} >= {"awd_lstm", "awd_lstm_wide"}
    entries = json.loads(command("--claims", "--json").out)
    assert entries[2]["claim"] == "define_beats_plain" and entries[2]["pairs"][0]["mean"] == -3.0
    assert command("--claims", "--format", "csv").out.startswith("claim,question,table,scale")


def test_the_margin_is_in_percent(command, put, tmp_path):
    for seed in (1, 2):
        put(tmp_path / "runs", table="4b", row="define", seed=seed, test_ppl=101.5)
        put(tmp_path / "runs", table="6b", row="no_reduce", seed=seed, test_ppl=100.0)
    verdicts = []
    for words in ([], ["--margin", "2"]):
        (entry,) = json.loads(command("--claims", "--table", "6b", "--json", *words).out)
        verdicts.append((entry["verdict"], entry["margin"]))
    assert verdicts == [("no", 0.01), ("yes", 0.02)]
    command("--table", "6b", "--margin", "2", "--report", "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "`define compare --table 6b --margin 2 --report out`" in text
    expected = "MER matches without reduce if the interval ends less than 2.00 to the worse, 2 %"
    assert expected in text


def test_without_runs_the_default_is_table_1c(command):
    out = command().out
    assert "Table 1c, scale paper, data ptb" in out
    assert "Cited by the paper, not run here" in out


def test_plots_and_reports_are_files_and_standard_output_holds_json_alone(command, put, tmp_path):
    for seed in (1, 2):
        put(tmp_path / "runs", table="1a", row="lstm_r2", data="wikitext-2", seed=seed)
    files = ("--plot", "curves.png", "--plot-params", "size.png", "--report", "report")
    captured = command("--table", "1a", "--json", *files)
    assert json.loads(captured.out)[1]["seeds"] == [1, 2]
    assert captured.err == "wrote curves.png\nwrote size.png\nwrote report/README.md\n"
    for file, in_report in (("curves.png", "valid_ppl.png"), ("size.png", "params_ppl.png")):
        assert (tmp_path / file).read_bytes() == (tmp_path / "report" / in_report).read_bytes()


def test_tables_repeat_and_scales_filter(command, mini_runs, put):
    put(mini_runs, scale="smoke")
    rows = json.loads(command("--table", "1c", "--table", "6b", "--table", "1c", "--json").out)
    assert [row["table"] for row in rows].count("6b") == 2
    assert len({(row["table"], row["row"], row["scale"]) for row in rows}) == len(rows) == 15
    rows = json.loads(command("--scale", "smoke", "--json").out)
    assert {row["scale"] for row in rows} == {"smoke"}


def test_runs_and_data_choose_the_records(command, put, tmp_path):
    put(tmp_path / "a", test_ppl=101.0)
    put(tmp_path / "b", seed=2, test_ppl=103.0)
    put(tmp_path / "b" / "c", data="python_docs", test_ppl=501.0)
    first = json.loads(command("--runs", "a", "--runs", "b", "--data", "ptb", "--json").out)[0]
    assert first["ours"]["test_ppl"]["mean"] == 102.0 and first["seeds"] == [1, 2]
    with pytest.raises(InputError, match="no run on data 'pbt'.*python_docs"):
        command("--runs", "b", "--data", "pbt")


@pytest.mark.parametrize(
    ("output_format", "beginning"),
    [
        ("terminal", "Table 1c"),
        ("markdown", "### Table 1c"),
        ("latex", "\\begin{table}"),
        ("csv", "table,row,label"),
        ("html", "<!DOCTYPE html>"),
        ("json", "[\n"),
    ],
)
def test_every_format_goes_to_the_screen_or_a_file(
    command, mini_runs, tmp_path, output_format, beginning
):
    captured = command("--format", output_format, "--output", "deep/file.txt")
    assert captured.out == "" and captured.err == "wrote deep/file.txt\n"
    text = (tmp_path / "deep" / "file.txt").read_text()
    assert text.startswith(beginning) and text.endswith("\n")
    assert text == command("--format", output_format).out
    if output_format not in ("csv", "json"):
        assert text.index("awd") < text.index("Does the mixer help?")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--table", "1d"], "table '1d'"),
        (["--scale", "huge"], "scale 'huge'"),
        (["--runs", "nowhere"], "'nowhere' is not a folder"),
        (["--claims", "--table", "1b"], "no claim rests on table 1b; take one of 1a, 1c, 2, 3"),
        (["--claims", "--margin", "100"], "--margin 100 must be at least 0 and below 100"),
        (["--margin", "nan"], "--margin nan must be at least 0 and below 100"),
        (["--plot", "a.png"], "'1c' has no validated run to plot"),
        (["--plot-params", "a.png"], "'1c' has no series of sizes to plot; tables with one: 1a, 2"),
        (["--table", "2", "--plot-params", "a.png"], "'2' has no finished run to plot"),
        (["--table", "1a", "--table", "1c", "--report", "a"], "take one table, not 1a, 1c"),
        (["--report", "a", "--search", "nowhere"], "--search nowhere is not a folder"),
    ],
)
def test_bad_input_is_refused(command, tmp_path, words, sentence):
    with pytest.raises(InputError, match=sentence):
        command(*words)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_is_refused(command, mini_runs, tmp_path):
    with pytest.raises(InputError, match=r"'plot.pdf' is no plot file; .* .png or .svg"):
        command("--plot", "plot.pdf")
    assert not (tmp_path / "plot.pdf").exists()
