"""Output layers: a loop over types, torch's and fairseq's adaptive softmax, memory, ties."""

import copy
import io
import itertools
import math

import pytest
import slow_reference as reference
import torch
from fairseq.modules.adaptive_input import AdaptiveInput
from fairseq.modules.adaptive_softmax import AdaptiveSoftmax
from small_sizes import SMALL
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from define.core.awd_lstm import AWDLSTM, AWDLSTMConfig
from define.core.counting import count_parameters
from define.core.inputs import MAPS, InputOutputConfig, build_input
from define.core.outputs import IGNORED, OutputLayer, build_output
from define.errors import InputError

V, CUTOFFS = 23, [5, 9, 10]
FIELDS = SMALL | {"projected_dim": 8, "cutoffs": CUTOFFS, "cluster_factor": 2}
UNTIED = {"tie_tables": False, "tie_projections": False}
PAIRS = list(itertools.product(MAPS, MAPS))


def both(kind: str, **fields) -> dict:
    return {"map": kind, "output": kind, **fields}


# Map, output, ties, width of the features; n is 12, projected rows are 8 wide, the last one 7.
CASES = {
    "standard": (both("standard"), 12),
    "adaptive": (both("adaptive"), 12),
    "adaptive, one cluster": (both("adaptive", cutoffs=[]), 12),
    "adaptive, own projections": (both("adaptive", tie_projections=False), 12),
    "adaptive, own projections of the head too": (both("adaptive", tie_projections=False), 7),
    "adaptive, own tables": (both("adaptive", tie_tables=False), 12),
    "projective": (both("projective"), 8),
    "projective without projections": (both("projective", projected_dim=12), 12),
    "projective, own projections": (both("projective", tie_projections=False), 8),
    "projective, one projection": (both("projective", projections="one"), 8),
    "projective, one projection for the input": (
        both("projective", projections="one", tie_projections=False),
        8,
    ),
    "projective, the input not projected": (both("projective", projections="none"), 8),
    "projective, own tables": (both("projective", tie_tables=False), 8),
    **{
        f"{map}, {output} of its own": ({"map": map, "output": output} | UNTIED, 7)
        for map, output in PAIRS
    },
}


class Pair(nn.Module):
    """An input layer and the output layer that belongs to it."""

    def __init__(self, config: InputOutputConfig, dim: int, num_types: int = V):
        super().__init__()
        self.config, self.dim = config, dim
        self.embedding = build_input(config, num_types)
        self.output = build_output(config, self.embedding, dim)


def make_pair(dim: int, num_types: int = V, **fields) -> Pair:
    fields = FIELDS | {"input": "table"} | fields
    return Pair(InputOutputConfig(**fields), dim, num_types)


def slow(pair: Pair, parameters, tokens, features, targets):
    """e_o of the tokens, log-probabilities and losses of the features, one position at a time."""
    config = pair.config
    map_parameters = reference.under(parameters, "embedding.map.")
    cutoffs = {"standard": [], "adaptive": config.cutoffs, "projective": config.cutoffs}
    if config.map == "standard":
        map_parameters = {"tables.0": map_parameters["weight"]}
    e_o = []
    for token in tokens.tolist():
        e_i = reference.clustered_embedding(token, map_parameters, cutoffs[config.map])
        if config.input == "define":
            own = reference.under(parameters, "embedding.unit.")
            form = "released", "hgt", "mixer", config.depth, config.max_groups, "gelu", "layer"
            e_i = reference.define_unit(e_i, own, *form)
        e_o.append(e_i)
    softmax = reference.under(parameters, "output.")
    log_probs = [
        reference.clustered_log_probs(x, softmax, cutoffs[config.output], V) for x in features
    ]
    nll = [reference.nll(*both) for both in zip(log_probs, targets.tolist(), strict=True)]
    return torch.stack(e_o), torch.stack(log_probs), torch.stack(nll)


