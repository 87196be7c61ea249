"""Input layers from their config: what is built, its widths, and what is refused."""

import pytest
import torch
from torch import nn

from define.core.inputs import InputConfig, build_input, build_unit
from define.core.unit import DefineUnit
from define.errors import InputError


@pytest.mark.parametrize(
    "fields, width, parameters",
    [
        ({"input": "table"}, 12, 0),
        ({"input": "linear"}, 7, 12 * 7),
        ({"input": "mlp"}, 7, 12 * 40 + 40 * 7),
        ({"input": "mlp", "unit_bias": True}, 7, 12 * 40 + 40 + 40 * 7 + 7),
        ({"input": "define", "unit_norm": "none"}, 7, 72 + 576 + 1760 + 280),
        ({"input": "define", "without_reduce": True}, 40, 72 + 576 + 1760 + 2 * (6 + 16 + 40)),
        (
            {"input": "define", "without_reduce": True, "connection": "residual"},
            20,
            60 + 200 + 400 + 2 * (5 + 10 + 20),
        ),
    ],
)
def test_width_and_size(fields, width, parameters, make_embedding):
    embedding = make_embedding(**fields)
    assert embedding.embedding_dim == width == embedding(torch.tensor([3])).shape[-1]
    assert embedding.num_embeddings == 23
    unit = embedding.unit
    assert (0 if unit is None else sum(p.numel() for p in unit.parameters())) == parameters


def test_the_mlp_is_linear_activation_linear(make_embedding):
    embedding = make_embedding(input="mlp", unit_activation="relu", unit_bias=True)
    first, second = embedding.unit[0], embedding.unit[-1]
    e_i = embedding.map.weight
    hidden = (e_i @ first.weight[0] + first.bias).clamp(min=0)
    torch.testing.assert_close(embedding(torch.arange(23)), hidden @ second.weight[0] + second.bias)


def test_every_field_reaches_the_unit():
    config = InputConfig(
        map_dim=6,
        expand_dim=24,
        reduce_dim=9,
        depth=2,
        max_groups=3,
        transformation="glt_shuffle",
        connection="concat",
        without_reduce=True,
        unit_norm="none",
        unit_activation="swish",
        unit_dropout=0.2,
        unit_bias=True,
        width_multiple=1,
        reduce_gain=0.5,
    )
    unit = build_unit(config)
    assert isinstance(unit, DefineUnit)
    assert vars(unit.config) == {
        "n": 6,
        "k": 24,
        "m": 9,
        "N": 2,
        "g_max": 3,
        "transformation": "glt_shuffle",
        "connection": "concat",
        "reduce": False,
        "norm": "none",
        "activation": "swish",
        "dropout": 0.2,
        "bias": True,
        "width_multiple": 1,
        "reduce_gain": 0.5,
    }
    assert [module.p for module in unit.modules() if isinstance(module, nn.Dropout)] == [0.2, 0.2]


def test_every_field_has_a_help_text():
    assert all(field.metadata["help"] for field in InputConfig.__dataclass_fields__.values())


@pytest.mark.parametrize(
    "fields, num_types, words",
    [
        ({"input": "lookup"}, 5, ["input = 'lookup'", "table, linear, mlp, define"]),
        ({}, 0, ["0 types", "at least 1"]),
        ({"input": "table", "map_dim": 0}, 5, ["0 dimensions", "at least 1"]),
        ({"input": "linear", "reduce_dim": 0}, 5, ["out_features = 0"]),
        ({"input": "mlp", "expand_dim": 0}, 5, ["out_features = 0"]),
        ({"input": "mlp", "unit_activation": "tanh"}, 5, ["unit_activation = 'tanh'"]),
        ({"map_dim": 10, "max_groups": 4}, 5, ["n = 10", "4 equal groups"]),
    ],
)
def test_what_does_not_fit_is_refused(fields, num_types, words):
    with pytest.raises(InputError) as caught:
        build_input(InputConfig(**fields), num_types)
    for word in words:
        assert word in str(caught.value)
