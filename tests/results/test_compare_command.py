"""`define compare` through its argument parser."""

import argparse
import json

import pytest

from define.cli import compare
from define.errors import InputError


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        parser = argparse.ArgumentParser()
        compare.add_parser(parser.add_subparsers())
        args = parser.parse_args(["compare", *words])
        assert args.run(args) == 0
        return capsys.readouterr()

    return run


def test_defaults_show_the_tables_with_runs(command, mini_runs, put):
    put(mini_runs, table="1a", row="lstm_r1", data="wikitext-103")
    out = command().out
    assert "Table 1a, scale mini, data wikitext-103" in out
    assert "Table 1c, scale mini, data ptb" in out and "Table 2" not in out


def test_without_runs_the_default_is_table_1c(command):
    captured = command()
    assert "Table 1c, scale paper, data ptb" in captured.out
    assert captured.out.count("not run") == 6


def test_json_is_all_that_standard_output_holds(command, mini_runs, tmp_path):
    captured = command("--table", "1c", "--json", "--plot", "curves.svg", "--report", "report")
    rows = json.loads(captured.out)
    assert [row["row"] for row in rows][::5] == ["awd_lstm", "awd_lstm_define"]
    assert captured.err == "wrote curves.svg\nwrote report/README.md\n"
    assert (tmp_path / "curves.svg").stat().st_size > 10_000
    assert (tmp_path / "report" / "README.md").is_file()


def test_perplexity_by_parameters_goes_to_a_file(command, put, tmp_path):
    put(tmp_path / "runs", table="1a", row="lstm_r2", data="wikitext-2")
    captured = command("--table", "1a", "--plot-params", "size.png", "--report", "report")
    assert captured.err == "wrote size.png\nwrote report/README.md\n"
    assert (tmp_path / "size.png").read_bytes() == (
        tmp_path / "report" / "params_ppl.png"
    ).read_bytes()


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
def test_output_goes_to_a_file(command, mini_runs, tmp_path, output_format, beginning):
    captured = command("--format", output_format, "--output", "deep/file.txt")
    assert captured.out == "" and captured.err == "wrote deep/file.txt\n"
    text = (tmp_path / "deep" / "file.txt").read_text()
    assert text.startswith(beginning)
    assert text == command("--format", output_format).out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--table", "1d"], "table '1d'"),
        (["--scale", "huge"], "scale 'huge'"),
        (["--runs", "nowhere"], "'nowhere' is not a folder"),
        (["--plot", "a.png"], "no validated run"),
        (["--plot-params", "a.png"], "no series of sizes to plot; tables with one: 1a, 2"),
        (["--table", "2", "--plot-params", "a.png"], "'2' has no finished run to plot"),
        (["--table", "1a", "--table", "1c", "--report", "a"], "take one table, not 1a, 1c"),
    ],
)
def test_bad_input_is_refused(command, words, sentence):
    with pytest.raises(InputError, match=sentence):
        command(*words)
