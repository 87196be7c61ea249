"""Transformer-XL: a literal loop, memory, windows, causality, streams, dropouts, sizes, values."""

import math

import pytest
import slow_reference as reference
import torch
from small_sizes import SMALL_TXL, in_segments
from torch import nn

from define.core.outputs import projections, tables
from define.core.transformer_xl import Lengths, TransformerXL, TransformerXLConfig

V, T, B, LAYERS = 23, 7, 3, SMALL_TXL["layers"]
SMALL_DEFINE = {
    "input": "define",
    "reduce_dim": 12,
    "expand_dim": 40,
    "depth": 3,
    "max_groups": 4,
    "width_multiple": 1,
}


def tokens_of(length: int = T, batch_size: int = B) -> torch.Tensor:
    return torch.randint(V, (length, batch_size))


@pytest.mark.parametrize("attention", ["fused", "plain"])
@pytest.mark.parametrize(
    "memory, lengths",
    [
        (0, Lengths(5)),
        (4, Lengths(5)),
        (5, Lengths(5, clamp=2)),
        (3, Lengths(3, same_length=True)),
        (2, Lengths(6, clamp=3, same_length=True)),
        (4, Lengths(0)),
        (4, Lengths(2)),
        (3, Lengths(100)),
    ],
)
def test_outputs_and_gradients_are_those_of_a_loop(attention, memory, lengths, make_txl):
    model = make_txl(attention=attention).eval()
    model.lengths = lengths
    tokens = tokens_of(4, 2)
    state = tuple(
        torch.randn(memory, 2, 12, dtype=torch.float64, requires_grad=True) for _ in range(LAYERS)
    )
    output = model(tokens, state)
    parameters = dict(model.named_parameters())
    scale = math.sqrt(12)
    first = max(memory - lengths.memory, 0)
    streams = []
    for b in range(2):
        rows = [parameters["embedding.map.weight"][token] * scale for token in tokens[:, b]]
        streams.append(
            reference.transformer_xl(
                torch.stack(rows),
                parameters,
                [layer_memory[first:, b] for layer_memory in state],
                lengths.memory,
                lengths.clamp,
                lengths.memory if lengths.same_length else None,
            )
        )
    expected = torch.stack([features for features, _ in streams], dim=1)
    torch.testing.assert_close(output.features, expected)
    torch.testing.assert_close(output.raw, expected)
    for layer, layer_memory in enumerate(output.state):
        ends = torch.stack([memories[layer] for _, memories in streams], dim=1)
        torch.testing.assert_close(layer_memory, ends)

    leaves = [*model.parameters(), *state]
    upstream = torch.randn_like(expected)
    options = {"allow_unused": True, "materialize_grads": True}
    torch.testing.assert_close(
        torch.autograd.grad(output.features, leaves, upstream, **options),
        torch.autograd.grad(expected, leaves, upstream, **options),
    )


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("clamp", [0, 3])
def test_segments_that_remember_everything_are_one_long_context(length, clamp, make_txl):
    model = make_txl(memory_length=11, clamp_length=clamp).eval()
    tokens = tokens_of(11)
    with torch.no_grad():
        whole = model(tokens).features
        torch.testing.assert_close(in_segments(model, tokens, length), whole)
        without = torch.cat([model(segment).features for segment in tokens.split(length)])
    torch.testing.assert_close(without[:length], whole[:length])
    assert not torch.isclose(without[length:], whole[length:]).all(-1).any()


def test_with_the_same_length_the_cut_into_segments_does_not_matter(make_txl):
    tokens = tokens_of(13)
    model = make_txl(memory_length=4, same_length=True).eval()
    with torch.no_grad():
        whole = model(tokens).features
        for length in (1, 2, 3, 5):
            torch.testing.assert_close(in_segments(model, tokens, length), whole)
        model.lengths = Lengths(4)
        assert not torch.allclose(in_segments(model, tokens, 3), in_segments(model, tokens, 5))


