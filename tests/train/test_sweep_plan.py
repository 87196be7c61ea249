"""Plans of sweeps: jobs, names, faults, and the table of the dry run."""

import json
import re
from datetime import datetime, timedelta, timezone

import pytest

from define.cli.main import main
from define.cli.sweep_table import table
from define.errors import InputError
from define.train.compose import compose
from define.train.dry_run import budget
from define.train.sweep.display import progress
from define.train.sweep.plan import default_name, plan, seeds_override, split

ROW = "experiment=table_1c/awd_lstm"
ROWS = f"{ROW},table_1c/awd_lstm_define"
SMOKE = "scale=smoke"
WORLD = "distributed_training.distributed_world_size=2"


def test_jobs_are_all_combinations_in_order():
    own, jobs = split(["a=1,2", "hydra/launcher=joblib", "seed=range(1,3)", "c=x"])
    assert own == ["hydra/launcher=joblib"]
    assert jobs == [
        ["a=1", "seed=1", "c=x"],
        ["a=1", "seed=2", "c=x"],
        ["a=2", "seed=1", "c=x"],
        ["a=2", "seed=2", "c=x"],
    ]
    assert split([]) == ([], [[]])
    with pytest.raises(InputError, match="override"):
        split(["a=[1,"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1-3", "1,2,3"), ("1,2,5", "1,2,5"), ("7", "7"), ("1-2,2,4-5", "1,2,4,5")],
)
def test_seeds_are_a_list_with_ranges(text, expected):
    assert seeds_override(text) == f"seed={expected}"


@pytest.mark.parametrize("text", ["", "3-1", "a", "1-", "-1", "1;2", "1.5"])
def test_other_seeds_are_one_sentence(text):
    with pytest.raises(InputError, match=re.escape(f"--seeds {text!r} is not a list of seeds")):
        seeds_override(text)


def test_the_same_jobs_have_the_same_name():
    def name(*overrides):
        return default_name(split(overrides)[1])

    assert name(ROWS, SMOKE, "seed=1,2") == "table_1c-smoke-4187444e"
    assert name(ROWS, SMOKE, "seed=range(1,3)") == name(ROWS, SMOKE, "seed=1,2")
    assert name(ROWS, SMOKE, "seed=1,3") != name(ROWS, SMOKE, "seed=1,2")
    three = [f"experiment=table_{t}/x" for t in ("1a", "2", "3")]
    assert default_name([[word] for word in three]).startswith("3_tables-")
    assert default_name([[]]).startswith("sweep-")


def test_a_plan_has_folder_size_and_place_of_every_job(workplace):
    found = plan([ROWS, SMOKE, "seed=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"])
    assert not found.slurm
    assert found.hydra_overrides == ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    assert found.runs == workplace / "runs" and found.repeated == 0
    assert [p.job.run_dir for p in found.jobs] == [
        f"table_1c/{row}/smoke/python_docs/seed_{seed}"
        for row in ("awd_lstm", "awd_lstm_define")
        for seed in (1, 2)
    ]
    job = found.jobs[3].job
    assert list(job.overrides) == ["experiment=table_1c/awd_lstm_define", SMOKE, "seed=2"]
    assert (job.number, job.table, job.row, job.seed) == (4, "1c", "awd_lstm_define", 2)
    assert (job.scale, job.corpus, job.cpu) == ("smoke", "python_docs", True)
    assert found.jobs[0].job.parameters == found.jobs[1].job.parameters != job.parameters
    assert len({p.job.config_sha256 for p in found.jobs}) == 4
    assert not list(workplace.iterdir())


def test_jobs_of_one_run_are_planned_once(workplace):
    found = plan([ROW, SMOKE, "seed=1,2,1", "threads=1"])
    assert [p.job.seed for p in found.jobs] == [1, 2] and found.repeated == 1


def test_two_configs_for_one_folder_are_refused(workplace):
    with pytest.raises(InputError, match="jobs 1 and 2 .*optimization.lr=.2.* would train diff"):
        plan([ROW, SMOKE, "optimization.lr=[1],[2]"])
    found = plan([ROW, SMOKE, "optimization.lr=[1],[2]", "run.dir=r_${optimization.lr.0}"])
    assert [p.job.run_dir for p in found.jobs] == [f"{workplace}/r_1.0", f"{workplace}/r_2.0"]


def test_a_job_that_cannot_be_composed_or_built_leaves_the_others(workplace):
    found = plan([ROW, SMOKE, "model.layers=3,0,three", "run.dir=layers_${model.layers}"])
    good, unbuilt, uncomposed = found.jobs
    assert good.fault is None
    assert "layers = 0 must be at least 1" in unbuilt.fault
    assert "three" in uncomposed.fault
    assert uncomposed.job.table is None and uncomposed.job.run_dir is None


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ([ROW, "scale=vast,huge"], "vast"),
        ([ROW, SMOKE, WORLD], "distributed_world_size = 2 must be 1 for define, which trains on"),
        ([ROW, SMOKE, "model.layers=0"], "layers = 0 must be at least 1"),
        ([ROW, SMOKE, "hydra/launcher=rocket"], "rocket"),
        (
            [ROW, SMOKE, "hydra/launcher=joblib", "hydra.launcher.jobs=2"],
            "hydra.launcher.jobs is unknown",
        ),
        ([ROW, SMOKE, "hydra/launcher=joblib", "hydra.launcher.n_jobs=two"], "two"),
        ([ROW, SMOKE, "hydra/launcher=slurm"], "needs SLURM's commands sbatch and srun"),
        ([ROW, SMOKE, "--name", "../x"], "--name '../x' is no file name"),
        ([ROW, SMOKE, "--seeds", "3-1"], "--seeds '3-1' is not a list"),
        ([ROW, SMOKE, "--seeds", "1-3", "seed=1"], "--seeds 1-3 and seed=1 both choose"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(overrides, sentence, workplace, capsys):
    assert main(["train", "-m", *overrides]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("define: ") and captured.err.count("\n") == 1, captured.err
    assert sentence in captured.err
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["experiment=table_9/x"], "no 'table_9' in experiment; take one of table_1a, table_1b,"),
        (["experiment=table_4a/x"], "take one of glt, glt_shuffle, hgt, linear, linear_text\n"),
        ([ROW, SMOKE, "--seeds", "1-3"], "define: --seeds is for sweeps; add -m\n"),
        ([ROWS, SMOKE], f"{ROWS} has several values; train them with `define train -m`"),
        ([ROW, "optimization.lr"], "'optimization.lr' is no override; write KEY=VALUE"),
    ],
)
def test_what_cannot_be_composed_says_what_can(overrides, sentence, workplace, capsys):
    assert main(["train", *overrides]) == 2
    assert sentence in capsys.readouterr().err
    assert list(workplace.iterdir()) == []


