"""Input layers from their config: what is built, its widths, and what is refused."""

import math

import pytest
import torch
from torch import nn

from define.core.inputs import InputConfig, InputOutputConfig, build_input, build_unit
from define.core.unit import DefineUnit
from define.errors import InputError


@pytest.mark.parametrize(
    "fields, width, parameters",
    [
        ({"input": "table"}, 12, 0),
        ({"input": "linear"}, 7, 12 * 7),
        ({"input": "mlp"}, 7, 12 * 40 + 40 * 7),
        ({"input": "define", "unit": "text"}, 7, 72 + 540 + 1680 + 280),
        (
            {"input": "define", "unit": "ours", "without_reduce": True},
            40,
            72 + 540 + 1680 + 2 * (6 + 15 + 40),
        ),
        (
            {"input": "define", "unit": "ours", "without_reduce": True, "connection": "residual"},
            20,
            60 + 200 + 400 + 2 * (5 + 10 + 20),
        ),
        # Released: the products, and a bias each, of the dense layer, the N layers and the output.
        (
            {"input": "define", "unit_norm": "none"},
            7,
            144 + 84 + 800 + 364 + 133 + 12 + 28 + 40 + 7 + 7,
        ),
        (
            {"input": "define", "without_reduce": True},
            40,
            144 + 72 + 540 + 1680 + 12 + 24 + 30 + 40 + 2 * (12 + 6 + 15 + 40),
        ),
        (
            {"input": "define", "without_reduce": True, "connection": "residual"},
            20,
            144 + 60 + 200 + 400 + 12 + 3 * 20 + 2 * (12 + 5 + 10 + 20),
        ),
    ],
)
def test_width_and_size(fields, width, parameters, make_embedding):
    embedding = make_embedding(**fields)
    assert embedding.embedding_dim == width == embedding(torch.tensor([3])).shape[-1]
    assert embedding.num_embeddings == 23
    unit = embedding.unit
    assert (0 if unit is None else sum(p.numel() for p in unit.parameters())) == parameters


CLUSTERS = {"cutoffs": [5, 9, 14], "cluster_factor": 2, "projected_dim": 8}


@pytest.mark.parametrize(
    "map, widths, mapped", [("adaptive", [12, 6, 3, 1], 12), ("projective", [12] * 4, 8)]
)
@pytest.mark.parametrize("input", ["table", "linear", "mlp", "define"])
def test_everything_stands_on_every_map(input, map, widths, mapped, make_embedding):
    embedding = make_embedding(input=input, map=map, **CLUSTERS)
    sizes = [5, 4, 5, 9]
    assert [table.shape for table in embedding.map.tables] == list(zip(sizes, widths, strict=True))
    assert embedding.map.embedding_dim == mapped
    tokens = torch.tensor([[0, 5, 13], [14, 22, 4]])
    e_o = embedding(tokens)
    assert e_o.shape == (2, 3, mapped if input == "table" else 7)
    e_i = embedding.map(tokens)
    torch.testing.assert_close(e_o, e_i if input == "table" else embedding.unit(e_i))


@pytest.mark.parametrize(
    "fields, dim", [({}, 12), ({"map": "adaptive"}, 12), ({"map": "projective"}, 8)]
)
@pytest.mark.parametrize("input", ["table", "define"])
def test_e_i_is_scaled_by_the_root_of_its_dimension(input, fields, dim, make_embedding):
    embedding = make_embedding(input=input, scale_embedding=True, **CLUSTERS | fields)
    tokens = torch.arange(23)
    e_i = embedding.map(tokens) * math.sqrt(dim)
    torch.testing.assert_close(embedding(tokens), e_i if input == "table" else embedding.unit(e_i))
    plain = make_embedding(input=input, **CLUSTERS | fields)
    plain.load_state_dict(embedding.state_dict())
    assert not torch.allclose(embedding(tokens), plain(tokens))


@pytest.mark.parametrize("input, width", [("table", 12), ("linear", 7), ("mlp", 7), ("define", 7)])
def test_without_projections_the_rows_of_the_table_are_e_i(input, width, make_embedding):
    fields = CLUSTERS | {"map": "projective", "projections": "none", "scale_embedding": True}
    embedding = make_embedding(input=input, **fields).eval()
    e_i = torch.cat(list(embedding.map.tables)) * math.sqrt(12)
    e_o = embedding(torch.arange(23))
    assert e_o.shape == (23, width)
    torch.testing.assert_close(e_o, e_i if input == "table" else embedding.unit(e_i))


def test_no_two_configs_share_their_cutoffs():
    first = InputConfig()
    first.cutoffs.append(3)
    assert InputConfig().cutoffs == []


def test_the_mlp_is_linear_activation_linear(make_embedding):
    embedding = make_embedding(input="mlp", unit_activation="relu")
    first, second = embedding.unit[0], embedding.unit[-1]
    hidden = (embedding.map.weight @ first.weight[0]).clamp(min=0)
    torch.testing.assert_close(embedding(torch.arange(23)), hidden @ second.weight[0])


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
        unit="text",
        width_multiple=1,
        share_groups=True,
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
        "unit": "text",
        "width_multiple": 1,
        "share_groups": True,
        "projection_dim": 0,
        "n_key": "model.map_dim (n)",
    }
    assert [module.p for module in unit.modules() if isinstance(module, nn.Dropout)] == [0.2, 0.2]


def test_every_field_has_a_help_text():
    assert all(field.metadata["help"] for field in InputOutputConfig.__dataclass_fields__.values())


@pytest.mark.parametrize(
    "fields, num_types, words",
    [
        ({"input": "lookup"}, 5, ["input = 'lookup'", "table, linear, mlp, define"]),
        ({}, 0, ["0 types", "at least 1"]),
        ({"input": "table", "map_dim": 0}, 5, ["model.map_dim = 0", "at least 1"]),
        ({"input": "linear", "reduce_dim": 0}, 5, ["model.reduce_dim = 0"]),
        ({"input": "mlp", "expand_dim": 0}, 5, ["model.expand_dim = 0"]),
        ({"input": "mlp", "unit_activation": "tanh"}, 5, ["unit_activation = 'tanh'"]),
        ({"map_dim": 10, "max_groups": 4}, 5, ["model.map_dim (n) = 10", "4 equal groups"]),
        ({"map": "sparse"}, 5, ["map = 'sparse'", "standard, adaptive, projective"]),
        ({"map": "adaptive", "cutoffs": [3, 3]}, 5, ["cutoffs = [3, 3]", "increase", "5 types"]),
        ({"map": "projective", "cutoffs": [5]}, 5, ["cutoffs = [5]", "5 types"]),
        ({"map": "adaptive", "cluster_factor": 0}, 5, ["cluster_factor = 0", "at least 1"]),
        (
            {"map": "adaptive", "map_dim": 8, "cutoffs": [1, 2], "cluster_factor": 3},
            5,
            ["map_dim = 8", "3 clusters", "cluster_factor = 3"],
        ),
        (
            {"map": "projective", "projected_dim": 0, "input": "table"},
            5,
            ["projected_dim = 0", "at least 1"],
        ),
        (
            {"map": "projective", "projected_dim": 10, "max_groups": 4},
            5,
            ["model.projected_dim (n) = 10", "4 equal groups"],
        ),
    ],
)
def test_what_does_not_fit_is_refused(fields, num_types, words):
    with pytest.raises(InputError) as caught:
        build_input(InputConfig(**fields), num_types)
    for word in words:
        assert word in str(caught.value)