@pytest.mark.parametrize(
    "memory, same_length", [(0, False), (2, False), (4, False), (1, True), (2, True), (4, True)]
)
def test_how_far_a_token_sees(memory, same_length, make_txl):
    model = make_txl(layers=1, memory_length=memory, same_length=same_length).eval()
    tokens = tokens_of(9, 1)
    start = 5  # the second segment's first token
    for token in range(len(tokens)):
        changed = tokens.clone()
        changed[token] = (changed[token] + 1) % V
        with torch.no_grad():
            state = model(tokens[:start]).state
            before = model(tokens[start:], state).features
            state = model(changed[:start]).state
            after = model(changed[start:], state).features
        seen = (before != after).any(-1).any(-1).tolist()
        for i, query in enumerate(range(start, len(tokens))):
            distance = query - token
            remembered = token >= start - memory
            within = distance < memory if same_length else True
            assert seen[i] == (distance >= 0 and remembered and within)


def test_memory_passes_no_gradient_on(make_txl):
    model = make_txl()
    first = model(tokens_of())
    assert not any(memory.requires_grad for memory in first.state)
    features = model(tokens_of(), first.state).features
    embedded = first.raw
    (gradient,) = torch.autograd.grad(features.sum(), embedded, allow_unused=True)
    assert gradient is None


def test_lengths_change_at_evaluation_and_a_longer_memory_is_cut(make_txl):
    model = make_txl(memory_length=6, clamp_length=5, same_length=True).eval()
    assert model.lengths == Lengths(6, 5, True)
    model = make_txl(memory_length=6).eval()
    assert model.lengths == Lengths(6, -1, False)
    tokens = tokens_of()
    with torch.no_grad():
        state = model(tokens).state
        assert {len(memory) for memory in state} == {6}
        model.lengths = Lengths(4)
        short = model(tokens, state)
        assert {len(memory) for memory in short.state} == {4}
        cut = tuple(memory[-4:] for memory in state)
        assert torch.equal(short.features, model(tokens, cut).features)
        model.lengths = model.config.lengths()
        long = model(tokens, state)
        assert {len(memory) for memory in long.state} == {6}
        assert not torch.allclose(long.features, short.features)
        model.lengths = Lengths(6, clamp=2)
        assert not torch.allclose(model(tokens, state).features, long.features)
        model.lengths = Lengths(6, same_length=True)
        assert not torch.allclose(model(tokens, state).features, long.features)


def test_every_dropout_is_at_its_place(make_txl, monkeypatch):
    drops = []

    def spy(x, p, *_):
        drops.append((p, tuple(x.shape)))
        return x

    monkeypatch.setattr(torch.nn.functional, "dropout", spy)
    model = make_txl(dropout=0.3, attention_dropout=0.4)
    model(tokens_of(), tuple(torch.zeros(2, B, 12).double() for _ in range(LAYERS)))
    keys = T + 2
    per_layer = [
        (0.4, (3, B, T, keys)),  # probabilities
        (0.3, (T, B, 12)),  # attention's output
        (0.3, (T, B, 21)),
        (0.3, (T, B, 12)),
    ]
    embeddings, encodings, features = (0.3, (T, B, 12)), (0.3, (keys + 1, 12)), (0.3, (T, B, 12))
    assert drops == [embeddings, encodings, *per_layer * LAYERS, features]


def test_the_first_memory_and_the_features_are_dropped(make_txl):
    model = make_txl(dropout=0.5, memory_length=100)
    tokens = tokens_of(40)
    output = model(tokens)
    embedded = model.embedding(tokens)
    for dropped, whole in [(output.state[0], embedded), (output.features, output.raw)]:
        zero = dropped == 0
        assert 0.4 < zero.double().mean() < 0.6
        torch.testing.assert_close(dropped[~zero], 2 * whole[~zero])
    assert not (output.raw == 0).any()


@pytest.mark.parametrize(
    "model_dim, inner_dim, context", [(410, 2100, 41_067_220), (384, 1920, 36_250_420)]
)
def test_sizes_at_paper_scale(model_dim, inner_dim, context):
    config = TransformerXLConfig(
        map_dim=model_dim, projected_dim=model_dim, model_dim=model_dim, inner_dim=inner_dim
    )
    with torch.device("meta"):
        model = TransformerXL(config, 1000)
    io = {id(p) for part in (model.embedding, model.output) for p in part.parameters()}
    assert sum(p.numel() for p in model.parameters() if id(p) not in io) == context
    per_layer = 5 * model_dim * 410 + 2 * model_dim * inner_dim + inner_dim + 5 * model_dim
    assert context == 16 * per_layer + 2 * 410


