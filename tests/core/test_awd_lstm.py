"""AWD-LSTM: a loop over time, dropouts, sizes, precision, initial values and golden losses."""

import math
from collections.abc import Iterator

import pytest
import slow_reference as reference
import torch
from torch.nn import functional as F

from define.core.awd_lstm import AWDLSTM, AWDLSTMConfig, LSTMConfig
from define.core.counting import count_parameters
from define.core.registry import build_model
from define.core.state import detach
from define.core.unit import UNITS
from define.errors import InputError

V, T, B = 23, 6, 3
NO_DROPOUT = {
    f"{name}_dropout": 0.0 for name in ("output", "hidden", "input", "word", "weight", "unit")
}


@pytest.mark.parametrize(
    "input, form",
    [("table", None), ("linear", None), ("mlp", None), *(("define", form) for form in UNITS)],
)
def test_outputs_and_gradients_are_those_of_the_loop(
    input, form, make_model, randomise, all_parameters
):
    form = form or "released"
    model = make_model(V, input=input, unit=form).double().eval()
    randomise(model)
    tokens = torch.randint(V, (T, B))
    state = tuple(
        (torch.rand_like(h, requires_grad=True), torch.rand_like(c, requires_grad=True))
        for h, c in model.zero_state(B)
    )
    output = model(tokens, state)
    log_probs = model.output.log_probs(output.features)
    assert log_probs.dtype == torch.float64
    assert torch.equal(output.raw, output.features)

    parameters, config = all_parameters(model), model.config
    norm, activation = UNITS[form]["norm"], UNITS[form]["activation"]

    def embed(token: int) -> torch.Tensor:
        e_i = parameters["embedding.map.weight"][token]
        own = reference.under(parameters, "embedding.unit.")
        if input == "define":
            own_form = form, "hgt", "mixer", config.depth, config.max_groups, activation, norm
            return reference.define_unit(e_i, own, *own_form)
        if input == "linear":
            return reference.group_linear(e_i, own["weight"])
        if input == "mlp":
            hidden = reference.ACTIVATIONS["gelu"](reference.group_linear(e_i, own["0.weight"]))
            return reference.group_linear(hidden, own["3.weight"])
        return e_i

    streams = [
        reference.awd_lstm(
            tokens[:, b].tolist(), parameters, embed, [(h[0, b], c[0, b]) for h, c in state]
        )
        for b in range(B)
    ]
    softmax = reference.under(parameters, "output.")
    expected = torch.stack(
        [
            torch.stack([reference.clustered_log_probs(x, softmax, [], V) for x in features])
            for features, _ in streams
        ],
        dim=1,
    )
    torch.testing.assert_close(log_probs, expected)
    for layer, (h, c) in enumerate(output.state):
        torch.testing.assert_close(h[0], torch.stack([ends[layer][0] for _, ends in streams]))
        torch.testing.assert_close(c[0], torch.stack([ends[layer][1] for _, ends in streams]))

    inputs = [*model.parameters(), *(part for pair in state for part in pair)]
    upstream = torch.randn_like(log_probs)
    torch.testing.assert_close(
        torch.autograd.grad(log_probs, inputs, upstream),
        torch.autograd.grad(expected, inputs, upstream),
    )


def test_two_parts_with_the_carried_state_are_the_whole(make_model):
    model = make_model(V).eval()
    tokens = torch.randint(V, (T, B))
    with torch.no_grad():
        whole, first = model(tokens), model(tokens[:2])
        second = model(tokens[2:], first.state)
    torch.testing.assert_close(torch.cat([first.features, second.features]), whole.features)
    torch.testing.assert_close(second.state, whole.state)


