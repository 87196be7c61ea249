"""What a search may vary."""

import math

import pytest

from define.errors import InputError
from define.train.compose import compose
from define.train.search.space import Parameter, around_learning_rate, override, parse, parse_all


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("a.b=log(1e-3, 1e-2)", Parameter("a.b", "log", (0.001, 0.01))),
        (" a=uniform(0,0.5) ", Parameter("a", "uniform", (0.0, 0.5))),
        ("a=int(-1,3)", Parameter("a", "int", (-1, 3))),
        ("a=choice(layer,none)", Parameter("a", "choice", ("layer", "none"))),
        ("a=choice([1,2],[3])", Parameter("a", "choice", ("[1,2]", "[3]"))),
    ],
)
def test_specs(text, parameter):
    assert parse(text) == parameter
    assert parse(str(parameter)) == parameter


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a", "is malformed; write"),
        ("a=normal(0,1)", "is malformed; write"),
        ("=log(1,2)", "is malformed; write"),
        ("a=log(0,1)", "both above 0"),
        ("a=uniform(1,1)", "from a lower to a higher number"),
        ("a=uniform(0,inf)", "from a lower to a higher number"),
        ("a=uniform(nan,1)", "from a lower to a higher number"),
        ("a=uniform(0,1,2)", "needs two numbers"),
        ("a=int(1,2.5)", "needs two whole numbers"),
        ("a=choice(x)", "at least two different values"),
        ("a=choice(x,y,x)", "at least two different values"),
        ("a=choice(x,,y)", "at least two different values"),
    ],
)
def test_other_specs_are_refused(text, rule):
    with pytest.raises(InputError, match=rule):
        parse(text)


def test_a_key_has_one_range():
    with pytest.raises(InputError, match="space has a 2 times"):
        parse_all(["a=int(1,2)", "b=int(1,2)", "a=int(3,4)"])


def test_a_grid_has_both_ends_and_even_steps():
    assert parse("a=uniform(1,3)").grid == [1, 1.5, 2, 2.5, 3]
    rates = parse("a=log(1e-4,1e-2)").grid
    assert (rates[0], rates[-1]) == (1e-4, 1e-2)
    assert [math.log10(rate) for rate in rates] == pytest.approx([-4, -3.5, -3, -2.5, -2])
    assert parse("a=int(2,5)").grid == [2, 3, 4, 5]
    assert parse("a=choice(x,y)").grid == ["x", "y"]


def test_a_list_of_the_config_stays_one():
    config = compose(["scale=smoke"])
    assert override("optimization.lr", 0.5, config) == "optimization.lr=[0.5]"
    assert override("optimization.lr", "[1,2]", config) == "optimization.lr=[1,2]"
    assert override("model.layers", 3, config) == "model.layers=3"
    assert compose(["scale=smoke", "optimization.lr=[1e-05]"]).optimization.lr == [1e-5]
    with pytest.raises(InputError, match="model is a section"):
        override("model", 3, config)


def test_the_default_is_the_learning_rate_around_the_recipe_s():
    config = compose(["scale=smoke"])
    assert str(around_learning_rate(config)) == "optimization.lr=log(2.5,40.0)"