@pytest.mark.parametrize("input", ["table", "define"])
@pytest.mark.parametrize("fields, dim", CASES.values(), ids=CASES.keys())
def test_outputs_and_gradients_are_those_of_the_loop(fields, dim, input, randomise, all_parameters):
    pair = make_pair(dim, input=input, **fields).double()
    randomise(pair)
    tokens = torch.randint(V, (11,))
    targets = torch.tensor([0, 4, 5, 8, IGNORED, 9, 10, 22, 4, IGNORED, 15])
    features = torch.randn(len(targets), dim, dtype=torch.float64, requires_grad=True)
    fast = (
        pair.embedding(tokens),
        pair.output.log_probs(features),
        pair.output.nll(features, targets),
    )
    expected = slow(pair, all_parameters(pair), tokens, features, targets)
    torch.testing.assert_close(fast, expected)

    inputs = [features, *pair.parameters()]
    for part, slow_part in zip(fast, expected, strict=True):
        upstream = torch.randn_like(part)
        options = dict.fromkeys(("retain_graph", "materialize_grads", "allow_unused"), True)
        torch.testing.assert_close(
            torch.autograd.grad(part, inputs, upstream, **options),
            torch.autograd.grad(slow_part, inputs, upstream, **options),
        )


@pytest.mark.parametrize("shape", [(), (9,), (3, 5), (2, 3, 4), (0,), (3, 0)])
@pytest.mark.parametrize("output", MAPS)
def test_probabilities_of_any_shape_sum_to_one_and_their_logarithms_are_the_losses(output, shape):
    layer = make_pair(7, output=output, **UNTIED).output
    features, targets = torch.randn(*shape, 7), torch.randint(V, shape)
    log_probs, nll = layer.log_probs(features), layer.nll(features, targets)
    assert log_probs.shape == (*shape, V) and nll.shape == shape
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(shape))
    torch.testing.assert_close(nll, -log_probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1))


@pytest.mark.parametrize("output", MAPS)
def test_ignored_targets_cost_nothing_and_give_no_gradient(output):
    layer = make_pair(7, output=output, **UNTIED).output
    features = torch.randn(12, 7, requires_grad=True)
    targets = torch.randint(V, (12,))
    targets[::3] = IGNORED
    nll = layer.nll(features, targets)
    assert (nll[::3] == 0).all() and (nll[1::3] > 0).all()
    layer.nll_sum(features, targets).backward()
    assert (features.grad[::3] == 0).all() and (features.grad[1::3] != 0).any(-1).all()

    layer.zero_grad()
    layer.nll_sum(features, torch.full((12,), IGNORED)).backward()
    assert all((p.grad == 0).all() for p in layer.parameters())


@pytest.mark.parametrize("output", MAPS)
@pytest.mark.parametrize("target", [V, V + 5])
def test_a_target_outside_of_the_vocabulary_is_an_error(output, target):
    layer = make_pair(7, output=output, **UNTIED).output
    for loss in (layer.nll, layer.nll_sum):
        with pytest.raises(IndexError):
            loss(torch.randn(2, 7), torch.tensor([0, target]))


@pytest.mark.parametrize("positions", [0, 1, 41])
@pytest.mark.parametrize("output", MAPS)
def test_the_sum_in_parts_and_its_gradient_are_those_of_the_losses(
    output, positions, randomise, monkeypatch
):
    monkeypatch.setattr("define.core.outputs.CPU_ROWS", 5)
    layer = make_pair(7, output=output, **UNTIED).output.double()
    randomise(layer)
    features = torch.randn(3, positions, 7, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(IGNORED, V, (3, positions))
    parts = layer.nll_sum(features, targets)
    log_probs = layer.log_probs(features).gather(-1, targets.clamp(min=0).unsqueeze(-1))
    whole = -(log_probs.squeeze(-1) * (targets != IGNORED)).sum()
    inputs, upstream = [features, *layer.parameters()], torch.tensor(-1.7, dtype=torch.float64)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(layer.nll(features, targets).sum(), whole)
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, inputs, upstream) for loss in (parts, whole))
    )
    with torch.no_grad():
        torch.testing.assert_close(layer.nll_sum(features, targets), parts)


