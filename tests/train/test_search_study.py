"""A search: what it draws, and real studies with pruned, failed and interrupted trials."""

import io
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from define.analysis.search import read_search
from define.cli.main import main
from define.errors import InputError
from define.report import details
from define.runs import journal, records
from define.train.compose import compose
from define.train.run_folder import alone
from define.train.search.plan import make_plan
from define.train.search.space import parse
from define.train.search.study import PLAN_FILE, STORAGE_FILE, Search, TrialResult, best_of

SMALL = ["experiment=table_1c/awd_lstm_define", "scale=smoke", "threads=1"]
SPACE = ["optimization.lr=log(1e-3,1e3)", "model.layers=int(2,3)"]


@pytest.fixture(scope="module")
def checked(data_root) -> Search:
    """A search whose config is checked; `like` makes others of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEFINE_DATA", str(data_root))
        return Search(make_plan(SMALL, SPACE))


@pytest.fixture
def like(checked, tmp_path) -> Callable[..., Search]:
    """(name, other fields of the plan) -> a search with a folder of that name."""

    def make(name: str, **fields) -> Search:
        search = copy(checked)
        search.plan, search.folder = replace(checked.plan, **fields), tmp_path / name
        search.folder.mkdir(exist_ok=True)
        return search

    return make


def draw(search: Search, trials: int) -> list[dict]:
    """The settings of the next trials, which a formula judges instead of training."""
    study, settings = search._open(), []
    for _ in range(trials):
        trial = search._drawn(study)
        settings.append(trial.params)
        study.tell(trial, distance(trial.params))
    return settings


def distance(setting: dict) -> float:
    return abs(np.log10(setting["optimization.lr"]) - 2) + setting["model.layers"]


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_a_search_that_goes_on_draws_what_an_uninterrupted_one_draws(sampler, like):
    whole = draw(like("whole", sampler=sampler), 8)
    parts = [draw(like("parts", sampler=sampler), trials) for trials in (2, 1, 5)]
    assert sum(parts, []) == whole
    assert len({str(setting) for setting in whole}) == 8
    assert draw(like("other", sampler=sampler, sampler_seed=4), 8) != whole


def test_tpe_looks_where_trials_were_good(like):
    distances = [distance(setting) for setting in draw(like("tpe"), 20)]
    randomly = [distance(setting) for setting in draw(like("random", sampler="random"), 20)]
    assert distances[:5] == randomly[:5]
    assert np.mean(distances[10:]) < 0.8 * np.mean(randomly[10:])


def test_a_trial_keeps_its_setting_when_it_goes_on(like):
    search = like("kept")
    first = search._drawn(search._open())
    waiting = search._trials(search._open(), 3)
    again, new = next(waiting), next(waiting)
    assert (again.number, again.params) == (0, first.params)
    assert new.number == 1 and new.params != first.params
    assert [t.number for t in waiting] == [2]


def test_a_torn_last_line_of_the_storage_is_taken_back(like):
    search = like("torn")
    first = draw(search, 2)
    path = search.folder / STORAGE_FILE
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":4,"wor')
    assert [trial.params for trial in search._open().get_trials()] == first
    assert path.read_bytes().startswith(whole)


def test_the_best_is_the_lowest_of_the_finished():
    def result(number: int, state: str, ppl: float | None) -> TrialResult:
        return TrialResult(number, {}, state, ppl, None, None, "")

    found = [result(0, "finished", 9.0), result(1, "pruned", 1.0), result(2, "finished", 8.0)]
    assert best_of(found).number == 2
    assert best_of([result(0, "failed", None)]) is None


def test_every_job_has_its_device(like, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    search = like("devices")
    search.base = OmegaConf.merge(search.base, {"common": {"cpu": False}})
    with pytest.raises(InputError, match="--jobs 3 are more than the 2 devices of"):
        search.run(trials=4, jobs=3)
    assert list(search.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({"pruner": "none"}, "pruner was median, is none"),
        ({"sampler_seed": 1}, "sampler_seed was 0, is 1"),
        ({"overrides": (*SMALL, "seed=5")}, "seed=5"),
        ({"space": (parse("model.layers=int(2,3)"),)}, "model.layers=int"),
    ],
)
def test_another_plan_is_refused(like, fields, changed):
    first = like("plan")
    first._keep_plan()
    written = (first.folder / PLAN_FILE).read_bytes()
    sentence = rf"holds a search with another plan \(.*{re.escape(changed)}.* name of its own with"
    with pytest.raises(InputError, match=sentence):
        like("plan", **fields).run(1)
    assert (first.folder / PLAN_FILE).read_bytes() == written
    assert not (first.folder / STORAGE_FILE).exists()


WIDER = ["optimization.lr=log(1e-5,1e3)", "model.layers=int(2,3)"]


def test_wider_ranges_resume_a_search(like):
    """The earlier trials count, and the new ones reach the new part of the range."""
    first = like("wider")
    first._keep_plan()
    settings = draw(first, 3)
    wider = like("wider", space=tuple(map(parse, WIDER)))
    wider._keep_plan()
    kept = json.loads((wider.folder / PLAN_FILE).read_text())
    assert kept["space"] == list(map(str, wider.plan.space))
    assert kept["earlier_spaces"] == [{"space": list(map(str, first.plan.space)), "trials": 3}]
    drawn = draw(wider, 20)
    assert min(setting["optimization.lr"] for setting in drawn) < 1e-3
    assert [trial.params for trial in wider._open().get_trials()] == settings + drawn


@pytest.mark.parametrize(
    "space",
    [
        ["optimization.lr=log(1e-2,1e3)", SPACE[1]],
        ["optimization.lr=uniform(1e-3,1e3)", SPACE[1]],
        [SPACE[0], "model.layers=choice(2,3)"],
        [SPACE[0]],
    ],
)
def test_no_other_space_resumes_a_search(like, space):
    like("space")._keep_plan()
    with pytest.raises(InputError, match="another plan"):
        like("space", space=tuple(map(parse, space)))._keep_plan()


def test_one_process_at_a_time(like):
    search = like("alone")
    with alone(search.folder), pytest.raises(InputError, match="another process is at work in"):
        search.run(1)


EPOCHS = 12
RATES = ("5", "6", "7", "0.00001", "1e30")
"""Three good ones, one that learns nothing, one that diverges."""
ORDER = ("7", "5", "6", "0.00001", "1e30")
"""In which the grid takes them."""
TRAINED = [
    *SMALL,
    "task.train_tokens=1213",
    "dataset.batch_size=8",
    "dataset.batch_size_valid=4",
    f"optimization.max_epoch={EPOCHS}",
    "optimizer.nonmono=100",
]
STUDY = [
    *("search", *TRAINED, "--name", "study", "--trials", "9", "--sampler", "grid"),
    *("--space", f"optimization.lr=choice({','.join(RATES)})"),
]


def test_the_rate_of_a_part_is_searched(like):
    key = "optimization.lr_factors.unit"
    search = like("parts", space=(parse(f"{key}=log(0.01,1)"),))
    trial = search._drawn(search._open())
    config = compose([*SMALL, *search.chosen(trial.params)])
    assert config.optimizer.lr_factor_unit == trial.params[key]


def validated(folder: Path, number: int) -> list[dict]:
    events = journal.read(folder / f"trial_{number}" / journal.FILE_NAME)
    return journal.curve(events, "validated")


def search_until(folder: Path, number: int, validations: int, end: signal.Signals) -> str:
    """Starts the study in a process, ends it when a trial has so many validations; its output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "define", *STUDY],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 240
    while len(validated(folder, number)) < validations and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(end)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == (130 if end == signal.SIGTERM else -end), output
    return output


