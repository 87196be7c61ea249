"""The signal of input layers: closed forms, explicit loops, and hand-made layers."""

import json
import math

import pytest
import torch
from torch import nn

from define.core.group_linear import GroupLinear
from define.core.inputs import InputConfig, build_input
from define.core.signal import (
    effective_rank,
    input_signal,
    mean_cosine,
    sample_types,
    skip_share,
)
from define.core.unit import UNITS

TYPES = torch.arange(0, 23, 2)


def set_weight(linear: GroupLinear, value: torch.Tensor) -> None:
    with torch.no_grad():
        linear.weight.copy_(value)


def test_a_linear_map_with_orthonormal_rows_keeps_norms_and_angles():
    """e_o = e_i Q, Q (n, m) with orthonormal rows."""
    embedding = build_input(InputConfig(input="linear", map_dim=8, reduce_dim=20), 4000)
    nn.init.normal_(embedding.map.weight, std=3.0)
    rotation = nn.init.orthogonal_(torch.empty(8, 20))
    set_weight(embedding.unit, rotation)
    types = sample_types([0, 4000], 4000)
    signal = input_signal(embedding, types)
    # On average, the span of the rows has 8 / 20 of a random direction's squared norm.
    assert signal.grad_e_i == pytest.approx(math.sqrt(8 / 20), rel=0.03)
    assert signal.cosine == pytest.approx(0, abs=0.002)
    assert signal.effective_rank == pytest.approx(8, rel=0.01)
    assert signal.sizes["e_i"] == pytest.approx(3, rel=0.02)
    assert signal.sizes["e_o"] == pytest.approx(3 * math.sqrt(8 / 20), rel=0.02)
    assert signal.min_group_features is signal.skip_share is None
    assert signal.skip_shares == {}


def test_a_square_rotation_and_a_table_have_a_gradient_of_one():
    rotated = build_input(InputConfig(input="linear", map_dim=9, reduce_dim=9), 23)
    set_weight(rotated.unit, nn.init.orthogonal_(torch.empty(9, 9)))
    table = build_input(InputConfig(input="table", map_dim=9), 23)
    for embedding in (rotated, table):
        assert input_signal(embedding, TYPES).grad_e_i == pytest.approx(1, rel=1e-5)
    assert list(input_signal(table, TYPES).sizes) == ["e_i", "e_o"]


def test_a_norm_over_one_output_of_a_group_passes_on_nothing(make_embedding):
    embedding = make_embedding(
        map_dim=4, max_groups=4, expand_dim=4, depth=1, unit="text", unit_norm="layer"
    )
    signal = input_signal(embedding, TYPES)
    assert signal.min_group_features == 1
    assert signal.grad_e_i == pytest.approx(0, abs=1e-6)
    assert signal.sizes["layer 1"] == pytest.approx(0, abs=1e-6)  # a feature less its own mean


def test_a_gradient_grows_where_e_i_is_small_and_the_unit_normalises(make_embedding):
    """LayerNorm divides by the size of e_i: the gradient is the inverse of that."""
    ours = {"unit": "ours", "map_dim": 32, "expand_dim": 64, "max_groups": 2}
    embedding = make_embedding(**ours).double()
    before = input_signal(embedding, TYPES)
    with torch.no_grad():
        embedding.map.weight /= 10
    after = input_signal(embedding, TYPES)
    assert after.grad_e_i == pytest.approx(10 * before.grad_e_i, rel=1e-2)
    assert after.cosine == pytest.approx(before.cosine, abs=1e-3)
    assert after.sizes["entrance"] == pytest.approx(1, rel=1e-2)


def rms(x: torch.Tensor) -> float:
    return math.sqrt(sum(v * v for v in x.flatten().tolist()) / x.numel())


