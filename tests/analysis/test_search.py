"""The search table: settings and means, read from the trials' records."""

import pytest

from define.analysis.search import read_search
from define.errors import InputError
from define.report import details


def _config(lr, seed=1, **model):
    lists = {"optimization": {"lr": [lr], "clip_norm": 0.25}, "optimizer": {"lr": [lr]}}
    kept = {"run": {"dir": f"lr_{lr}"}, "checkpoint": {"save_dir": f"lr_{lr}"}}
    return {"seed": seed, "common": {"seed": seed}, "model": model, **lists, **kept}


def test_settings_are_what_differs_and_the_lowest_mean_of_each_row_is_marked(tmp_path, put):
    for lr, seed, ppl in ((0.01, 1, 123.0), (0.004, 2, 130.0), (0.004, 1, 120.0), (0.01, 2, 125.0)):
        put(tmp_path / f"{lr}_{seed}", seed=seed, curve=(150.0, ppl), config=_config(lr, seed, N=3))
    for norm, ppl in (("layer", 140.0), ("none", 141.0)):
        config = _config(0.002, unit_norm=norm)
        put(tmp_path / norm, row="awd_lstm_define", curve=(ppl,), config=config)
    put(tmp_path / "running", seed=3, status="running", config=_config(0.5, 3, N=3))
    grid = details.search(read_search(tmp_path), {"awd_lstm": "AWD-LSTM"})
    assert grid.header == [
        "row", "optimization.lr", "model.unit_norm", "seeds", "valid ppl", "of its row",
    ]  # fmt: skip
    assert grid.texts() == [
        ["AWD-LSTM", "0.004", "-", "1, 2", "125.00±63.53", ""],
        ["AWD-LSTM", "0.01", "-", "1, 2", "124.00±12.71", "lowest"],
        ["awd_lstm_define", "0.002", "layer", "1", "140.00", "lowest"],
        ["awd_lstm_define", "0.002", "none", "1", "141.00", ""],
    ]


def test_trials_that_were_cut_short_say_where_and_are_never_the_lowest(tmp_path, put):
    put(tmp_path / "finished", curve=(150.0, 123.0), config=_config(0.004))
    for seed, status, curve in ((1, "pruned", (90.0,)), (2, "pruned", (92.0,)), (3, "failed", ())):
        put(tmp_path / status, seed=seed, status=status, curve=curve, config=_config(0.01, seed))
    put(tmp_path / "cut", seed=4, status="interrupted", curve=(9.0, 8.0), config=_config(0.004, 4))
    put(tmp_path / "wide", row="awd_lstm_wide", status="pruned", config=_config(0.01))
    trials = read_search(tmp_path)
    assert [(t.seed, t.valid_ppl) for t in trials if t.row == "awd_lstm"] == [
        (1, 123.0), (4, 8.0), (1, 90.0), (2, 92.0), (3, None),
    ]  # fmt: skip
    cells = [row[:3] + row[-1:] for row in details.search(trials, {}).texts()]
    assert cells == [
        ["awd_lstm", "0.004", "1", "lowest"],
        ["awd_lstm", "0.004", "4", "interrupted at update 1320"],
        ["awd_lstm", "0.01", "1, 2", "pruned at update 660"],
        ["awd_lstm", "0.01", "3", "failed before its first validation"],
        ["awd_lstm_wide", "0.01", "1", "pruned at update 1980"],
    ]
    perplexities = [row[3].split("±")[0].strip() for row in details.search(trials, {}).texts()]
    assert perplexities == ["123.00", "8.00", "91.00", "-", "120.00"]


def test_a_malformed_record_is_named(tmp_path):
    assert read_search(tmp_path / "none") == []
    (tmp_path / "record.json").write_text("{")
    with pytest.raises(InputError, match="record.json: it is not valid JSON"):
        read_search(tmp_path)


def test_trials_of_another_budget_are_not_compared(tmp_path, put):
    for updates, lr, ppl in ((500, 0.1, 9.0), (500, 0.2, 8.0), (1000, 0.1, 7.0), (1000, 0.2, 7.5)):
        config = _config(lr)
        config["optimization"]["max_update"] = updates
        put(tmp_path / f"{updates}_{lr}", curve=(ppl,), config=config | {"tensorboard": lr > 0.1})
    grid = details.search(read_search(tmp_path), {})
    assert grid.header[1:3] == ["optimization.lr", "optimization.max_update"]
    assert grid.header[-1] == "of its row and budget"
    assert {(row[1], row[2]) for row in grid.texts() if row[-1] == "lowest"} == {
        ("0.2", "500"),
        ("0.1", "1000"),
    }
