"""The search table: means per setting, and agreement with the trials' records."""

import json

import pytest

from define.errors import InputError
from define.results.search import read_search, search_grid


def _trial(**values):
    trial = {"row": "awd_lstm", "setting": {"lr": 0.004}, "seed": 1, "valid_ppl": 120.0}
    return {**trial, "record": None, **values}


def _write(folder, trials):
    (folder / "search.json").write_text(json.dumps(trials))


def test_lowest_mean_of_each_row_is_marked(tmp_path):
    trials = [
        _trial(setting={"lr": 0.004}, seed=1, valid_ppl=120.0),
        _trial(setting={"lr": 0.004}, seed=2, valid_ppl=130.0),
        _trial(setting={"lr": 0.008}, seed=1, valid_ppl=123.0),
        _trial(setting={"lr": 0.008}, seed=2, valid_ppl=125.0),
        _trial(row="awd_lstm_define", setting={"lr": 0.002, "norm": "layer"}, valid_ppl=140.0),
    ]
    _write(tmp_path, trials[::-1])
    grid = search_grid(read_search(tmp_path), {"awd_lstm": "AWD-LSTM"})
    assert grid.header == ["row", "lr", "norm", "seeds", "valid ppl", "of its row"]
    assert sorted(grid.rows) == [
        ["AWD-LSTM", "0.004", "-", "2, 1", "125.00±7.07", ""],
        ["AWD-LSTM", "0.008", "-", "2, 1", "124.00±1.41", "lowest"],
        ["awd_lstm_define", "0.002", "layer", "1", "140.00", "lowest"],
    ]


def test_without_the_file_there_are_no_trials(tmp_path):
    assert read_search(tmp_path) == []


def test_a_trial_must_agree_with_its_record(tmp_path, put):
    path = put(tmp_path / "search" / "a", curve=(150.0, 120.0, 125.0))
    name = str(path.relative_to(tmp_path))
    for perplexity in (120.0, 125.0):  # best epoch, end
        _write(tmp_path, [_trial(valid_ppl=perplexity, record=name)])
        assert len(read_search(tmp_path)) == 1
    for wrong in ({"valid_ppl": 119.0}, {"valid_ppl": 150.0}, {"seed": 2}, {"row": "awd_lstm_mlp"}):
        _write(tmp_path, [_trial(**{"record": name, **wrong})])
        with pytest.raises(InputError, match="does not say"):
            read_search(tmp_path)
    _write(tmp_path, [_trial(record="search/gone/record.json")])
    with pytest.raises(InputError, match="gone/record.json cannot be read"):
        read_search(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["{", "[1]", '[{"row": "awd_lstm"}]', json.dumps([_trial(setting=3)]), "{}x", "7"],
)
def test_a_malformed_file_is_named(tmp_path, content):
    (tmp_path / "search.json").write_text(content)
    with pytest.raises(InputError, match="search.json is malformed"):
        read_search(tmp_path)
