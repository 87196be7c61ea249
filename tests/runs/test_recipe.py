"""The recipe of a run, and differences of configs, leaf by leaf."""

import pytest

from define.runs.recipe import Change, changes, comparable

BEAM = {"run": {"translations": {"beam_5": {"beam": 5, "average": 0}}, "protocols": {}}}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            {"model": {"depth": 7, "map_dim": 128}, "lr": [30.0], "seed": 1},
            {"model": {"depth": 3, "map_dim": 128}, "lr": [20.0], "seed": 1},
            [("lr", [30.0], [20.0]), ("model.depth", 7, 3)],
        ),
        (BEAM, BEAM, []),
        # A section that one side lacks is told by its leaves.
        (
            BEAM,
            {},
            [
                ("run.translations.beam_5.average", 0, None),
                ("run.translations.beam_5.beam", 5, None),
            ],
        ),
        # A missing value is neither 0 nor False.
        ({"a": 0, "d": 0.0}, {"a": None, "d": False}, [("a", 0, None)]),
        ({"a": {"b": 1}}, {"a": 2}, [("a", {"b": 1}, 2)]),
    ],
)
def test_every_leaf_that_differs_in_order(old, new, expected):
    assert changes(old, new) == [Change(*change) for change in expected]
    assert changes(new, old) == [Change(key, b, a) for key, a, b in expected]


@pytest.mark.parametrize(
    ("section", "key", "is_recipe"),
    [
        ("run", "score_test", True),
        ("run", "dir", False),
        ("task", "data", False),
        ("checkpoint", "patience", True),
        ("checkpoint", "save_dir", False),
    ],
)
def test_what_belongs_to_the_recipe(section, key, is_recipe):
    config = {"run": {}, "task": {}, "common": {}, "checkpoint": {}}
    one, other = (comparable(config | {section: {key: value}}) for value in ("a", "b"))
    assert (one != other) == is_recipe
