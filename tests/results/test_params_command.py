"""`define params` through its argument parser, with counts made up here."""

import argparse
import json
import sys
import types

import pytest

from define.cli import params
from define.errors import InputError

COUNTS = {
    "1c": {
        "awd_lstm": {
            "define": 0,
            "context": 20_210_400,
            "io": 4_010_000,
            "total": 24_220_400,
        },
        "awd_lstm_define": {"define": 3, "context": 5, "io": None, "total": None},
        "awd_lstm_mlp": {"define": 1, "context": 2, "io": 3, "total": 6},
    },
    "1a": {"lstm_r1": dict.fromkeys(("define", "context", "io", "total"))},
}


@pytest.fixture
def command(monkeypatch, capsys):
    fake = types.ModuleType("define.launch.counting")
    fake.paper_parameters = lambda table: COUNTS.get(table, {})
    monkeypatch.setitem(sys.modules, "define.launch.counting", fake)

    def run(*words):
        parser = argparse.ArgumentParser()
        params.add_parser(parser.add_subparsers())
        args = parser.parse_args(["params", *words])
        assert args.run(args) == 0
        return capsys.readouterr().out

    return run


def test_json_has_plain_counts_beside_the_published_ones(command):
    rows = {row["row"]: row for row in json.loads(command("--table", "1c", "--json"))}
    assert list(rows)[::3] == ["awd_lstm", "awd_lstm_mos_finetune", "awd_lstm_mlp"]
    assert rows["awd_lstm"]["table"] == "1c"
    assert rows["awd_lstm"]["computed"] == COUNTS["1c"]["awd_lstm"]
    assert rows["awd_lstm"]["published"] == {"total": 24_000_000}
    assert rows["awd_lstm"]["difference_percent"] == {"total": pytest.approx(0.918333333)}
    assert rows["awd_lstm_define"]["computed"]["io"] is None
    assert rows["awd_lstm_define"]["difference_percent"] == {}
    assert rows["transformer_xl"]["computed"] == dict.fromkeys(params.PARTS)
    assert rows["awd_lstm_mlp"]["kind"] == "control" and rows["awd_lstm_mlp"]["published"] == {}


def test_terminal_shows_millions_and_what_is_not_built(command):
    lines = [line.rstrip() for line in command("--table", "1c").splitlines()]
    assert "Table 1c, Word-level language models, Penn Treebank: parameters in millions" in lines
    cells = {line[:23].strip(): line[23:].split() for line in lines}
    assert cells["AWD-LSTM"] == "- 0.00 - 20.21 - 4.01 24.00 24.22 +0.92 %".split()
    assert cells["Transformer-XL"] == "- - - - - - 24.00 - - not built yet".split()
    assert cells["awd_lstm_mlp (control)"][-2:] == ["0.00", "-"]
    assert max(map(len, lines)) <= 100


def test_default_is_every_table_with_a_built_row(command):
    assert {row["table"] for row in json.loads(command("--json"))} == {"1c"}
    assert "Table 1a" not in command()
    assert "not built yet" in command("--table", "1a")


def test_contradictions_stand_below_the_audit(command):
    assert "disagree with each other" in command("--table", "6a")
    assert "disagree with each other" not in command("--table", "1c")


def test_a_count_of_zero_has_no_percentage(command):
    (first, *_) = json.loads(command("--table", "1a", "--json"))
    assert first["published"]["define"] == 0 and first["difference_percent"] == {}


def test_unknown_table_is_refused(command):
    with pytest.raises(InputError, match="table '7'"):
        command("--table", "7")
