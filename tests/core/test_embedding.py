"""The DeFINE embedding: once per distinct token = per position, and the fold = the unit."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from define.core.embedding import DefineEmbedding

INPUTS = ["table", "linear", "mlp", "define"]
CLUSTERS = {"cutoffs": [2, 5], "cluster_factor": 2, "projected_dim": 8, "scale_embedding": True}
MAPS = [{}, {"map": "adaptive"} | CLUSTERS, {"map": "projective"} | CLUSTERS]
MAP_NAMES = ["standard", "adaptive", "projective"]
SHAPES = [(), (9,), (4, 5), (2, 3, 4), (0,), (3, 0)]


class RowCounter:
    """Counts how many rows a unit computes."""

    def __init__(self, unit: nn.Module):
        self.rows: list[int] = []
        unit.register_forward_pre_hook(lambda _, args: self.rows.append(args[0][..., 0].numel()))


def with_padding(embedding: DefineEmbedding, padding_idx: int) -> DefineEmbedding:
    return DefineEmbedding(
        embedding.map,
        embedding.unit,
        per_position=embedding.per_position,
        padding_idx=padding_idx,
        scale=embedding.scale,
    )


@pytest.mark.parametrize("padding_idx", [None, 3])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("input", INPUTS)
@pytest.mark.parametrize("map", MAPS, ids=MAP_NAMES)
def test_per_distinct_token_is_per_position(
    map, input, shape, padding_idx, make_embedding, randomise
):
    distinct = with_padding(make_embedding(7, input=input, **map), padding_idx).double()
    randomise(distinct)
    per_position = copy.deepcopy(distinct)
    per_position.per_position = True

    tokens = torch.randint(7, shape)
    e_o, expected = distinct(tokens), per_position(tokens)
    assert e_o.shape == (*shape, distinct.embedding_dim)
    torch.testing.assert_close(e_o, expected)

    upstream = torch.randn_like(e_o)
    torch.testing.assert_close(
        torch.autograd.grad(e_o, list(distinct.parameters()), upstream),
        torch.autograd.grad(expected, list(per_position.parameters()), upstream),
    )


def test_it_is_the_unit_of_the_tables_rows(make_embedding):
    embedding = make_embedding()
    tokens = torch.tensor([[4, 4], [0, 22]])
    torch.testing.assert_close(embedding(tokens), embedding.unit(embedding.map.weight[tokens]))


@pytest.mark.parametrize("distinct, rows", [(0, 0), (1, 4), (4, 4), (5, 8), (23, 24)])
def test_the_unit_runs_once_per_distinct_token_and_for_padding(
    distinct, rows, make_embedding, monkeypatch
):
    monkeypatch.setattr("define.core.embedding.ROWS", 4)
    embedding = make_embedding()
    counter = RowCounter(embedding.unit)
    tokens = torch.arange(distinct).expand(3, -1)
    embedding(tokens)
    assert counter.rows == [rows]
    embedding.per_position = True
    embedding(tokens)
    assert counter.rows == [rows, 3 * distinct]


@pytest.mark.parametrize("map", MAPS, ids=MAP_NAMES)
def test_rows_of_padding_get_no_gradient(map, make_embedding):
    embedding = make_embedding(**map)
    embedding(torch.tensor([3, 1, 3])).square().sum().backward()
    rows = embedding.map.weight if map == {} else embedding.map.tables[0]
    assert (rows.grad[0] == 0).all() and (rows.grad[1] != 0).any()


@pytest.mark.parametrize("input", ["linear", "define"])
def test_gradients_of_a_tokens_many_places_add_up_under_autocast(input, make_embedding):
    """Summed in bfloat16, 1 added to 256 is lost: the gradient would be 4 times too small."""
    embedding = make_embedding(input=input)
    tokens = torch.tensor([3]).expand(1024)
    with torch.autocast("cpu", torch.bfloat16):
        (many,) = torch.autograd.grad(embedding(tokens).sum(), embedding.map.weight)
        (one,) = torch.autograd.grad(embedding(tokens[:1]).sum(), embedding.map.weight)
    torch.testing.assert_close(many, 1024 * one, rtol=0.01, atol=0.01)


def test_per_position_is_an_option_of_the_config(make_embedding):
    embedding = make_embedding(per_position=True)
    counter = RowCounter(embedding.unit)
    embedding(torch.tensor([1, 1, 1]))
    assert counter.rows == [3]


@pytest.mark.parametrize("per_position", [False, True])
def test_padding_is_zero_and_gets_no_gradient(per_position, make_embedding):
    embedding = with_padding(make_embedding(per_position=per_position), 3)
    e_o = embedding(torch.tensor([3, 4, 3]))
    assert (e_o[[0, 2]] == 0).all() and (e_o[1] != 0).any()
    e_o.sum().backward()
    assert (embedding.map.weight.grad[3] == 0).all()
    assert (embedding.map.weight.grad[4] != 0).any()

    embedding.zero_grad()
    embedding(torch.tensor([3, 3])).sum().backward()
    assert all((parameter.grad == 0).all() for parameter in embedding.parameters())
    assert (embedding.cache()[3] == 0).all()


@pytest.mark.parametrize("input", INPUTS)
@pytest.mark.parametrize("map", MAPS, ids=MAP_NAMES)
@pytest.mark.parametrize("chunk", [1, 7, 23, 4096])
def test_the_fold_is_the_unit_for_every_token(chunk, map, input, make_embedding):
    embedding = make_embedding(input=input, **map).eval()
    tokens = torch.arange(23).reshape(1, 23)
    with torch.no_grad():
        expected = embedding(tokens)
        table = embedding.cache(chunk)
        assert embedding.cached and table.shape == (23, embedding.embedding_dim)
        torch.testing.assert_close(embedding(tokens), expected)
        torch.testing.assert_close(table, expected[0])


def test_the_fold_replaces_the_unit(make_embedding):
    embedding = make_embedding()
    embedding.cache()
    counter = RowCounter(embedding.unit)
    for shape in SHAPES:
        assert embedding(torch.randint(23, shape)).shape == (*shape, 7)
    assert counter.rows == []


def test_the_fold_is_computed_without_dropout(make_embedding):
    embedding = make_embedding(unit_dropout=0.5).train()
    table = embedding.cache()
    assert not embedding.training
    assert torch.equal(table, embedding.cache())


def step_of(optimizer_class, **options):
    def step(embedding: DefineEmbedding) -> None:
        for parameter in embedding.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer_class(embedding.parameters(), lr=0.1, **options).step()

    return step


def load_other_weights(embedding: DefineEmbedding) -> None:
    embedding.load_state_dict({k: v + 1 for k, v in embedding.state_dict().items()})


def write_in_place(embedding: DefineEmbedding) -> None:
    with torch.no_grad():
        next(embedding.unit.parameters()).mul_(2)


def train_and_take_a_fused_step(embedding: DefineEmbedding) -> None:
    embedding.train()
    step_of(torch.optim.Adam, fused=True)(embedding)
    embedding.eval()


CHANGES = {
    "sgd": step_of(torch.optim.SGD, foreach=False),
    "sgd, foreach": step_of(torch.optim.SGD, foreach=True),
    "adam": step_of(torch.optim.Adam, foreach=False),
    "training, fused adam": train_and_take_a_fused_step,
    "load_state_dict": load_other_weights,
    "in place": write_in_place,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_parameter_drops_the_fold(change, make_embedding):
    embedding = make_embedding()
    before = embedding.cache().clone()
    change(embedding)
    assert not embedding.cached
    tokens = torch.arange(23)
    after = embedding(tokens)
    torch.testing.assert_close(after, embedding.unit(embedding.map(tokens)))
    assert not torch.allclose(after, before)


def test_training_drops_the_fold(make_embedding):
    model = nn.Sequential(make_embedding(), nn.Linear(7, 2))
    model[0].cache()
    model.train()
    assert not model[0].cached
    model(torch.tensor([1, 2])).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model[0].cache()
    model.eval()
    assert model[0].cached


@pytest.mark.parametrize("input", ["table", "define"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_another_dtype_drops_the_fold(input, dtype, make_embedding):
    embedding = make_embedding(input=input)
    embedding.cache()
    embedding.to(dtype)
    assert not embedding.cached
    tokens = torch.arange(23)
    with torch.no_grad():
        expected = embedding(tokens)
        assert expected.dtype == dtype
        assert embedding.cache().dtype == dtype
        torch.testing.assert_close(embedding(tokens), expected)


def test_a_rounding_there_and_back_drops_the_fold(make_embedding):
    embedding = make_embedding(input="table")
    for _ in range(20):  # the new tensor often lies where the old one lay
        nn.init.uniform_(embedding.map.weight)
        embedding.cache()
        embedding.half().float()
        assert torch.equal(embedding(torch.arange(23)), embedding.map.weight)


def test_another_device_drops_the_fold(make_embedding):
    embedding = make_embedding()
    embedding.cache()
    embedding.to("meta")
    assert not embedding.cached
    embedding.per_position = True  # the number of distinct tokens is unknown on meta
    assert embedding(torch.empty(3, dtype=torch.long, device="meta")).device.type == "meta"


def test_the_fold_is_neither_saved_nor_shared(make_embedding):
    embedding = make_embedding()
    names = set(embedding.state_dict())
    embedding.cache()
    assert set(embedding.state_dict()) == names
    twin = copy.deepcopy(embedding)
    write_in_place(twin)
    assert embedding.cached and not twin.cached


class Tagger(nn.Module):
    """A small model that knows its input layer only as an `nn.Embedding`."""

    def __init__(self, embedding: nn.Module):
        super().__init__()
        self.embedding = embedding
        self.rnn = nn.GRU(embedding.embedding_dim, 5)
        self.output = nn.Linear(5, embedding.num_embeddings)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        features, _ = self.rnn(self.embedding(tokens))
        return self.output(features).flatten(0, 1)


def losses(model: nn.Module, tokens: torch.Tensor, steps: int) -> list[float]:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    history = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(tokens), tokens.flatten())
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    return history


def test_it_stands_in_for_an_embedding(make_embedding):
    tokens = torch.randint(11, (6, 3))
    plain = Tagger(nn.Embedding(11, 12, padding_idx=2))
    wrapped = copy.deepcopy(plain)
    wrapped.embedding = DefineEmbedding(wrapped.embedding, None, padding_idx=2)
    assert losses(plain, tokens, 5) == pytest.approx(losses(wrapped, tokens, 5), rel=1e-6)

    model = Tagger(make_embedding(11))
    history = losses(model, tokens, 40)
    assert history[-1] < 0.3 * history[0]
    copy_of_it = Tagger(make_embedding(11))
    copy_of_it.load_state_dict(model.state_dict())
    torch.testing.assert_close(copy_of_it(tokens), model(tokens))


@pytest.mark.parametrize("input", INPUTS)
def test_its_dimension_is_the_width_of_what_it_returns(input, make_embedding):
    embedding = make_embedding(input=input)
    assert embedding(torch.tensor([1])).shape == (1, embedding.embedding_dim)
    with pytest.raises(TypeError):
        DefineEmbedding(embedding.map, embedding.unit, output_dim=999)