@pytest.fixture(scope="module")
def study(data_root, tmp_path_factory) -> dict:
    """A study that was ended by SIGTERM in trial 0, killed in trial 1, and then came to its end."""
    root = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEFINE_DATA", str(data_root))
        patch.setenv("DEFINE_RUNS", str(root / "runs"))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.chdir(root)
        folder = root / "runs" / "search" / "study"
        outputs = [search_until(folder, 0, 3, signal.SIGTERM)]
        status = records.read(folder / "trial_0" / records.FILE_NAME).status
        outputs.append(search_until(folder, 1, 2, signal.SIGKILL))
        code, outcome = searched(*STUDY, "--json")
        yield outcome | {"folder": folder, "outputs": outputs, "status": status, "code": code}


def searched(*arguments: str) -> tuple[int, dict]:
    """A search in this process with its outcome."""
    with pytest.MonkeyPatch.context() as patch:
        stream = io.StringIO()
        patch.setattr(sys, "stdout", stream)
        code = main(arguments)
    return code, json.loads(stream.getvalue())


def test_every_trial_comes_to_its_end(study):
    assert [trial["setting"] for trial in study["trials"]] == [
        {"optimization.lr": rate} for rate in ORDER
    ]
    assert [trial["state"] for trial in study["trials"]] == [*["finished"] * 3, "pruned", "failed"]
    assert study["code"] == 1
    perplexities = [trial["valid_ppl"] for trial in study["trials"][:3]]
    assert study["best"] == perplexities.index(min(perplexities))
    best = ORDER[study["best"]]
    assert study["command"] == f"define train {' '.join(TRAINED)} 'optimization.lr=[{best}]'"
    assert study["trials"][4]["reason"].startswith("training has diverged (")


