"""The DeFINE unit against a loop per token and group, its size against the built model."""

import itertools
from dataclasses import asdict, replace

import pytest
import torch

from define.core import reference
from define.core.unit import (
    ACTIVATIONS,
    CONNECTIONS,
    NORMS,
    TRANSFORMATIONS,
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
SMALL = UnitConfig(n=4, k=12, m=3, N=3, g_max=2, width_multiple=1)


def config_of(sizes: dict, transformation: str, **fields) -> UnitConfig:
    if transformation.startswith("glt") and sizes["m"] % sizes["g_max"]:
        sizes = sizes | {"m": 3 * sizes["g_max"]}
    return UnitConfig(**sizes, transformation=transformation, width_multiple=1, **fields)


def by_token(unit: DefineUnit, e_i: torch.Tensor) -> torch.Tensor:
    config, parameters = unit.config, dict(unit.named_parameters())
    return torch.stack(
        [
            reference.define_unit(
                row,
                parameters,
                config.transformation,
                config.connection,
                config.N,
                config.g_max,
                config.activation,
                config.norm,
            )
            for row in e_i
        ]
    )


@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: "-".join(str(v) for v in s.values()))
@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
def test_outputs_and_gradients_are_those_of_the_loop(sizes, transformation, connection, randomise):
    for norm, activation, (reduce, bias) in itertools.product(
        NORMS, ACTIVATIONS, [(True, False), (True, True), (False, True)]
    ):
        config = config_of(
            sizes,
            transformation,
            connection=connection,
            norm=norm,
            activation=activation,
            reduce=reduce,
            bias=bias,
        )
        unit = DefineUnit(config).double()
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
    config = replace(SMALL, transformation=transformation, connection=connection, m=4, bias=True)
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


def test_rows_do_not_see_their_neighbours():
    unit = DefineUnit(SMALL)
    e_i = torch.randn(5, 4)
    torch.testing.assert_close(unit(e_i)[2], unit(e_i[2]))


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


def test_no_dropout_draws_nothing():
    unit, e_i = DefineUnit(SMALL).train(), torch.randn(3, 4)
    assert torch.equal(unit(e_i), unit(e_i))


def test_the_gain_scales_the_reduce_step_alone():
    torch.manual_seed(1)
    plain = DefineUnit(SMALL)
    torch.manual_seed(1)
    scaled = DefineUnit(replace(SMALL, reduce_gain=3.0))
    for (name, a), (_, b) in zip(plain.named_parameters(), scaled.named_parameters(), strict=True):
        torch.testing.assert_close(b, 3 * a if name == "reduce.weight" else a)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("reduce", [False, True])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
def test_the_formula_is_the_built_model(transformation, connection, norm, reduce, bias):
    paper_sizes = [
        {"n": 128, "k": 1024, "m": 400, "N": 7, "g_max": 16, "width_multiple": 32},
        {"n": 384, "k": 4096, "m": 384, "N": 3, "g_max": 64, "width_multiple": 32},
        {"n": 512, "k": 2048, "m": 512, "N": 11, "g_max": 64, "width_multiple": 32},
        {"n": 256, "k": 1536, "m": 256, "N": 3, "g_max": 128, "width_multiple": 1},
    ]
    for sizes in [*paper_sizes, *(sizes | {"width_multiple": 1} for sizes in SIZES)]:
        if transformation.startswith("glt") and sizes["m"] % sizes["g_max"]:
            sizes = sizes | {"m": 3 * sizes["g_max"]}
        config = UnitConfig(
            **sizes,
            transformation=transformation,
            connection=connection,
            norm=norm,
            reduce=reduce,
            bias=bias,
        )
        with torch.device("meta"):
            unit = DefineUnit(config)
        assert config.num_parameters() == sum(p.numel() for p in unit.parameters())
        assert unit(torch.empty(2, config.n, device="meta")).shape == (2, config.output_dim)


def test_the_formula_of_the_paper_by_hand():
    config = UnitConfig(n=8, k=32, m=5, N=3, g_max=4, width_multiple=1, norm="none")
    # widths 16, 24, 32 with 4, 2, 1 groups; e_i joins layers 2 and 3
    assert config.layer_shapes() == [(8, 16, 4), (24, 24, 2), (32, 32, 1)]
    assert config.num_parameters() == 8 * 16 // 4 + 24 * 24 // 2 + 32 * 32 + 32 * 5


LEGAL = {"n": 12, "k": 40, "m": 8, "N": 3, "g_max": 4, "width_multiple": 1}


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"n": 10}, ["n = 10", "4 equal groups", "multiple of 4"]),
        ({"n": 9, "g_max": 2}, ["n = 9", "2 equal groups"]),
        ({"n": 7, "g_max": 7, "k": 42}, ["n = 7", "3 equal groups"]),
        (
            {"n": 7, "g_max": 7, "k": 42, "connection": "concat"},
            ["input width of layer 2 = 28", "3 equal groups"],
        ),
        ({"k": 8}, ["k = 8", "n = 12", "k >= n"]),
        ({"k": 42, "transformation": "glt"}, ["k = 42", "4 equal groups"]),
        ({"k": 42, "transformation": "glt", "reduce": False}, ["k = 42", "4 equal groups"]),
        ({"k": 41, "connection": "residual"}, ["k = 41", "odd", "even k"]),
        ({"k": 42, "connection": "residual"}, ["k / 2 = 21", "4 equal groups"]),
        ({"m": 7, "transformation": "glt"}, ["m = 7", "4 equal groups"]),
        ({"m": 7, "transformation": "glt_shuffle"}, ["m = 7", "4 equal groups"]),
        ({"k": 60, "width_multiple": 32}, ["64 wide", "k = 60", "multiples of 32"]),
        (
            {"transformation": "dense"},
            ["transformation = 'dense'", "linear, glt, glt_shuffle, hgt"],
        ),
        ({"connection": "skip"}, ["connection = 'skip'", "mixer, concat, residual, none"]),
        ({"norm": "batch"}, ["norm = 'batch'", "none, layer"]),
        ({"activation": "tanh"}, ["activation = 'tanh'", "none, gelu, relu, swish"]),
        ({"dropout": 1.0}, ["dropout = 1.0", "[0, 1)"]),
        ({"dropout": -0.1}, ["dropout = -0.1", "[0, 1)"]),
        ({"dropout": float("nan")}, ["dropout = nan", "[0, 1)"]),
        ({"reduce_gain": 0.0}, ["reduce_gain = 0.0", "greater than 0"]),
        *(({name: 0}, [f"{name} = 0", "at least 1"]) for name in LEGAL),
        *(({name: -4}, [f"{name} = -4", "at least 1"]) for name in LEGAL),
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


def test_the_config_cannot_be_changed_behind_the_checks():
    with pytest.raises(AttributeError):
        SMALL.n = 5
    assert asdict(SMALL)["n"] == 4


def test_a_norm_without_parameters_is_the_initial_one_and_stays_it():
    learnt, fixed = (DefineUnit(replace(SMALL, norm=norm)) for norm in ("layer", "layer_no_affine"))
    fixed.load_state_dict({k: v for k, v in learnt.state_dict().items() if ".norm." not in k})
    e_i = torch.randn(3, 4)
    torch.testing.assert_close(fixed(e_i), learnt(e_i), rtol=0, atol=0)
    assert not [name for name, _ in fixed.named_parameters() if ".norm." in name]
    assert sum(p.numel() for p in fixed.parameters()) == fixed.config.num_parameters()
    assert fixed.config.num_parameters() == replace(SMALL, norm="none").num_parameters()
