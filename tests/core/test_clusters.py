"""Tables in clusters: a loop over tokens, fairseq's adaptive input, initial values, refusals."""

import math

import pytest
import slow_reference as reference
import torch
from fairseq.modules.adaptive_input import AdaptiveInput
from torch import nn

from define.core.clusters import ClusteredEmbedding, cluster_edges, new_projections, new_tables
from define.errors import InputError

V, CUTOFFS = 23, [5, 9, 10]
WIDTHS = {"adaptive": [12, 6, 3, 1], "projective": [12] * 4, "one of them narrower": [8, 8, 5, 8]}


def make_map(kind: str, dim: int, cutoffs: list[int] = CUTOFFS) -> ClusteredEmbedding:
    return ClusteredEmbedding(cluster_edges(V, cutoffs), WIDTHS[kind], dim).double()


@pytest.mark.parametrize("shape", [(), (31,), (4, 9), (2, 3, 5), (0,), (3, 0)])
@pytest.mark.parametrize("dim", [12, 8, 7])
@pytest.mark.parametrize("kind", WIDTHS)
def test_rows_and_gradients_are_those_of_the_loop(kind, dim, shape, randomise):
    layer = make_map(kind, dim)
    randomise(layer)
    tokens = torch.randint(V, shape)
    rows = layer(tokens)
    assert rows.shape == (*shape, dim)
    if tokens.numel() == 0:
        return
    parameters = dict(layer.named_parameters())
    expected = [
        reference.clustered_embedding(token, parameters, CUTOFFS)
        for token in tokens.flatten().tolist()
    ]
    expected = torch.stack(expected).view(*shape, dim)
    torch.testing.assert_close(rows, expected)
    upstream = torch.randn_like(rows)
    torch.testing.assert_close(
        torch.autograd.grad(rows, list(parameters.values()), upstream),
        torch.autograd.grad(
            expected, list(parameters.values()), upstream, materialize_grads=True, allow_unused=True
        ),
    )


def test_the_first_and_last_type_of_every_cluster():
    layer = make_map("projective", 12)
    table = torch.cat(list(layer.tables))
    tokens = torch.tensor([0, 4, 5, 8, 9, 10, 22])
    assert torch.equal(layer(tokens), table[tokens])


@pytest.mark.parametrize("token", [-1, V])
def test_a_token_outside_of_the_vocabulary_is_an_error(token):
    with pytest.raises(RuntimeError):
        make_map("adaptive", 12)(torch.tensor([0, token]))


def test_it_is_fairseqs_adaptive_input():
    dim, factor, padding, cutoffs = 12, 2, 3, [5, 9, 14]
    theirs = AdaptiveInput(V, padding, dim, factor, dim, cutoffs).double()
    ours = make_map("adaptive", dim, cutoffs)
    with torch.no_grad():
        theirs.embeddings[0][1].weight.copy_(torch.eye(dim))  # ours projects tails only
        for i, (table, projection) in enumerate(theirs.embeddings):
            ours.tables[i].copy_(table.weight)
            if i:
                ours.projections[str(i)].copy_(projection.weight)
    tokens = torch.cat([torch.arange(V), torch.randint(V, (20,))]).view(1, -1)
    rows, expected = ours(tokens), theirs(tokens)
    torch.testing.assert_close(rows, expected)

    upstream = torch.randn_like(rows)
    rows.backward(upstream)
    expected.backward(upstream)
    ours.tables[0].grad[padding] = 0  # the one row that fairseq does not train
    for i, (table, projection) in enumerate(theirs.embeddings):
        torch.testing.assert_close(ours.tables[i].grad, table.weight.grad)
        if i:
            torch.testing.assert_close(ours.projections[str(i)].grad, projection.weight.grad)


def test_a_cluster_without_tokens_gets_a_gradient_of_zeros():
    layer = make_map("adaptive", 12)
    layer(torch.tensor([1, 2])).sum().backward()
    assert all((p.grad == 0).all() for name, p in layer.named_parameters() if name != "tables.0")


@pytest.mark.parametrize("kind, dim", [("adaptive", 12), ("adaptive", 7), ("projective", 7)])
def test_autocast_projects_low_and_returns_the_tables_precision(kind, dim):
    layer = make_map(kind, dim).float()
    tokens = torch.arange(V)
    with torch.autocast("cpu", torch.bfloat16):
        rows = layer(tokens)
    assert rows.dtype == torch.float32
    assert torch.equal(rows[:5], layer(tokens)[:5]) == (dim == 12)
    torch.testing.assert_close(rows, layer(tokens), rtol=0.05, atol=0.02)


def test_tables_are_normal_with_variance_one_over_their_width():
    edges, widths = cluster_edges(9_000, [1_000, 4_000]), [64, 16, 4]
    for table, size, width in zip(
        new_tables(edges, widths), (1_000, 3_000, 5_000), widths, strict=True
    ):
        draws = size * width
        assert table.shape == (size, width)
        std = width**-0.5
        # Five standard errors: std / sqrt(draws) of a mean, std / sqrt(2 draws) of a deviation.
        assert table.mean().item() == pytest.approx(0, abs=5 * std / math.sqrt(draws))
        assert table.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * draws))
        within = (table.abs() < std).double().mean().item()
        assert within == pytest.approx(math.erf(2**-0.5), abs=5 * 0.47 / math.sqrt(draws))


def test_projections_are_xavier_uniform_and_only_where_needed():
    projections = new_projections([64, 16, 4], 64)
    assert list(projections) == ["1", "2"]
    for name, width in (("1", 16), ("2", 4)):
        projection, bound = projections[name], math.sqrt(6 / (64 + width))
        assert projection.shape == (64, width)
        largest = projection.abs().max().item()
        # The largest of so many draws lies within 10 / draws of the bound but once in e^10 times.
        assert bound * (1 - 10 / projection.numel()) < largest <= bound
        assert projection.std().item() == pytest.approx(
            bound / math.sqrt(3), rel=5 / math.sqrt(projection.numel())
        )


@pytest.mark.parametrize("cutoffs", [[0], [-3], [5, 5], [9, 5], [23], [5, 24]])
def test_impossible_cutoffs_are_refused(cutoffs):
    with pytest.raises(InputError) as caught:
        cluster_edges(V, cutoffs)
    for word in (f"cutoffs = {cutoffs}", "must increase", "23 types"):
        assert word in str(caught.value)


def test_edges():
    assert cluster_edges(V, []) == [0, V]
    assert cluster_edges(V, [1, 22]) == [0, 1, 22, V]


def test_it_stands_in_for_an_embedding():
    layer = make_map("adaptive", 12)
    assert (layer.num_embeddings, layer.embedding_dim) == (V, 12)
    assert isinstance(layer, nn.Module) and set(layer.state_dict()) == {
        *(f"tables.{i}" for i in range(4)),
        *(f"projections.{i}" for i in range(1, 4)),
    }