@pytest.mark.parametrize("name", ["output", "hidden", "input", "word", "weight"])
def test_every_dropout_is_at_its_place(name, make_model):
    model = make_model(V, **NO_DROPOUT | {f"{name}_dropout": 0.5})
    tokens = torch.randint(V, (T, B))
    with torch.no_grad():
        whole, output = model.eval()(tokens), model.train()(tokens)
    if name == "output":
        torch.testing.assert_close(output.raw, whole.raw)
        dropped = output.features == 0
        assert torch.equal(dropped, dropped[:1].expand_as(dropped))
        torch.testing.assert_close(output.features[~dropped], 2 * output.raw[~dropped])
    else:
        assert torch.equal(output.features, output.raw)
        assert not torch.allclose(output.raw, whole.raw)
        first_layer_differs = not torch.allclose(output.state[0][0], whole.state[0][0])
        assert first_layer_differs == (name != "hidden")
    if name == "weight":
        torch.testing.assert_close(output.raw[0], whole.raw[0])


DEFINE = {"input": "define", "map_dim": 128, "expand_dim": 1024, "reduce_dim": 400, "depth": 7}
WIKITEXT = {"cutoffs": [20_000, 40_000, 200_000], "cluster_factor": 4, "input": "table"}


def table_1a(kind: str, n: int) -> LSTMConfig:
    return LSTMConfig(map=kind, output=kind, map_dim=n, reduce_dim=n, **WIKITEXT)


@pytest.mark.parametrize(
    "config, types, io, total",
    [
        # 24.2 M (Merity et al. 2018b)
        (AWDLSTMConfig(input="table", map_dim=400), 10_000, 4_010_000, 24_221_600),
        (AWDLSTMConfig(**DEFINE, max_groups=16), 10_000, 1_290_000, 21_354_526),
        (table_1a("standard", 256), 267_735, 68_807_895, 23_357_440 + 68_807_895),
        (table_1a("adaptive", 256), 267_735, 9_253_212, 23_357_440 + 9_253_212),
        (table_1a("adaptive", 384), 267_735, 13_895_946, 24_734_720 + 13_895_946),
        (table_1a("adaptive", 512), 267_735, 18_549_432, 26_243_072 + 18_549_432),
    ],
)
def test_sizes_at_paper_scale(config, types, io, total):
    with torch.device("meta"):
        model = AWDLSTM(config, types)
    counted = count_parameters(model, [model.embedding], [model.output])
    define = config.unit_config().num_parameters() if config.input == "define" else 0
    context = sum(4 * n_out * (n_in + n_out) + 2 * 4 * n_out for n_in, n_out in config.layer_dims())
    assert counted == {"define": define, "context": context, "io": io, "total": total}
    assert total == define + context + io


def test_the_lstms_defaults_are_awd_lstms_but_for_sizes_and_dropouts():
    one, other = vars(AWDLSTMConfig()), vars(LSTMConfig())
    assert {name for name in one if one[name] != other[name]} == {
        "hidden_dim",
        "layers",
        *(f"{name}_dropout" for name in ("output", "hidden", "input", "word", "weight")),
    }
    assert [other[f"{name}_dropout"] for name in ("output", "hidden", "input")] == [0.1] * 3
    assert other["word_dropout"] == other["weight_dropout"] == 0