def test_the_defaults_are_the_published_recipe():
    config = TransformerXLConfig()
    assert (config.layers, config.heads, config.head_dim) == (16, 10, 41)
    assert (config.model_dim, config.inner_dim, config.input_dim) == (410, 2100, 410)
    assert (config.dropout, config.attention_dropout, config.memory_length) == (0.1, 0.0, 150)
    assert config.scale_embedding and config.input == "table"


@pytest.mark.parametrize("input", ["table", "define"])
def test_initial_values(input):
    fields = {"input": input, "map": "projective", "output": "projective", "cutoffs": [900]}
    sizes = {"map_dim": 100, "projected_dim": 150, "model_dim": 150, "inner_dim": 300, "layers": 2}
    unit = {"expand_dim": 512, "reduce_dim": 150, "depth": 2, "max_groups": 2}
    config = TransformerXLConfig(**fields, **sizes, **unit, tie_tables=False, tie_projections=False)
    model = TransformerXL(config, 2000)
    layers = list(model.layers.modules())
    linears = [layer for layer in layers if isinstance(layer, nn.Linear)]
    norms = [layer for layer in layers if isinstance(layer, nn.LayerNorm)]
    assert (len(linears), len(norms)) == (2 * 6, 2 * 2)
    weights = [layer.weight for layer in linears]
    map, output = model.embedding.map, model.output
    rows, projected = [*tables(map), *tables(output)], [*projections(map), *projections(output)]
    assert (len(rows), len(projected)) == (4, 4)
    drawn = [*weights, model.u, model.v, *rows, output.cluster_weight]
    expected = [(p, 0, 0.02) for p in drawn] + [(p, 0, 0.01) for p in projected]
    expected += [(norm.weight, 1, 0.02) for norm in norms]
    for parameter, mean, std in expected:
        error = 5 / math.sqrt(parameter.numel())
        assert parameter.mean().item() == pytest.approx(mean, abs=error * std)
        assert parameter.std().item() == pytest.approx(std, rel=error)
        assert (parameter - mean).abs().max() > 1.9 * std  # a uniform one ends at 1.73
    biases = [layer.bias for layer in (*linears, *norms) if layer.bias is not None]
    assert len(biases) == 2 * (2 + 2)
    assert all((bias == 0).all() for bias in (*biases, output.bias, output.cluster_bias))
    if input == "define":
        weight = model.embedding.unit.reduce.linear.weight  # Xavier-uniform
        bound = math.sqrt(6 / (150 + 150 + 150))  # [e_i, x] -> e_o
        assert 0.99 * bound < weight.abs().max() <= bound


@pytest.mark.parametrize("attention", ["auto", "fused", "plain"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fields", [{}, SMALL_DEFINE])
def test_sums_and_losses_stay_float32_under_autocast(fields, training, attention, make_txl):
    model = make_txl(attention=attention, dropout=0.0, **fields).float().train(training)
    tokens = tokens_of()
    with torch.autocast("cpu", torch.bfloat16):
        first = model(tokens)
        output = model(tokens, first.state)
        nll = model.output.nll(output.features, tokens)
    assert nll.dtype == torch.float32
    floats = [output.features, output.raw, *output.state]
    assert {part.dtype for part in floats} == {torch.float32}
    exact = model(tokens, model(tokens).state)
    assert (output.features - exact.features).norm() < 0.1 * exact.features.norm()
    assert not torch.equal(output.features, exact.features)
    nll.sum().backward()
    parameters = list(model.parameters())
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in parameters)


def test_a_model_in_low_precision_runs(make_txl):
    model = make_txl().bfloat16()
    output = model(tokens_of(), model(tokens_of()).state)
    assert output.features.dtype == torch.bfloat16 == output.state[0].dtype
    assert output.features.isfinite().all()


def test_it_learns_what_only_memory_can_tell():
    # The second segment repeats the first token of the first one; each segment has one token.
    torch.manual_seed(0)
    fields = {"layers": 1, "dropout": 0.0, "memory_length": 1, "init_std": 0.1}
    model = TransformerXL(TransformerXLConfig(**SMALL_TXL | fields), V)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    mark = torch.zeros(1, 64, dtype=torch.long)
    losses = []
    for _ in range(150):
        first = torch.randint(1, V, (1, 64))
        features = model(mark, model(first).state).features
        loss = model.output.nll(features, first).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.8 * math.log(V) and losses[-1] < 0.5
