"""Differences of configs, leaf by leaf."""

from define.runs.recipe import Change, changes, comparable


def test_every_leaf_that_differs_in_order():
    old = {"model": {"depth": 7, "map_dim": 128}, "optimization": {"lr": [30.0]}, "seed": 1}
    new = {"model": {"depth": 3, "map_dim": 128}, "optimization": {"lr": [20.0]}, "seed": 1}
    assert changes(old, new) == [
        Change("model.depth", 7, 3),
        Change("optimization.lr", [30.0], [20.0]),
    ]
    assert changes(old, old) == []


def test_a_section_that_one_side_lacks_is_told_by_its_leaves():
    old = {"run": {"translations": {"beam_5": {"beam": 5, "average": 0}}, "protocols": {}}}
    assert changes(old, {}) == [
        Change("run.translations.beam_5.average", 0, None),
        Change("run.translations.beam_5.beam", 5, None),
    ]
    assert changes({}, old)[1] == Change("run.translations.beam_5.beam", None, 5)


def test_nothing_is_not_zero_nor_false():
    old, new = {"a": 0, "b": False, "c": "", "d": 0.0}, {"a": None, "c": None, "d": False}
    assert [change.key for change in changes(old, new)] == ["a", "b", "c"]  # 0.0 == False
    assert changes({"a": {"b": 1}}, {"a": 2}) == [Change("a", {"b": 1}, 2)]


def test_when_a_run_is_validated_is_its_recipe_and_what_it_keeps_is_not():
    sections = ("run", "task", "common")
    config = {name: {} for name in sections} | {"checkpoint": {"patience": -1, "save_dir": "a"}}
    moved = config | {"checkpoint": {"patience": -1, "save_dir": "b"}}
    stopped = config | {"checkpoint": {"patience": 1, "save_dir": "a"}}
    assert comparable(config) == comparable(moved) != comparable(stopped)


def test_whether_the_test_set_is_scored_is_part_of_a_run():
    config = {"run": {"score_test": True, "dir": "a"}, "task": {}, "common": {}, "checkpoint": {}}
    trial = config | {"run": {"score_test": False, "dir": "a"}}
    assert [change.key for change in changes(comparable(config), comparable(trial))] == [
        "run.score_test"
    ]