@pytest.mark.parametrize("connection", ["mixer", "concat", "residual", "none"])
@pytest.mark.parametrize("form", UNITS)
def test_figures_are_those_of_a_loop_over_tokens_and_layers(
    form, connection, make_embedding, randomise
):
    embedding = make_embedding(unit=form, connection=connection, expand_dim=48, unit_dropout=0.5)
    embedding = embedding.double()
    randomise(embedding)
    embedding.scale = 2.0
    signal = input_signal(embedding.train(), TYPES, seed=7)
    assert embedding.training and embedding.unit.layers[0].dropout.training
    assert all(p.grad is None for p in embedding.parameters())
    embedding.eval()

    unit, config = embedding.unit, embedding.unit.config
    upstream = torch.randn(len(TYPES), 7, generator=torch.Generator().manual_seed(7)).double()
    norms, sizes, parts = [], {}, {}
    for token, direction in zip(TYPES.tolist(), upstream, strict=True):
        e_i = (embedding.map.weight[token] * 2.0).detach().requires_grad_()
        unit(e_i).backward(direction / direction.norm())
        norms.append(e_i.grad.norm().item())
        entrance = unit.input(e_i)
        sizes.setdefault("e_i", []).append(e_i)
        sizes.setdefault("entrance", []).append(entrance)
        x = entrance
        layers = [(f"layer {i}", layer) for i, layer in enumerate(unit.layers, start=1)]
        if form == "released":
            layers.append(("output", unit.reduce))
        for number, (name, layer) in enumerate(layers):
            if number and config.skip_dim:
                groups, first, second = layer.groups, [], []
                weight = layer.linear.weight
                joined = torch.cat([entrance, x])
                mine, rest = len(entrance) // groups, len(x) // groups
                for g in range(groups):
                    if connection == "mixer":
                        e = entrance[g * mine : (g + 1) * mine]
                        h = x[g * rest : (g + 1) * rest]
                    else:
                        width = len(joined) // groups
                        here = joined[g * width : (g + 1) * width]
                        left = max(0, min(width, len(entrance) - g * width))
                        e, h = here[:left], here[left:]
                    first.append(e @ weight[g][: len(e)])
                    second.append(h @ weight[g][len(e) :])
                parts.setdefault(name, []).append((torch.cat(first), torch.cat(second)))
            y = unit._connect(layer, layer.groups, entrance, x) if number else layer(x)
            if connection != "residual":
                sizes.setdefault(name, []).append(y)
            x = y
    assert signal.grad_e_i == pytest.approx(sum(norms) / len(norms))
    e_o = embedding(TYPES).detach()
    assert signal.sizes["e_o"] == pytest.approx(rms(e_o))
    for name in sizes.keys() & signal.sizes.keys():
        assert signal.sizes[name] == pytest.approx(rms(torch.stack(sizes[name]))), name
    assert ("entrance" in signal.sizes) == (form != "text")
    shares = {}
    for name, pairs in parts.items():
        of_e, of_x = (torch.stack(side).var().item() for side in zip(*pairs, strict=True))
        shares[name] = of_e / (of_e + of_x)
    assert signal.skip_shares == pytest.approx(shares)
    reads = connection in ("mixer", "concat")
    assert len(shares) == (0 if not reads else 3 if form == "released" else 2)
    assert signal.skip_share == (min(signal.skip_shares.values()) if reads else None)
    cosines = [
        (torch.dot(a, b) / (a.norm() * b.norm())).item()
        for i, a in enumerate(e_o)
        for j, b in enumerate(e_o)
        if i != j
    ]
    assert signal.cosine == pytest.approx(sum(cosines) / len(cosines))


def test_the_share_of_a_hand_made_layer():
    """Two groups of [one feature of e_i, one of x]; the weights of e_i are 3, those of x are 1."""
    linear = GroupLinear(4, 2, groups=2, bias=True)
    set_weight(linear, torch.tensor([3.0, 1.0]).reshape(1, 2, 1).expand(2, 2, 1))
    nn.init.constant_(linear.bias, 100.0)
    x = torch.tensor([[1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, -1.0, -1.0]])
    from_e_i = torch.tensor([True, False, True, False])
    assert skip_share(linear, x, from_e_i) == pytest.approx(9 / (9 + 1))


@pytest.mark.parametrize("input", ["table", "linear", "mlp", "define"])
@pytest.mark.parametrize(
    "fields", [{}, {"map": "projective", "projected_dim": 8, "cutoffs": [5, 9]}]
)
def test_every_input_layer_has_a_signal_for_json(input, fields, make_embedding):
    signal = input_signal(make_embedding(input=input, **fields), TYPES).to_json()
    assert json.loads(json.dumps(signal)) == signal
    assert all(math.isfinite(size) and size > 0 for size in signal["sizes"].values())
    assert ("layer 1" in signal["sizes"]) == (input in ("mlp", "define"))
    assert (signal["skip_share"] is not None) == (input == "define")


def test_effective_rank_of_known_spectra():
    q = nn.init.orthogonal_(torch.empty(40, 6, dtype=torch.float64))
    q = torch.linalg.qr(q - q.mean(0)).Q  # columns orthogonal to the mean
    assert effective_rank(q) == pytest.approx(6)
    assert effective_rank(q + 5) == pytest.approx(6)
    values = torch.tensor([4.0, 2.0, 2.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    assert effective_rank(q * values) == pytest.approx(2**1.5)  # entropy of 1/2, 1/4, 1/4
    assert effective_rank(torch.outer(torch.arange(5.0), torch.ones(3))) == pytest.approx(1)


def test_mean_cosine_of_known_rows():
    assert mean_cosine(torch.tensor([[2.0, 0.0], [0.0, 5.0]])) == pytest.approx(0)
    assert mean_cosine(torch.tensor([[2.0, 0.0], [3.0, 0.0], [-1.0, 0.0]])) == pytest.approx(-1 / 3)


def test_types_are_spread_over_the_clusters():
    types = sample_types([0, 10, 1000, 5000], 90, seed=3)
    clusters = [((types >= a) & (types < b)).sum().item() for a, b in [(0, 10), (10, 1000)]]
    assert clusters == [10, 30] and len(types) == 70
    assert len(set(types.tolist())) == 70 and types.tolist() == sorted(types.tolist())
    assert torch.equal(types, sample_types([0, 10, 1000, 5000], 90, seed=3))
    assert not torch.equal(types, sample_types([0, 10, 1000, 5000], 90, seed=4))
    assert sample_types([0, 4], 10, excluded=1).tolist() == [0, 2, 3]