def test_a_name_stands_for_its_jobs(workplace, capsys):
    folder = workplace / "runs" / "sweeps" / "mine"
    command = ["train", "-m", ROW, SMOKE, "--name", "mine", "seed=1"]
    folder.mkdir(parents=True)
    other = {"number": 1, "overrides": [ROW, "seed=2"]}
    fields = ("table", "row", "scale", "corpus", "seed", "run_dir", "cpu", "parameters")
    other |= dict.fromkeys((*fields, "config_sha256"))
    about = {"schema": 1, "name": "mine", "command": "define train -m seed=2", "created": "now"}
    text = json.dumps({**about, "jobs": [other]})
    (folder / "sweep.json").write_text(text, encoding="utf-8")
    assert main(command) == 2
    assert "has other jobs: define train -m seed=2; take another" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["sweep.json"]


def test_the_dry_run_lists_jobs_with_size_and_cost(workplace, capsys):
    overrides = [ROWS, SMOKE, "optimization.max_epoch=2", "hydra/launcher=slurm"]
    assert main(["train", "-m", "--dry-run", *overrides, "--seeds", "1-2"]) == 0
    output = capsys.readouterr().out
    assert list(workplace.iterdir()) == []
    grid = table(plan([*overrides, "seed=1,2"]))
    assert grid.title.endswith(": smoke, python_docs, optimization.max_epoch=2")
    for row in grid.rows:
        assert re.search(r" +".join(map(re.escape, row)), output), row
    size = budget(compose([ROW, SMOKE, "optimization.max_epoch=2"]), 10_000)
    assert (size.updates, size.tokens) == (40, (8_000,))
    assert list(grid.rows[1])[2:4] == ["40", "8,000"] and grid.rows[1][-1] == "would run"
    assert [row[0] for row in grid.rows][1:3] == [
        "2 1c/awd_lstm seed 2",
        "3 1c/awd_lstm_define seed 1",
    ]
    assert "4 of 4 jobs would run: 160 updates, 32,000 tokens, at most" in output
    total = float(re.search(r"at most (\S+) floating-point", output)[1])
    assert total == pytest.approx(sum(float(row[4]) for row in grid.rows), rel=0.01)


def test_the_dry_run_shows_what_differs_and_what_cannot_run(workplace):
    found = table(plan([ROW, SMOKE, "model.layers=3,0", "run.dir=layers_${model.layers}"]))
    assert [(row[0], row[-1]) for row in found.rows] == [
        ("1 1c/awd_lstm smoke python_docs seed 1 model.layers=3", "would run"),
        (f"2 {ROW} {SMOKE} model.layers=0", "cannot run"),
    ]
    assert found.notes[0].startswith("1 of 2 jobs would run")
    assert found.notes[1].startswith("Job 2 cannot run: model.layers = 0 must be at least 1")


def seconds_ago(seconds: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(seconds=seconds)).isoformat(timespec="seconds")


def test_progress_is_that_of_the_current_start():
    def event(ago: float, kind: str, updates: int, **fields) -> dict:
        return {"time": seconds_ago(ago), "event": kind, "updates": updates, **fields}

    earlier = [event(900, "started", 0), event(500, "trained", 150)]
    earlier.insert(1, event(800, "validated", 100, valid={"ppl": 98.312}))
    resumed = event(100, "started", 100)
    assert progress(earlier, seconds_ago(110), 900) == "starting"
    at_first = progress([*earlier, resumed], seconds_ago(110), 900)
    assert at_first == "update 100 of 900, valid ppl 98.31"
    # 300 updates in 100 s, so that 500 more take 167 s.
    told = progress([*earlier, resumed, event(0, "trained", 400)], seconds_ago(110), 900)
    left = re.fullmatch(r"update 400 of 900, valid ppl 98.31, 0:02:(\d\d) left", told)
    assert 43 <= int(left[1]) <= 50
    assert progress([resumed, event(0, "trained", 400)], seconds_ago(110), None) == "update 400"
    ended = progress([resumed, event(0, "trained", 900)], seconds_ago(110), 900)
    assert ended == "update 900 of 900, scoring"