def test_an_interrupted_trial_is_gone_on_with_and_a_finished_one_is_let_be(study):
    assert study["status"] == "interrupted"
    assert study["outputs"][0].splitlines()[-1] == (
        "define: interrupted; run the same command again to resume"
    )
    assert "trial 0: finished with" in study["outputs"][1]
    starts = []
    for number in range(5):
        events = journal.read(study["folder"] / f"trial_{number}" / journal.FILE_NAME)
        starts.append([e["updates"] > 0 for e in events if e["event"] == "started"])
    assert starts == [[False, True], [False, True], [False], [False], [False]]


@pytest.mark.parametrize("number", [0, 1])
def test_it_ends_as_the_same_training_by_hand(study, number, workplace):
    setting = f"optimization.lr=[{ORDER[number]}]"
    assert main(["train", "--quiet", *TRAINED, "seed=11", setting, "run.dir=by_hand"]) == 0
    expected = records.read(workplace / "by_hand" / records.FILE_NAME)
    found = records.read(study["folder"] / f"trial_{number}" / records.FILE_NAME)
    assert found.final == {"valid": expected.final["valid"]}
    assert found.final["valid"]["ppl"] == study["trials"][number]["valid_ppl"]
    curves = [[(e["updates"], e["valid"]) for e in run.epochs] for run in (found, expected)]
    assert curves[0] == curves[1]
    assert found.config["seed"] == 11


def test_a_hopeless_trial_is_pruned(study):
    pruned, folder = study["trials"][3], study["folder"] / "trial_3"
    first = validated(study["folder"], 3)[0]
    assert (pruned["updates"], pruned["valid_ppl"]) == (first["updates"], first["valid"]["ppl"])
    record = records.read(folder / records.FILE_NAME)
    assert record.status == "pruned"
    assert 1 <= len(record.epochs) < EPOCHS


def test_no_trial_reads_the_test_set(study):
    for number in range(5):
        record = records.read(study["folder"] / f"trial_{number}" / records.FILE_NAME)
        assert record.config["run"]["score_test"] is False
        assert list(record.final or {}) == (["valid"] if record.finished else [])
        assert record.provenance["sweep"] == "study"
    assert records.find([study["folder"].parents[1]]) == []


def test_the_trials_are_a_report_s_search(study):
    rows = details.search(read_search(study["folder"]), {}).rows
    assert [row[1] for row in rows] == ["1e-05", "5.0", "6.0", "7.0", "1e+30"]
    marks = [row[-1] for row in rows]
    assert marks[0].startswith("pruned at update ")
    assert marks[4] == "failed before its first validation"
    assert sorted(marks[1:4]) == ["", "", "lowest"]


def test_run_again_it_trains_nothing(study):
    files = sorted(study["folder"].glob(f"trial_*/{records.FILE_NAME}"))
    before = [path.stat().st_mtime_ns for path in files]
    code, outcome = searched(*STUDY, "--json")
    assert (code, outcome["trials"]) == (1, study["trials"])
    assert [path.stat().st_mtime_ns for path in files] == before
