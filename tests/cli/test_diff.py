"""`define diff`: the recorded runs against recipes and against each other."""

import argparse
import json
from pathlib import Path

import pytest

from define.cli import diff
from define.errors import InputError

RUNS = Path(__file__).parents[2] / "experiments" / "one_rate" / "table_1a" / "records"
RUN = RUNS / "lstm_r3" / "mini" / "wikitext-2" / "seed_2"


@pytest.fixture
def command(capsys):
    def run(*words):
        parser = argparse.ArgumentParser()
        diff.add_parser(parser.add_subparsers())
        args = parser.parse_args(["diff", *map(str, words)])
        assert args.run(args) == 0
        return capsys.readouterr().out

    return run


def _differences(text):
    return {entry["key"]: (entry["against"], entry["run"]) for entry in text["differences"]}


def test_a_mini_run_departs_from_the_papers_recipe(command):
    found = json.loads(command(RUN, "--json"))
    assert {key: found[key] for key in ("table", "row", "scale", "data", "seed", "against")} == {
        "table": "1a",
        "row": "lstm_r3",
        "scale": "mini",
        "data": "wikitext-2",
        "seed": 2,
        "against": "scale paper",
    }
    keys = _differences(found)
    assert list(keys) == sorted(keys)
    assert keys["model.map_dim"] == (256, 64) and keys["model.expand_dim"] == (1024, 256)
    assert keys["task.bptt"] == (140, 35) and keys["run.scale"] == ("paper", "mini")
    assert keys["run.corpus"] == ("wikitext-103", "wikitext-2")
    assert keys["optimization.lr"] == ([20.0] * 14 + [2.0], [0.003])
    # Equal ones, bookkeeping, and what fairseq fills from other keys.
    assert not {"model.depth", "seed", "run.row", "optimizer.lr", "common.seed"} & keys.keys()
    assert not {key for key in keys if key.startswith("optimizer.lr_factor_")}
    assert not {"run.dir", "task.data", "checkpoint.save_dir"} & keys.keys()
    assert keys["checkpoint.save_interval_updates"] == (0, 1000)  # when it is validated


def test_the_table_has_one_line_per_key(command):
    lines = command(RUN / "record.json").splitlines()
    assert max(map(len, lines)) <= 100
    cells = [line.rsplit(maxsplit=2) for line in lines]
    assert ["model.map_dim", "256", "64"] in cells
    (rate,) = [line.split(maxsplit=1)[1] for line in lines if line.startswith("optimization.lr ")]
    assert " ".join(rate.split()) == "[14 x 20.0, 2.0] [0.003]"
    text = command(RUN, "--format", "html")
    assert text.startswith("<!DOCTYPE html>") and '<th scope="row">model.map_dim</th>' in text


def test_two_runs_of_a_row_differ_in_their_seed(command):
    found = json.loads(command(RUN, "--against", RUN.parent / "seed_1", "--json"))
    assert found["against"] == "Table 1a, lstm_r3, scale mini, data wikitext-2, seed 1"
    assert _differences(found) == {"seed": (1, 2)}
    assert "The recipes are the same." in command(RUN, "--against", RUN)


def test_a_run_of_its_own_recipe_has_no_difference_whatever_table_shows_it(command, tmp_path):
    from define.train.compose import compose
    from define.train.run_folder import published_config

    config = compose(["experiment=table_4a/hgt", "scale=mini", "seed=5", f"runs_root={tmp_path}"])
    record = json.loads((RUN / "record.json").read_text())
    record |= {"table": "4b", "row": "hgt", "seed": 5, "config": published_config(config)}
    (tmp_path / "record.json").write_text(json.dumps(record))
    assert json.loads(command(tmp_path, "--against", "mini", "--json"))["differences"] == []
    assert _differences(json.loads(command(tmp_path, "--json")))["model.map_dim"][0] == 384


def test_runs_that_are_not_there_are_refused(command, tmp_path):
    for words in ((tmp_path,), (RUN, "--against", "huge")):
        with pytest.raises(
            InputError, match="neither a run's folder nor its record.json; name one"
        ):
            command(*words)
    record = json.loads((RUN / "record.json").read_text()) | {"row": "lstm_r9"}
    (tmp_path / "record.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="no 'lstm_r9' in experiment/table_1a"):
        command(tmp_path)


def test_long_lists_take_several_lines():
    assert diff.cell([1, 1, 2, 2, 2, 3]) == "[1, 1, 3 x 2, 3]"
    text = diff.cell(list(range(10_000, 10_020)))
    assert max(map(len, text.splitlines())) <= diff.LONGEST + 10
    assert text.replace("\n", " ") == str(list(range(10_000, 10_020)))
    assert (diff.cell(None), diff.cell(False), diff.cell([])) == ("-", "False", "[]")
