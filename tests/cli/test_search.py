"""`define search`: bad input is refused before anything is written; what it prints."""

import shlex
import subprocess
import sys

import pytest

from define.cli import search as cli_search
from define.cli.main import main
from define.train.search.plan import PRUNERS, SAMPLERS, SEED, make_plan
from define.train.search.study import Search, TrialResult

SMALL = ["experiment=table_1c/awd_lstm_define", "scale=smoke", "threads=1"]
RATE = ["--space", "optimization.lr=log(1,9)"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--space", "optimization.lr=log(1)"], "space 'optimization.lr=log(1)' needs two numbers"),
        (["--space", "model.nonsense=int(1,2)"], "config: model.nonsense is unknown;"),
        (["--space", "model=int(1,2)"], "space: model is a section of the config;"),
        (
            ["--space", "model.output_dropout=uniform(0,2)"],
            "model.output_dropout = 2.0 must be",
        ),
        (["--space", "model.layers=uniform(1,3)"], "config: Error merging override model.layers"),
        (["--space", "run.dir=choice(a,b)"], "run.dir is set for each trial by the search;"),
        ([*RATE, *RATE], "space has optimization.lr 2 times;"),
        ([*RATE, "run.score_test=true"], "run.score_test is set for each trial by the search;"),
        ([*RATE, "checkpoint.save_dir=x"], "checkpoint.save_dir is set for each trial"),
        ([*RATE, "seed=1,2"], "config: seed=1,2 has several values;"),
        ([*RATE, "optimization.max_epoch=0"], "training would never end;"),
        ([*RATE, "data_root=/nowhere"], "There is no prepared corpus in /nowhere"),
        ([*RATE, "--trials", "0"], "--trials 0 must be at least 1"),
        ([*RATE, "--jobs", "0"], "--jobs 0 must be at least 1"),
        ([*RATE, "--name", "../x"], "--name '../x' must be letters, digits,"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(arguments, sentence, workplace, capsys):
    assert main(["search", *SMALL, *arguments]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"define: {sentence}")
    assert list(workplace.iterdir()) == []


def test_what_is_left_open_is_chosen_and_said(workplace):
    plan = make_plan(SMALL)
    assert plan.overrides == (*SMALL, f"seed={SEED}")
    assert [str(parameter) for parameter in plan.space] == ["optimization.lr=log(2.5,40.0)"]
    assert plan.name.startswith("table_1c_awd_lstm_define_smoke_")
    others = [make_plan([*SMALL, "seed=5"]), make_plan(SMALL, ["optimization.lr=log(1,9)"])]
    assert len({plan.name, *(other.name for other in others)}) == 3
    assert others[0].overrides == (*SMALL, "seed=5")
    assert make_plan(SMALL) == plan


def test_the_command_offers_what_there_is():
    assert cli_search.SAMPLERS == tuple(SAMPLERS)
    assert cli_search.PRUNERS == tuple(PRUNERS)


def test_the_table_has_every_trial(monkeypatch, workplace, capsys):
    def setting(rate: float) -> dict:
        return {"optimization.lr": rate, "model.output_dropout": 0.123456789}

    results = [
        TrialResult(0, setting(3.0), "finished", 50.0, 100, 1.25, ""),
        TrialResult(1, setting(1.23456789), "finished", 49.0, 100, 1.25, ""),
        TrialResult(2, setting(2.0), "pruned", 48.0, 20, 0.5, ""),
        TrialResult(3, setting(9.0), "failed", None, None, None, "training has diverged"),
        TrialResult(4, {}, "interrupted", None, None, None, ""),
    ]
    monkeypatch.setattr(Search, "run", lambda self, trials, jobs: results)
    space = ["--space", "model.output_dropout=uniform(0,0.5)", "--name", "study"]
    assert main(["search", *SMALL, "seed=5", *RATE, *space]) == 1
    lines = capsys.readouterr().out.splitlines()
    rows = [" ".join(line.split()) for line in lines]
    for row in (
        "0 3 0.1235 finished 50.00 1.2",
        "1 1.235 0.1235 finished 49.00 1.2 best",
        "2 2 0.1235 pruned at update 20 48.00 0.5",
        "3 9 0.1235 failed - -",
        "4 - - interrupted - -",
        "Trial 3 failed: training has diverged",
        "Interrupted trials continue when the search is run again.",
        "Trial 1 is the best; this trains it and scores its test set:",
    ):
        assert row in rows
    assert shlex.split(lines[-1]) == [
        *("define", "train", *SMALL, "optimization.lr=[1.23456789]"),
        "model.output_dropout=0.123456789",
    ]


WITHOUT_OPTUNA = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "optuna":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
from define.cli.main import main
assert "torch" not in sys.modules
sys.exit(main(["search"]))
"""


def test_without_optuna_it_says_what_to_install(workplace):
    done = subprocess.run([sys.executable, "-c", WITHOUT_OPTUNA], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        "define: define search needs Optuna, which is not installed; run "
        "`pip install 'define-reproduction[sweep]'`\n"
    )