CLUSTERED = {
    "adaptive": {"map": "adaptive", "output": "adaptive", "cutoffs": [5, 9], "cluster_factor": 2},
    "projective": {
        "map": "projective",
        "output": "projective",
        "cutoffs": [5, 9],
        "projected_dim": 8,
    },
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("input", ["table", "define"])
def test_the_softmax_stays_float32_under_autocast(input, training, make_model):
    model = make_model(V, input=input).train(training)
    tokens = torch.randint(V, (T, B))
    with torch.autocast("cpu", torch.bfloat16):
        output = model(tokens)
        log_probs = model.output.log_probs(output.features)
        model(tokens, output.state)
    assert output.features.dtype == torch.bfloat16
    assert log_probs.dtype == torch.float32
    logits = F.linear(output.features.float(), model.embedding.map.weight, model.output.bias)
    assert torch.equal(log_probs, F.log_softmax(logits, -1))
    log_probs[..., 0].sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("input", ["table", "define"])
def test_initial_values(input, make_model):
    model = make_model(2000, input=input, hidden_dim=50, init_range=0.1)
    table = model.embedding.map.weight.detach()
    assert 0.0999 < table.abs().max() <= 0.1
    assert table.std() == pytest.approx(0.1 / math.sqrt(3), rel=0.02)
    assert table.mean() == pytest.approx(0, abs=0.002)
    assert (model.output.bias == 0).all()
    own = make_model(2000, input=input, tie_tables=False, init_range=0.05).output.tables[0]
    assert 0.0499 < own.abs().max() <= 0.05
    assert own.std().item() == pytest.approx(0.05 / math.sqrt(3), rel=0.02)
    for layer in model.lstm:
        bound = 1 / math.sqrt(layer.hidden_dim)
        for parameter in layer.parameters():
            assert 0.9 * bound < parameter.abs().max() <= bound


@pytest.mark.parametrize("layers, expected", [(1, [(7, 12)]), (3, [(7, 9), (9, 9), (9, 12)])])
def test_the_last_layer_is_as_wide_as_the_table(layers, expected, make_model):
    model = make_model(V, layers=layers)
    assert model.config.layer_dims() == expected
    output = model(torch.randint(V, (T, B)))
    assert output.features.shape == (T, B, 12) == output.raw.shape
    assert [h.shape for h, _ in output.state] == [(1, B, n_out) for _, n_out in expected]
    assert model.output.log_probs(output.features).shape == (T, B, V)


@pytest.mark.parametrize("kind", CLUSTERED)
def test_tables_in_clusters_keep_their_initial_values(kind, make_model):
    model = make_model(2000, input="table", **CLUSTERED[kind])
    table = model.embedding.map.tables[2]
    std = table.shape[1] ** -0.5
    assert table.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * table.numel()))


def test_a_model_is_built_by_its_registered_name(make_model):
    model = make_model(V)
    section = vars(model.config) | {"_name": "define_awd_lstm", "tie": "ignored"}
    twin = build_model(section, V)
    twin.load_state_dict(model.state_dict())
    assert twin.config == model.config
    with pytest.raises(
        InputError, match="model._name = 'lstm' is unknown; take one of define_awd_lstm"
    ):
        build_model({"_name": "lstm"}, V)
    del section["cutoffs"]
    with pytest.raises(InputError, match="define_awd_lstm has no model.cutoffs: another version"):
        build_model(section, V)


def golden_loss(model: AWDLSTM) -> float:
    """Nats per token of the last of 20 SGD steps on a stream of squares, the state carried."""
    stream = torch.tensor([i * i % V for i in range(20 * T * B + 1)])
    inputs, targets = (part.view(B, 20 * T).t() for part in (stream[:-1], stream[1:]))
    optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
    state = None
    for start in range(0, 20 * T, T):
        output = model(inputs[start : start + T], state)
        state = detach(output.state)
        loss = model.output.nll(output.features, targets[start : start + T]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


# Recorded in float64 on a CPU with torch 2.13.
GOLDEN = {
    ("table", "no dropout"): 2.6511368064732874,
    ("table", "dropout"): 2.7249601829683043,
    ("define", "no dropout"): 2.6418729651628543,
    ("define", "dropout"): 2.6770493314974835,
}


@pytest.fixture
def float64_throughout() -> Iterator[None]:
    """Initial values too: in float32 their last bit depends on the CPU."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("input, dropout", GOLDEN)
def test_golden_loss(input, dropout, make_model, float64_throughout):
    fields = NO_DROPOUT if dropout == "no dropout" else {"unit_dropout": 0.1}
    model = make_model(V, input=input, **fields)
    assert golden_loss(model) == pytest.approx(GOLDEN[input, dropout], rel=1e-9)