@pytest.mark.parametrize("output", MAPS)
def test_losses_of_types_whose_probability_underflows_are_exact(output):
    layer = make_pair(7, output=output, **UNTIED).output
    with torch.no_grad():
        for table in layer.tables:
            table.mul_(500)
    features, targets = torch.randn(41, 7, requires_grad=True), torch.randint(V, (41,))
    exact = copy.deepcopy(layer).double()
    exact_features = features.detach().double().requires_grad_()
    nll = exact.nll(exact_features, targets)
    assert nll.max() > 1_000  # exp(-1000) is 0 in both types
    loss = layer.nll_sum(features, targets)
    torch.testing.assert_close(loss.double(), nll.sum(), rtol=1e-5, atol=0)
    loss.backward()
    nll.sum().backward()
    torch.testing.assert_close(features.grad.double(), exact_features.grad, rtol=1e-4, atol=1e-3)


class LargestTensor(TorchDispatchMode):
    """Notes the elements of the largest tensor that any operation returns, backward too."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.largest = max(self.largest, leaf.numel())
        return result


def largest_tensor(layer: OutputLayer, features, targets) -> int:
    with LargestTensor() as seen:
        layer.nll_sum(features, targets).backward()
    return seen.largest


@pytest.mark.parametrize("kind", ["adaptive", "projective"])
@pytest.mark.parametrize("in_the_tail", [0, 3])
def test_only_the_logits_that_targets_need_are_computed(kind, in_the_tail, monkeypatch):
    tokens, types, cutoffs = 1_000, 2_000, [20, 200]
    monkeypatch.setattr("define.core.outputs.CPU_ROWS", tokens)
    layer = make_pair(8, types, output=kind, map_dim=8, cutoffs=cutoffs, **UNTIED).output
    features = torch.randn(tokens, 8, requires_grad=True)
    targets = torch.randint(cutoffs[0], (tokens,))
    targets[:in_the_tail] = types - 1
    # No parameter and no part of the tails is as large, all logits would be 2 million.
    assert largest_tensor(layer, features, targets) == tokens * (cutoffs[0] + len(cutoffs))


@pytest.mark.parametrize("output", MAPS)
def test_logits_of_all_positions_are_neither_held_nor_kept(output, monkeypatch):
    tokens, types, rows = 1_000, 2_000, 10
    monkeypatch.setattr("define.core.outputs.CPU_ROWS", rows)
    fields = {"output": output, "map_dim": 8, "cutoffs": [20, 200], **UNTIED}
    layer = make_pair(8, types, **fields).output
    features = torch.randn(tokens, 8, requires_grad=True)
    targets = torch.randint(types, (tokens,))
    assert largest_tensor(layer, features, targets) <= rows * types
    elements = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: elements.append(t.numel()) or t, lambda t: t
    ):
        layer.nll_sum(features, targets)
    assert sum(elements) < tokens * types / 20


def test_it_is_torchs_adaptive_softmax():
    dim, factor, cutoffs = 12, 2, [5, 9, 14]
    theirs = nn.AdaptiveLogSoftmaxWithLoss(dim, V, cutoffs, div_value=factor).double()
    ours = make_pair(dim, output="adaptive", cutoffs=cutoffs, **UNTIED).output.double()
    with torch.no_grad():
        ours.tables[0].copy_(theirs.head.weight[: cutoffs[0]])
        ours.cluster_weight.copy_(theirs.head.weight[cutoffs[0] :])
        for i, (projection, table) in enumerate(theirs.tail, start=1):
            ours.projections[str(i)].copy_(projection.weight.t())
            ours.tables[i].copy_(table.weight)
    features = torch.randn(50, dim, dtype=torch.float64)
    targets = torch.randint(V, (50,))
    torch.testing.assert_close(ours.log_probs(features), theirs.log_prob(features))
    nll, expected = ours.nll(features, targets), theirs(features, targets)
    torch.testing.assert_close(nll, -expected.output)
    torch.testing.assert_close(nll.mean(), expected.loss)

    nll.mean().backward()
    expected.loss.backward()
    head = torch.cat([ours.tables[0].grad, ours.cluster_weight.grad])
    torch.testing.assert_close(head, theirs.head.weight.grad)
    for i, (projection, table) in enumerate(theirs.tail, start=1):
        torch.testing.assert_close(ours.projections[str(i)].grad, projection.weight.grad.t())
        torch.testing.assert_close(ours.tables[i].grad, table.weight.grad)


@pytest.mark.parametrize("ties", ["none", "tables", "tables and projections"])
def test_it_is_fairseqs_adaptive_softmax(ties):
    dim, factor, cutoffs, padding = 12, 2, [5, 9, 14], 2
    inputs = AdaptiveInput(V, padding, dim, factor, dim, cutoffs)
    theirs = AdaptiveSoftmax(
        V,
        dim,
        cutoffs,
        dropout=0.0,
        factor=factor,
        adaptive_inputs=None if ties == "none" else inputs,
        tie_proj=ties == "tables and projections",
    )
    nn.ModuleList([inputs, theirs]).double().eval()
    tied = {"tie_tables": ties != "none", "tie_projections": "projections" in ties}
    pair = make_pair(dim, map="adaptive", output="adaptive", cutoffs=cutoffs, **tied).double()
    ours, map = pair.output, pair.embedding.map
    with torch.no_grad():
        inputs.embeddings[0][1].weight.copy_(torch.eye(dim))  # ours projects tails only
        for i, (table, projection) in enumerate(inputs.embeddings):
            map.tables[i].copy_(table.weight)
            if i:
                map.projections[str(i)].copy_(projection.weight)
        if ties == "none":
            ours.tables[0].copy_(theirs.head.weight[: cutoffs[0]])
            ours.cluster_weight.copy_(theirs.head.weight[cutoffs[0] :])
        else:
            ours.cluster_weight.copy_(theirs.head.class_proj.weight)
        for i, (projection, _, table) in enumerate(theirs.tail, start=1):
            if ties != "tables and projections":
                ours.projections[str(i)].copy_(projection.weight.t())
            if ties == "none":
                ours.tables[i].copy_(table.weight)

    tokens = torch.randint(padding + 1, V, (4, 11))
    features, expected_features = map(tokens), inputs(tokens)
    torch.testing.assert_close(features, expected_features)
    torch.testing.assert_close(
        ours.log_probs(features), theirs.get_log_prob(expected_features, None)
    )
    targets = torch.randint(padding + 1, V, (4, 11))
    targets[0, :3] = padding
    expected = sum(
        F.cross_entropy(logits, own, ignore_index=padding if i == 0 else -100, reduction="sum")
        for i, (logits, own) in enumerate(zip(*theirs(expected_features, targets), strict=True))
    )
    nll = ours.nll(features, targets.masked_fill(targets == padding, IGNORED)).sum()
    torch.testing.assert_close(nll, expected)

    nll.backward()
    expected.backward()
    for i, (table, projection) in enumerate(inputs.embeddings):
        torch.testing.assert_close(map.tables[i].grad, table.weight.grad)
        if i:
            torch.testing.assert_close(map.projections[str(i)].grad, projection.weight.grad)
    entries = theirs.head.weight if ties == "none" else theirs.head.class_proj.weight
    torch.testing.assert_close(ours.cluster_weight.grad, entries.grad[-len(cutoffs) :])


def tied_parameters(pair: nn.Module) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """(the map's, the output layer's) parameters that are meant to be one."""
    map, output, config = pair.embedding.map, pair.output, pair.config
    tables = [map.weight] if config.map == "standard" else list(map.tables)
    pairs = list(zip(tables, output.tables, strict=True)) if config.tie_tables else []
    if config.tie_projections and config.map != "standard":
        assert list(map.projections) == list(output.projections)
        pairs += [(map.projections[key], output.projections[key]) for key in map.projections]
    return pairs


def reload(pair: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(pair.state_dict(), file)
    file.seek(0)
    other = Pair(pair.config, pair.dim)
    other.load_state_dict(torch.load(file, weights_only=True))
    for name, value in other.state_dict().items():
        assert torch.equal(value, pair.state_dict()[name])
    return other


CHANGES = pytest.mark.parametrize(
    "change",
    [lambda m: m, copy.deepcopy, reload, nn.Module.double, nn.Module.half],
    ids=["built", "deepcopy", "load_state_dict", "double", "half"],
)
TIED = [("standard", 12, 1, 0), ("adaptive", 12, 4, 3), ("projective", 8, 4, 4)]


@CHANGES
@pytest.mark.parametrize("ties", list(itertools.product([True, False], repeat=2)))
@pytest.mark.parametrize("kind, dim, tables, projections", TIED)
def test_ties_are_shared_parameters(kind, dim, tables, projections, ties, change):
    tie_tables, tie_projections = ties
    fields = both(kind, tie_tables=tie_tables, tie_projections=tie_projections)
    pair = change(make_pair(dim, **fields))
    tied = tied_parameters(pair)
    assert len(tied) == tie_tables * tables + tie_projections * projections
    assert all(one is other for one, other in tied)
    every_name = dict(pair.named_parameters(remove_duplicate=False))
    distinct = {id(p) for p in every_name.values()}
    assert len(distinct) == len(list(pair.parameters())) == len(every_name) - len(tied)


@CHANGES
@pytest.mark.parametrize(
    "projections, tie, at_input, at_output",
    [
        ("clusters", True, "abcd", "abcd"),
        ("clusters", False, "abcd", "efgh"),
        ("one", True, "aaaa", "baaa"),
        ("one", False, "aaaa", "bcde"),
        ("none", True, "", "abcd"),
        ("none", False, "", "abcd"),
    ],
)
def test_which_projections_are_one(projections, tie, at_input, at_output, change):
    fields = both("projective", projections=projections, tie_projections=tie)
    pair = change(make_pair(8, **fields))
    map, output = pair.embedding.map, pair.output
    names: dict[int, str] = {}  # a letter for each parameter, in the order of first sight
    found = [
        "".join(names.setdefault(id(p), "abcdefgh"[len(names)]) for p in layer.projections.values())
        for layer in (map, output)
    ]
    assert found == [at_input, at_output]
    assert list(output.projections) == ["0", "1", "2", "3"]
    assert map.embedding_dim == (12 if projections == "none" else 8)


@pytest.mark.parametrize("projections", ["one", "none"])
def test_rows_as_wide_as_the_model_need_no_projections(projections):
    pair = make_pair(12, **both("projective", projected_dim=12, projections=projections))
    assert not pair.embedding.map.projections and not pair.output.projections


ORIGINAL = {
    "nll": """1.518022903857 1.69313816982 1.030859003852 1.794932822031 2.208910855956
        0.811310779623 0.463869844208 2.222566716142 4.246969590358""",
    "input": """-2.95716942008 -0.832055640842 -2.103141141366 -3.662710227112
        4.707600485663 3.880506189245""",
    "head": """1.922521340908 2.908286638547 -3.631846241331 -4.388843221286
        1.100241307403 0.744519806731""",
}


def test_one_projection_is_the_layout_of_the_original():
    """Against AdaptiveEmbedding and ProjectedAdaptiveLogSoftmax of kimiyoung/transformer-xl.

    The numbers are theirs, with div_val 1, tables tied and tie_projs false, true, true, true. In
    their head the entries of the clusters are in reverse order.
    """

    def drawn(*shape: int, first: float) -> torch.Tensor:
        return (torch.arange(math.prod(shape), dtype=torch.float64) + first).sin().view(shape)

    types, n, d, cutoffs = 9, 2, 3, [3, 5, 7]
    fields = both("projective", projections="one", scale_embedding=True)
    sizes = {"map_dim": n, "projected_dim": d, "cutoffs": cutoffs}
    pair = make_pair(d, types, **fields, **sizes).double()
    map, output = pair.embedding.map, pair.output
    with torch.no_grad():
        table = drawn(types, n, first=1)
        for own, rows in zip(map.tables, table.tensor_split(cutoffs), strict=True):
            own.copy_(rows)
        map.projections["0"].copy_(drawn(d, n, first=2))
        output.projections["0"].copy_(drawn(d, n, first=3))
        output.bias.copy_(drawn(types, first=4))
        output.cluster_weight.copy_(drawn(3, n, first=5).flip(0))
        output.cluster_bias.copy_(drawn(3, first=6).flip(0))
    tokens = torch.arange(types)
    nll = output.nll(pair.embedding(tokens), tokens * 4 % types)
    nll.sum().backward()
    gradients = map.projections["0"].grad, output.projections["0"].grad
    for found, name in zip((nll, *gradients), ORIGINAL, strict=True):
        theirs = torch.tensor([float(word) for word in ORIGINAL[name].split()], dtype=torch.float64)
        torch.testing.assert_close(found.flatten(), theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("input", ["table", "linear", "mlp", "define"])
@pytest.mark.parametrize("map, output", PAIRS)
def test_every_pair_of_layers_trains(map, output, input):
    fields = FIELDS | UNTIED | {"map": map, "output": output, "input": input}
    fields["cutoffs"] = [5, 9, 14]  # in a cluster of one type there is nothing to learn
    model = AWDLSTM(AWDLSTMConfig(hidden_dim=9, word_dropout=0.0, **fields), V)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    tokens = torch.randperm(V).view(-1, 1)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        output_ = model(tokens[:-1])
        loss = model.output.nll(output_.features, tokens[1:]).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    names = [name for name, _ in model.named_parameters()]
    moved = zip(names, before, model.parameters(), strict=True)
    assert [name for name, old, new in moved if torch.equal(old, new)] == []
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("map, output", PAIRS)
def test_every_parameter_gets_a_gradient_whatever_the_targets(map, output):
    pair = make_pair(7, map=map, output=output, **UNTIED)
    features, tokens = torch.randn(3, 7), torch.zeros(3, dtype=torch.long)
    (pair.embedding(tokens).sum() + pair.output.nll(features, tokens).sum()).backward()
    assert [name for name, p in pair.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("map, output", [pair for pair in PAIRS if pair[0] != pair[1]])
def test_tables_of_another_kind_cannot_be_shared(map, output):
    with pytest.raises(InputError) as caught:
        make_pair(12, map=map, output=output)
    for word in (f"output = {output}", f"map = {map}", "tie_tables=false"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "fields, dim, words",
    [
        ({"output": "softmax"}, 12, ["output = 'softmax'", "standard, adaptive, projective"]),
        ({}, 7, ["reads 7 dimensions", "map_dim = 12", "tie_tables=false"]),
        (both("adaptive"), 7, ["reads 7 dimen", "to 12 dimensions", "tie_projections=false"]),
        (both("projective"), 7, ["reads 7 dimen", "to 8 dimensions", "tie_projections=false"]),
        (
            {"map": "projective", "output": "adaptive", "tie_tables": False},
            8,
            ["output = adaptive) reads 8", "map = projective", "tie_projections=false"],
        ),
        ({"projections": "all"}, 12, ["projections = 'all'", "clusters, one, none"]),
        (both("adaptive", projections="one"), 12, ["= one", "map = adaptive", "map=projective"]),
        ({"projections": "none"}, 12, ["projections = none", "map = standard"]),
        ({"output": "adaptive", "cutoffs": [9, 5], **UNTIED}, 12, ["cutoffs = [9, 5]"]),
        ({"output": "projective", "cutoffs": [5, 23], **UNTIED}, 12, ["[5, 23]", "23 types"]),
        ({"output": "adaptive", "cluster_factor": 0, **UNTIED}, 12, ["cluster_factor = 0"]),
        (
            {"output": "adaptive", "cluster_factor": 3, **UNTIED},
            12,
            ["map_dim = 12", "4 clusters", "cluster_factor = 3"],
        ),
    ],
)
def test_what_does_not_fit_is_refused(fields, dim, words):
    with pytest.raises(InputError) as caught:
        make_pair(dim, **fields)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("parameters", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("output", MAPS)
def test_low_precision_features_give_float32_probabilities(output, parameters):
    layer = make_pair(7, output=output, **UNTIED).output.to(parameters)
    features, targets = torch.randn(31, 7).bfloat16(), torch.randint(V, (31,))
    exact = copy.deepcopy(layer).float()
    expected = (exact.nll(features.float(), targets), exact.log_probs(features.float()))
    found = (layer.nll(features, targets), layer.log_probs(features))
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = (layer.nll(features, targets), layer.log_probs(features))
    for results in (found, under_autocast):
        for one, other in zip(results, expected, strict=True):
            assert one.dtype == torch.float32 and torch.equal(one, other)
    layer.nll_sum(features, targets).backward()
    assert all(p.grad.dtype == parameters for p in layer.parameters())


@pytest.mark.parametrize("output, biases", [("standard", 1), ("adaptive", 0), ("projective", 2)])
def test_initial_values_of_what_the_output_layer_adds(output, biases):
    layer = make_pair(4_000, output=output, map_dim=4_000, **UNTIED).output
    found = [p for p in (layer.bias, layer.cluster_bias) if p is not None]
    assert len(found) == biases and all((p == 0).all() for p in found)
    if output == "standard":
        assert layer.cluster_weight is None
        return
    entries, bound = layer.cluster_weight, math.sqrt(6 / (3 + 4_000))
    assert entries.shape == (3, 4_000)
    # Five standard errors of the deviation of uniform draws; the largest is within 10 / draws.
    assert entries.std().item() == pytest.approx(
        bound / math.sqrt(3), rel=5 / math.sqrt(5 * entries.numel())
    )
    assert bound * (1 - 10 / entries.numel()) < entries.abs().max().item() <= bound


WIKITEXT = {"cutoffs": [20_000, 40_000, 200_000], "cluster_factor": 4, "input": "table"}
WIKITEXT_TYPES = 267_735


@pytest.mark.parametrize(
    "n, published", [(410, 110.04), (384, 103.08), (256, 69.20), (128, 34.73), (64, 17.50)]
)
def test_sizes_of_transformer_xls_layers_are_the_published_ones(n, published):
    kinds = {"map": "projective", "output": "projective", "map_dim": n}
    dim = 410 if n == 410 else 384
    with torch.device("meta"):
        pair = make_pair(dim, WIKITEXT_TYPES, projected_dim=dim, **kinds, **WIKITEXT)
    counted = count_parameters(pair, [pair.embedding], [pair.output])
    projections = 4 * n * 384 if n not in (384, 410) else 0
    assert counted["io"] == WIKITEXT_TYPES * (n + 1) + projections + 3 * (n + 1)
    assert counted["total"] == counted["io"]
    assert f"{counted['io'] / 1e6:.2f}" == f"{published:.2f}"
