"""The folder of a run: one training at a time, and what counts as the same recipe."""

import fcntl
import threading

import pytest

from define.errors import InputError
from define.runs.recipe import comparable, differences, digest
from define.train.run_folder import alone


def test_a_folder_is_held_by_one_training_at_a_time(tmp_path):
    folder = tmp_path / "seed_1"
    with alone(folder):
        with pytest.raises(InputError, match="another process is training in .*seed_1"):
            with alone(folder):
                pass
    with alone(folder):
        pass


def test_the_folder_is_free_again_after_a_failure(tmp_path):
    with pytest.raises(RuntimeError, match="broken"), alone(tmp_path):
        raise RuntimeError("broken")
    with alone(tmp_path):
        pass


def test_differences_name_the_leaf_and_both_values():
    old = {"model": {"depth": 7, "map_dim": 128}, "optimization": {"lr": [30.0]}}
    new = {"model": {"depth": 3, "map_dim": 128}, "optimization": {"lr": [20.0]}, "seed": 1}
    assert differences(old, new) == [
        "model.depth was 7, is 3",
        "optimization.lr was [30.0], is [20.0]",
        "seed was None, is 1",
    ]


def test_places_and_threads_are_not_the_recipe():
    def config(**changed):
        run = {"dir": changed.get("dir", "a"), "row": "awd_lstm", "by_scale": {}}
        task = {"data": changed.get("data", "a"), "bptt": 70}
        threads = changed.get("threads", 1)
        common = {"cpu": True, "plasma_path": changed.get("plasma", "/a")}
        return {
            "threads": threads,
            "run": run,
            "task": task,
            "checkpoint": {"save_dir": changed.get("dir", "a"), "patience": -1},
            "seed": 1,
            "common": common,
        }

    same = config(dir="b", data="b", threads=2)
    assert comparable(config()) == comparable(same)
    assert comparable(config()) == {
        "run": {"row": "awd_lstm"},
        "task": {"bptt": 70},
        "common": {"cpu": True},
        "checkpoint": {"patience": -1},
        "seed": 1,
    }
    assert digest(config()) == digest(same)
    assert digest(config()) != digest(config() | {"seed": 2})


def test_a_look_at_the_lock_keeps_no_training_out(tmp_path):
    with open(tmp_path / ".lock", "w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        looked = threading.Timer(0.05, fcntl.flock, (looking, fcntl.LOCK_UN))
        looked.start()
        with alone(tmp_path):
            pass
        looked.join()
