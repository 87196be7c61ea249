"""The group linear transformation against a loop over groups; the shuffle against its text."""

import math

import pytest
import slow_reference as reference
import torch
from torch import nn

from define.core.group_linear import GroupLinear, require_divisible, shuffle_features
from define.errors import InputError


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    "in_features, out_features, groups",
    [(1, 1, 1), (7, 5, 1), (6, 9, 3), (5, 5, 5), (14, 21, 7), (10, 4, 2)],
)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1, 3)])
def test_outputs_and_gradients_are_those_of_the_loop(
    in_features, out_features, groups, bias, shape, randomise
):
    layer = GroupLinear(in_features, out_features, groups, bias).double()
    randomise(layer)
    x = torch.randn(*shape, in_features, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    rows = x.reshape(-1, in_features)
    expected = torch.stack([reference.group_linear(row, layer.weight, layer.bias) for row in rows])
    expected = expected.reshape(*shape, out_features)
    torch.testing.assert_close(y, expected)

    inputs = [x, *layer.parameters()]
    upstream = torch.randn_like(y)
    torch.testing.assert_close(
        torch.autograd.grad(y, inputs, upstream), torch.autograd.grad(expected, inputs, upstream)
    )


def test_one_group_is_a_linear_layer(randomise):
    layer, linear = GroupLinear(7, 5, bias=True), nn.Linear(7, 5)
    randomise(layer)
    with torch.no_grad():
        linear.weight.copy_(layer.weight[0].t())
        linear.bias.copy_(layer.bias)
    x = torch.randn(2, 3, 7)
    torch.testing.assert_close(layer(x), linear(x))


def test_a_group_reads_its_own_features_only():
    layer = GroupLinear(6, 9, groups=3)
    x = torch.randn(6)
    changed = x.clone()
    changed[2:4] += 1
    assert ((layer(x) != layer(changed)).nonzero().flatten() == torch.tensor([3, 4, 5])).all()


@pytest.mark.parametrize("groups", [1, 4])
def test_no_rows_give_no_rows(groups):
    assert GroupLinear(8, 12, groups, bias=True)(torch.empty(2, 0, 8)).shape == (2, 0, 12)


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_weights_are_in_times_out_over_groups(groups):
    layer = GroupLinear(16, 24, groups, bias=True)
    assert layer.weight.numel() == 16 * 24 // groups
    assert layer.bias.numel() == 24


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("share", [False, True])
def test_initial_weights_are_uniform_up_to_the_bound_of_their_group(groups, share):
    layer = GroupLinear(400, 600, groups, bias=True, share=share)
    bound = math.sqrt(6 / (400 // groups + 600 // groups))
    for weight in layer.weight.detach():
        assert 0.999 * bound < weight.abs().max() <= bound
        assert weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)
        assert weight.mean() == pytest.approx(0, abs=0.02 * bound)
    assert (layer.bias == 0).all()


@pytest.mark.parametrize(
    "in_features, out_features, groups, message",
    [
        (7, 8, 4, "in_features = 7 cannot be split into 4 equal groups; use a multiple of 4"),
        (8, 7, 4, "out_features = 7 cannot be split into 4 equal groups; use a multiple of 4"),
        (0, 8, 1, "in_features = 0"),
        (8, 8, 0, "in_features = 8 cannot be split into 0 equal groups"),
        (8, -4, 2, "out_features = -4"),
    ],
)
def test_sizes_that_do_not_split_are_refused(in_features, out_features, groups, message):
    with pytest.raises(InputError) as caught:
        GroupLinear(in_features, out_features, groups)
    assert message in str(caught.value)


def test_require_divisible_lets_multiples_pass():
    require_divisible("k", 12, 4)


@pytest.mark.parametrize("width, groups", [(12, 1), (12, 3), (12, 4), (12, 12), (35, 5)])
def test_the_shuffle_transposes_groups_and_features(width, groups):
    x = torch.arange(width)
    shuffled = shuffle_features(x, groups)
    assert sorted(shuffled.tolist()) == x.tolist()
    assert shuffled.tolist() == reference.shuffle(x, groups).tolist()
    batch = torch.stack([x, -x]).unsqueeze(0)
    assert torch.equal(shuffle_features(batch, groups), torch.stack([shuffled, -shuffled])[None])


def test_the_shuffle_spreads_every_group_over_all_groups():
    groups_of_features = torch.arange(12) // 4  # 3 groups of 4
    assert shuffle_features(groups_of_features, 3).tolist() == [0, 1, 2] * 4


def test_shuffling_back_needs_the_other_factor():
    x = torch.randn(5, 12)
    assert torch.equal(shuffle_features(shuffle_features(x, 3), 4), x)
