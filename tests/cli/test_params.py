"""`define params` through its argument parser, with counts made up here."""

import argparse
import json
import sys
import types
from dataclasses import dataclass

import pytest

from define.cli import params
from define.cli.main import main


def counts(*numbers: int | None) -> dict[str, int | None]:
    return dict(zip(params.PARTS, numbers, strict=True))


COUNTS = {
    "1c": {
        "awd_lstm": counts(0, 20_210_400, 4_010_000, 24_220_400),
        "awd_lstm_define": counts(3, 5, None, None),
        "awd_lstm_mlp": counts(1, 2, 3, 6),
    },
    "2": {
        "txl_410": counts(0, 41_067_220, 110_039_085, 151_106_305),
        "txl_128": counts(0, 36_250_420, 34_734_687, 70_985_107),
        "txl_64_define": counts(2_600_000, 36_254_999, 17_505_001, 56_360_000),
    },
    "1a": {"lstm_r1": counts(None, None, None, None)},
    "3": {
        "transformer": counts(0, 44_000_000, 48_000_000, 92_000_000),
        "transformer_linear": counts(1, 2, 3, 6),
    },
}
ASSUMED = {"3": "The paper gives no V: counted for 7 source and 9 target types."}


@dataclass
class Model:
    parameters: dict[str, int]
    assumed: str | None


@pytest.fixture
def command(monkeypatch, capsys):
    fake = types.ModuleType("define.train.counting")
    fake.paper_models = lambda table: {
        row: Model(counts, ASSUMED.get(table)) for row, counts in COUNTS.get(table, {}).items()
    }
    monkeypatch.setitem(sys.modules, "define.train.counting", fake)

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


def test_contradictions_are_noted_and_a_count_of_zero_has_no_percentage(command):
    assert "disagree with each other" in command("--table", "6a")
    assert "disagree with each other" not in command("--table", "1c")
    (first, *_) = json.loads(command("--table", "1a", "--json"))
    assert first["published"]["define"] == 0 and first["difference_percent"] == {}


SIGNAL = {
    "sizes": {"e_i": 0.05, "layer 1": 0.6, "layer 2": 0.7, "e_o": 0.65},
    "min_group_features": 8,
    "skip_shares": {"layer 2": 0.25, "output": 0.125},
    "skip_share": 0.125,
    "grad_e_i": 12.5,
    "cosine": 0.375,
    "effective_rank": 99.6,
    "first_step": {"table": 0.01, "unit": 0.02, "context": 0.0625, "output": None},
    "largest_step": {
        "table": {"name": "map.weight", "step": 0.03},
        "unit": None,
        "context": {"name": "lstm.0.weight_ih", "step": 0.16},
        "output": None,
    },
}
PLAIN = SIGNAL | {
    "sizes": {"e_i": 0.05, "e_o": 0.05},
    "min_group_features": None,
    "skip_shares": {},
    "skip_share": None,
}


@pytest.fixture
def measured(monkeypatch):
    """Made-up signals, SIGNAL for rows with a unit; gives the runs that were asked for."""
    from define.bench import signal

    composed = []

    def fake(config):
        composed.append((config.run.table, config.run.row, config.run.scale))
        return SIGNAL if config.model.input == "define" else PLAIN

    monkeypatch.setattr(signal, "measure", fake)
    return composed


def test_signal_is_in_every_row_of_the_json_beside_the_counts(measured, capsys):
    assert main(["params", "--signal", "--table", "1b", "--table", "1c", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    by_name = {row["row"]: row for row in rows}
    assert "transformer_xl" not in by_name  # not built
    row = by_name["awd_lstm_define"]
    assert {key: row["signal"][key] for key in SIGNAL} == SIGNAL
    assert row["computed"]["total"] > 0 and row["scale"] == "paper"
    (remark,) = row["signal"]["remarks"]
    assert remark["rule"] == "first_step.context" and "SGD at 30" in remark["reason"]
    assert by_name["awd_lstm"]["signal"]["skip_share"] is None
    assert ("1a", "lstm_r5", "paper") in measured  # which Table 1b's row shows
    assert len(measured) == len(set(measured))


def test_signal_at_another_scale_has_no_counts_of_the_paper_s_size(measured, capsys):
    words = ["params", "--signal", "--table", "1c", "--scale", "smoke", "--json"]
    assert main(words) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["scale"] for row in rows} == {scale for _, _, scale in measured} == {"smoke"}
    assert all("computed" not in row for row in rows)


def test_signal_of_a_table_in_the_terminal(measured, capsys):
    assert main(["params", "--signal", "--table", "1c"]) == 0
    text = capsys.readouterr().out
    assert "signal at scale paper" in text
    for label, expected in (  # the columns may stand in parts below each other
        ("AWD-LSTM + DeFINE ", "8 12.50 12.50 0.38 100 0.050 0.60-0.70 0.650 1.00 2.00 6.25 -"),
        ("AWD-LSTM  ", "- - 12.50 0.38 100 0.050 - 0.050 1.00 2.00 6.25 -"),
    ):
        lines = [line for line in text.splitlines() if line.startswith(label)]
        words = [word for line in lines for word in line.removeprefix(label).split()]
        assert words == expected.split()
    assert "Beyond the limit of first_step.context: AWD-LSTM," in text
    assert max(map(len, text.splitlines())) <= 100


def test_signal_of_one_config(measured, capsys):
    words = ["experiment=table_1c/awd_lstm_define", "scale=mini", "model.unit=text"]
    assert main(["params", "--signal", *words]) == 0
    assert measured == [("1c", "awd_lstm_define", "mini")]
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["layer", "2", "0.700", "25.00"] in lines
    assert ["e_o", "0.650", "12.50"] in lines  # the output layer's share
    assert ["context", "6.25", "lstm.0.weight_ih", "16.00"] in lines
    assert main(["params", "--signal", *words, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["table"], row["row"], row["scale"]) == ("1c", "awd_lstm_define", "mini")
    assert row["signal"]["grad_e_i"] == 12.5


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--scale", "mini"], "--scale mini needs --signal"),
        (["seed=2"], "seed=2 needs --signal"),
        (["--signal", "--scale", "tiny"], "--scale tiny is unknown; use one of paper, mini,"),
        (["--signal", "--table", "1c", "seed=2"], "seed=2 picks one config"),
        (["--signal", "--scale", "mini", "seed=2"], "seed=2 picks one config"),
        (["--table", "7"], "table '7'"),
        (["--signal", "--table", "7"], "table '7'"),
        (["--signal", "sed=2"], "sed is unknown"),
        (["--signal", "model.unit=mine"], "unit = 'mine' is unknown; take one of released, text"),
    ],
)
def test_what_is_refused_is_one_sentence(words, sentence, capsys):
    assert main(["params", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and sentence in captured.err
    assert len(captured.err.strip().splitlines()) == 1
