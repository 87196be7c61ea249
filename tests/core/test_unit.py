"""The DeFINE unit against a loop per token and group, its size against the built model."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import slow_reference as reference
import torch

from define.core.unit import (
    ACTIVATIONS,
    CONNECTIONS,
    NORMS,
    TRANSFORMATIONS,
    UNITS,
    DefineUnit,
    UnitConfig,
)
from define.errors import InputError

# m = 7 leaves GLT's reduce step (g_max groups) without a legal split, so that it gets m = 12.
SIZES = [
    {"n": 12, "k": 40, "m": 7, "N": 3, "g_max": 4},
    {"n": 12, "k": 36, "m": 6, "N": 4, "g_max": 6},
    {"n": 5, "k": 22, "m": 3, "N": 2, "g_max": 1},
    {"n": 10, "k": 20, "m": 5, "N": 1, "g_max": 5},
]
SMALL = UnitConfig(
    n=4, k=12, m=3, N=3, g_max=2, unit="text", norm="layer", activation="gelu", width_multiple=1
)
FORMS = [("text", False), ("text", True), ("ours", False), ("released", False)]
"""Forms of the unit, and whether groups share a matrix."""


def config_of(sizes: dict, transformation: str, **fields) -> UnitConfig:
    if transformation.startswith("glt") and sizes["m"] % sizes["g_max"]:
        sizes = sizes | {"m": 3 * sizes["g_max"]}
    if fields["unit"] == "released":
        sizes = sizes | {"N": sizes["N"] + 1}
        if transformation == "hgt":  # whose groups are powers of two
            sizes = sizes | {"n": 12, "k": 40, "g_max": min(sizes["g_max"], 4)}
    return UnitConfig(**sizes, transformation=transformation, width_multiple=1, **fields)


def by_token(unit: DefineUnit, e_i: torch.Tensor) -> torch.Tensor:
    parameters = dict(unit.named_parameters())
    names = ("unit", "transformation", "connection", "N", "g_max", "activation", "norm")
    form = [getattr(unit.config, name) for name in names]
    return torch.stack([reference.define_unit(row, parameters, *form) for row in e_i])


@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: "-".join(str(v) for v in s.values()))
@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
def test_outputs_and_gradients_are_those_of_the_loop(sizes, transformation, connection, randomise):
    for (form, share), norm, activation, reduce in itertools.product(
        FORMS, NORMS, ACTIVATIONS, [True, False]
    ):
        fields = {"norm": norm, "activation": activation, "reduce": reduce}
        fields |= {"unit": form, "share_groups": share, "connection": connection}
        config = config_of(sizes, transformation, **fields)
        unit = DefineUnit(config).double().eval()
        randomise(unit)
        e_i = torch.randn(2, config.n, dtype=torch.float64, requires_grad=True)
        e_o, expected = unit(e_i), by_token(unit, e_i)
        assert e_o.shape == (2, config.output_dim)
        torch.testing.assert_close(e_o, expected)

        inputs = [e_i, *unit.parameters()]
        upstream = torch.randn_like(e_o)
        torch.testing.assert_close(
            torch.autograd.grad(e_o, inputs, upstream),
            torch.autograd.grad(expected, inputs, upstream),
        )


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("transformation", ["glt_shuffle", "hgt"])
def test_gradients_are_those_of_finite_differences(transformation, connection, randomise):
    config = replace(
        SMALL, unit="released", transformation=transformation, connection=connection, m=4
    )
    unit = DefineUnit(config).double()
    randomise(unit)
    e_i = torch.randn(3, config.n, dtype=torch.float64, requires_grad=True)
    names, values = zip(*unit.named_parameters(), strict=True)

    def run(e_i, *values):
        return torch.func.functional_call(unit, dict(zip(names, values, strict=True)), e_i)

    assert torch.autograd.gradcheck(run, (e_i, *values))


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3), (2, 0, 3)])
def test_leading_dimensions_are_kept(shape, connection):
    unit = DefineUnit(replace(SMALL, connection=connection))
    e_i = torch.randn(*shape, 4)
    e_o = unit(e_i)
    assert e_o.shape == (*shape, 3)
    torch.testing.assert_close(e_o, unit(e_i.reshape(-1, 4)).reshape(*shape, 3))


def test_mixer_and_concatenation_differ_where_there_are_groups():
    mixer, concat = DefineUnit(SMALL), DefineUnit(replace(SMALL, connection="concat"))
    concat.load_state_dict(mixer.state_dict())
    e_i = torch.randn(3, 4)
    assert torch.equal(mixer(e_i), concat(e_i))  # 2, 1, 1 groups: later layers have one group
    wide = replace(SMALL, transformation="glt", m=4)
    mixer, concat = DefineUnit(wide), DefineUnit(replace(wide, connection="concat"))
    concat.load_state_dict(mixer.state_dict())
    assert not torch.allclose(mixer(e_i), concat(e_i))


def test_dropout_acts_in_training_only_and_scales():
    config = replace(SMALL, N=1, k=4000, reduce=False, norm="none", activation="none", dropout=0.3)
    unit, e_i = DefineUnit(config), torch.randn(4)
    dropped = unit.train()(e_i)
    whole = unit.eval()(e_i)
    kept = dropped != 0
    assert kept.float().mean() == pytest.approx(0.7, abs=0.03)
    torch.testing.assert_close(dropped[kept], whole[kept] / 0.7)


@pytest.mark.parametrize("form, share", FORMS)
@pytest.mark.parametrize("reduce", [False, True])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
def test_the_formula_is_the_built_model(transformation, connection, norm, reduce, form, share):
    paper_sizes = [
        {"n": 128, "k": 1024, "m": 400, "N": 7, "g_max": 16},
        {"n": 384, "k": 4096, "m": 384, "N": 3, "g_max": 64},
        {"n": 512, "k": 2048, "m": 512, "N": 11, "g_max": 64},
        {"n": 256, "k": 1536, "m": 256, "N": 3, "g_max": 128},
    ]
    for sizes in [*paper_sizes, *SIZES]:
        fields = {"norm": norm, "reduce": reduce, "share_groups": share, "connection": connection}
        config = config_of(sizes, transformation, unit=form, **fields)
        with torch.device("meta"):
            unit = DefineUnit(config)
        assert config.num_parameters() == sum(p.numel() for p in unit.parameters())
        assert unit(torch.empty(2, config.n, device="meta")).shape == (2, config.output_dim)


def test_the_formula_of_the_paper_by_hand():
    config = UnitConfig(n=8, k=32, m=5, N=3, g_max=4, unit="text", width_multiple=1)
    # widths 16, 24, 32 with 4, 2, 1 groups; e_i joins layers 2 and 3
    assert config.layer_shapes() == [(8, 16, 4), (24, 24, 2), (32, 32, 1)]
    assert config.num_parameters() == 8 * 16 // 4 + 24 * 24 // 2 + 32 * 32 + 32 * 5
    # One matrix for all groups counts once.
    shared = replace(config, share_groups=True).num_parameters()
    assert shared == 8 * 16 // 16 + 24 * 24 // 4 + 32 * 32 + 32 * 5


def test_the_released_units_groups_widths_and_size_by_hand():
    config = UnitConfig(n=64, k=512, m=128, N=5, g_max=4)
    # groups 1, 2, 4 and again 1, 2, in reverse; widths from 64 to 512 in four steps, then m
    assert config.layer_shapes() == [
        (64, 176, 2),
        (176 + 64, 288, 1),
        (288 + 64, 400, 4),
        (400 + 64, 512, 2),
        (512 + 64, 128, 1),
    ]
    assert config.reduce_shape() == (128 + 64, 128, 1)
    products = 64 * 64 + 64 * 176 // 2 + 240 * 288 + 352 * 400 // 4 + 464 * 512 // 2
    products += 576 * 128 + 192 * 128
    biases = 64 + 176 + 288 + 400 + 512 + 128 + 128
    norms = 2 * (64 + 176 // 2 + 288 + 400 // 4 + 512 // 2 + 128 + 128)
    assert config.num_parameters() == products + biases + norms


def wave(shape: tuple[int, ...], phase: float, base: float = 0.0, size: float = 0.3):
    """Values that are the same on every machine."""
    count = torch.arange(math.prod(shape), dtype=torch.float64)
    return (base + size * torch.sin(count * 1.7 + phase)).reshape(shape)


ORIGINAL = json.loads(Path(__file__).with_name("released_unit.json").read_text())
"""What sacmehta/delight's DExTraUnit gives (commit cc499c5, is_iclr_version, evaluation mode) for
the parameters and inputs that `wave` makes, with int for np.int, which numpy has removed."""


@pytest.mark.parametrize("original", ORIGINAL, ids=lambda o: f"n{o['n']}-N{o['N']}")
def test_the_released_unit_is_the_authors_own(original):
    sizes = {key: original[key] for key in ("n", "k", "m", "N", "g_max", "projection_dim")}
    unit = DefineUnit(UnitConfig(**sizes)).double().eval()
    assert unit.config.groups == original["groups"]
    phase, parameters = 0.0, []
    for layer in (unit.input, *unit.layers, unit.reduce):
        for parameter, base in (
            (layer.linear.weight, 0.0),
            (layer.linear.bias, 0.0),
            (layer.norm.weight, 1.0),
            (layer.norm.bias, 0.0),
        ):
            phase += 1.0
            g, n_in, n_out = (*parameter.shape, 1, 1)[:3]
            if parameter.ndim == 3 and g == 1:  # the original has (out, in) there
                value = wave((n_out, n_in), phase, base).t()[None]
            else:
                value = wave(tuple(parameter.shape), phase, base)
            parameter.data.copy_(value)
            parameters.append(parameter)
    e_i = wave((2, unit.config.n), 0.5, size=1.0).requires_grad_()
    e_o = unit(e_i)
    upstream = wave(tuple(e_o.shape), 0.25, size=1.0)
    grad, *grads = torch.autograd.grad(e_o, [e_i, *parameters], upstream)
    for name, ours in (
        ("e_o", e_o),
        ("grad_e_i", grad),
        ("grad_norms", torch.stack([g.norm() for g in grads])),
    ):
        theirs = torch.tensor(original[name], dtype=torch.float64)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_text_is_a_linear_map():
    unit = DefineUnit(replace(SMALL, norm="none", activation="none")).double()
    a, b = torch.randn(2, 4, dtype=torch.float64)
    torch.testing.assert_close(unit(2 * a - 3 * b), 2 * unit(a) - 3 * unit(b))


def test_ours_does_not_see_the_size_of_e_i():
    config = UnitConfig(n=8, k=24, m=5, N=2, g_max=2, unit="ours", width_multiple=1)
    unit, e_i = DefineUnit(config).double(), torch.randn(3, 8, dtype=torch.float64)
    torch.testing.assert_close(unit(100 * e_i), unit(e_i), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "config, fewest",
    [
        (UnitConfig(n=384, k=1024, m=384, N=7, g_max=32), 12),  # 32 groups of e_i
        (UnitConfig(n=64, k=512, m=128, N=3, g_max=16), 16),  # 4, 2, 1 groups
        (UnitConfig(n=64, k=512, m=128, N=3, g_max=64, unit="text"), 1),
        (UnitConfig(n=64, k=512, m=32, N=3, g_max=16, transformation="glt"), 2),  # of e_o
    ],
    ids=lambda value: str(getattr(value, "unit", value)),
)
def test_the_fewest_features_of_a_group(config, fewest):
    assert config.min_group_features == fewest


def test_the_form_fills_in_what_is_left_open():
    sizes = {"n": 8, "k": 32, "m": 4, "N": 2, "g_max": 2}
    for form, own in UNITS.items():
        config = UnitConfig(**sizes, unit=form)
        assert {name: getattr(config, name) for name in own} == own
        assert UnitConfig(**sizes, unit=form, dropout=0.5).dropout == 0.5


LEGAL = {"n": 12, "k": 40, "m": 8, "N": 3, "g_max": 4, "unit": "text", "width_multiple": 1}
NUMBERS = [name for name in LEGAL if name != "unit"]


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"n": 10}, ["model.map_dim (n) = 10", "4 equal", "multiple of 4", "model.max_groups"]),
        ({"n": 9, "g_max": 2}, ["(n) = 9", "2 equal groups"]),
        ({"n": 7, "g_max": 7, "k": 42}, ["(n) = 7", "3 equal groups"]),
        (
            {"n": 7, "g_max": 7, "k": 42, "connection": "concat"},
            ["input width of layer 2 = 28", "3 equal groups"],
        ),
        ({"k": 8}, ["model.expand_dim (k) = 8", "(n) = 12", "larger model.expand_dim"]),
        ({"k": 42, "transformation": "glt"}, ["(k) = 42", "4 equal groups"]),
        ({"k": 42, "transformation": "glt", "reduce": False}, ["(k) = 42", "4 equal groups"]),
        ({"k": 41, "connection": "residual"}, ["(k) = 41", "odd", "even number"]),
        ({"k": 42, "connection": "residual"}, ["(k) / 2 = 21", "4 equal groups"]),
        ({"m": 7, "transformation": "glt"}, ["model.reduce_dim (m) = 7", "4 equal groups"]),
        ({"m": 7, "transformation": "glt_shuffle"}, ["model.reduce_dim (m) = 7", "4 equal groups"]),
        ({"k": 60, "width_multiple": 32}, ["64 wide", "(k) = 60", "multiple of 32"]),
        ({"g_max": 100}, ["layer 1 of model.depth (N) = 3", "smaller model.max_groups (g_max)"]),
        (
            {"transformation": "dense"},
            ["transformation = 'dense'", "linear, glt, glt_shuffle, hgt"],
        ),
        ({"connection": "skip"}, ["connection = 'skip'", "mixer, concat, residual, none"]),
        ({"norm": "batch"}, ["norm = 'batch'", "none, layer"]),
        ({"activation": "tanh"}, ["activation = 'tanh'", "none, gelu, relu, swish"]),
        ({"dropout": 1.0}, ["model.unit_dropout = 1.0", "below 1"]),
        ({"dropout": -0.1}, ["model.unit_dropout = -0.1", "below 1"]),
        ({"dropout": float("nan")}, ["model.unit_dropout = nan", "below 1"]),
        ({"unit": "mine"}, ["unit = 'mine'", "released, text, ours"]),
        ({"unit": "released", "N": 1}, ["model.depth (N) = 1", "at least 2", "released"]),
        ({"projection_dim": 8}, ["unit_projection_dim = 8", "unit = released"]),
        (
            {"unit": "released", "projection_dim": 44},
            ["(k) = 40", "unit_projection_dim = 44", "larger model.expand_dim"],
        ),
        (
            {"unit": "released", "projection_dim": 6},
            ["unit_projection_dim = 6", "4 equal groups"],
        ),
        (
            {"unit": "released", "transformation": "glt", "m": 7},
            ["model.reduce_dim (m) = 7", "4 equal groups"],
        ),
        *(({name: 0}, [name, "= 0 must be at least 1"]) for name in NUMBERS),
        *(({name: -4}, [name, "= -4 must be at least 1"]) for name in NUMBERS),
    ],
    ids=str,
)
def test_illegal_dimensions_are_refused_with_their_value_and_rule(fields, words):
    UnitConfig(**LEGAL)
    with pytest.raises(InputError) as caught:
        UnitConfig(**LEGAL | fields)
    for word in words:
        assert word in str(caught.value)


def test_m_is_free_where_the_reduce_step_has_one_group_or_is_left_out():
    UnitConfig(**LEGAL | {"m": 7})
    assert UnitConfig(**LEGAL | {"m": 7}, transformation="glt", reduce=False).output_dim == 40
