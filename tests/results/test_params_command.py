"""`define params` through its argument parser, with counts made up here."""

import argparse
import json
import sys
import types
from dataclasses import dataclass

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
    "2": {
        "txl_410": {
            "define": 0,
            "context": 41_067_220,
            "io": 110_039_085,
            "total": 151_106_305,
        },
        "txl_128": {
            "define": 0,
            "context": 36_250_420,
            "io": 34_734_687,
            "total": 70_985_107,
        },
        "txl_64_define": {
            "define": 2_600_000,
            "context": 36_254_999,
            "io": 17_505_001,
            "total": 56_360_000,
        },
    },
    "1a": {"lstm_r1": dict.fromkeys(("define", "context", "io", "total"))},
    "3": {
        "transformer": {"define": 0, "context": 44_000_000, "io": 48_000_000, "total": 92_000_000},
        "transformer_linear": {"define": 1, "context": 2, "io": 3, "total": 6},
    },
}
ASSUMED = {"3": "The paper gives no V: counted for 7 source and 9 target types."}


@dataclass
class Model:
    parameters: dict[str, int]
    assumed: str | None


@pytest.fixture
def command(monkeypatch, capsys):
    fake = types.ModuleType("define.launch.counting")
    fake.paper_models = lambda table: {
        row: Model(counts, ASSUMED.get(table)) for row, counts in COUNTS.get(table, {}).items()
    }
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
    assert rows["awd_lstm"]["difference"] == {"total": 220_400}
    assert rows["awd_lstm"]["exact"] == {"total": True}
    assert rows["awd_lstm_define"]["exact"] == {}
    assert rows["awd_lstm_define"]["computed"]["io"] is None
    assert rows["awd_lstm_define"]["difference_percent"] == {}
    assert rows["transformer_xl"]["computed"] == dict.fromkeys(params.PARTS)
    assert rows["awd_lstm_mlp"]["kind"] == "control" and rows["awd_lstm_mlp"]["published"] == {}


def test_terminal_shows_millions_and_what_is_not_built(command):
    missing = "AWD-LSTM + finetune, AWD-LSTM-MoS, AWD-LSTM-MoS + finetune, Transformer-XL"
    assert f"Not built yet: {missing}.\n" in command("--table", "1c")
    lines = [line.rstrip() for line in command("--table", "1c").splitlines()]
    assert "Table 1c, Word-level language models, Penn Treebank: parameters in millions" in lines
    cells = {line[:23].strip(): line[23:].split() for line in lines}
    assert cells["AWD-LSTM"] == "- 0.00 - - 20.21 - 4.01 24 24.22= +0.92%".split()
    assert cells["Transformer-XL"] == "- - - - - - - 24 - -".split()
    assert cells["awd_lstm_mlp (control)"][-2:] == ["0.00", "-"]
    assert max(map(len, lines)) <= 100


def test_a_count_is_exact_if_it_rounds_to_the_printed_digits(command):
    rows = {row["row"]: row for row in json.loads(command("--table", "2", "--json"))}
    assert rows["txl_410"]["exact"] == dict.fromkeys(params.PARTS, True) | {"total": True}
    row = rows["txl_64_define"]
    assert row["exact"] == {"define": False, "context": True, "io": False, "total": False}
    assert row["difference"]["define"] == 680_000
    assert row["difference_percent"]["total"] == pytest.approx(100 * 0.69 / 55.67)
    assert rows["txl_64"]["exact"] == {}


def test_terminal_marks_what_is_exact_and_gives_the_units_difference_in_millions(command):
    lines = [line.rstrip() for line in command("--table", "2").splitlines()]
    cells = {line[:29].strip(): line[29:].split() for line in lines}
    assert cells["Transformer-XL (410)"] == (
        "0.00 0.00= +0.00 41.07 41.07= 110.04 110.04= 151.11 151.11= -0.00%".split()
    )
    assert cells["Transformer-XL + DeFINE (64)"] == (
        "1.92 2.60 +0.68 36.25 36.25= 17.50 17.51 55.67 56.36 +1.24%".split()
    )


def test_notes_say_what_the_mark_means_and_what_g_max_leaves(command):
    text = " ".join(command("--table", "2").split())
    assert "=: ours, rounded to the digits that the paper prints" in text
    assert "gives no g_max; each table has one, with at least 8 features in a group." in text
    assert "(k + n) m + n^2 + 12,000" in text
    assert (
        "Every part of Transformer-XL (128) is exact; the paper's total is the sum of its rounded "
        "parts."
    ) in text
    assert "g_max" not in command("--table", "1a")


def test_what_a_count_assumes_is_said_once_and_only_there(command):
    rows = {row["row"]: row for row in json.loads(command("--table", "3", "--json"))}
    assert rows["transformer"]["assumed"] == rows["transformer_linear"]["assumed"] == ASSUMED["3"]
    assert rows["transformer"]["difference"] == {"total": 0}
    assert rows["transformer_sru"]["assumed"] is None
    text = " ".join(command("--table", "3").split())
    assert text.count(ASSUMED["3"]) == 1
    assert "gives no V" not in command("--table", "2")


def test_default_is_every_table_with_a_built_row(command):
    assert {row["table"] for row in json.loads(command("--json"))} == {"1c", "2", "3"}
    assert "Table 1a" not in command()
    assert "Not built yet: R1, R2, R3, R4, R5." in command("--table", "1a")


def test_contradictions_stand_below_the_audit(command):
    assert "disagree with each other" in command("--table", "6a")
    assert "disagree with each other" not in command("--table", "1c")


def test_a_count_of_zero_has_no_percentage(command):
    (first, *_) = json.loads(command("--table", "1a", "--json"))
    assert first["published"]["define"] == 0 and first["difference_percent"] == {}


def test_unknown_table_is_refused(command):
    with pytest.raises(InputError, match="table '7'"):
        command("--table", "7")
