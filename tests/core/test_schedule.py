"""Groups and widths of the layers, against closed forms, a slow search and the paper's tables."""

import itertools

import pytest
import slow_reference as reference

from define.core.schedule import cyclic_groups, expansion_widths, hierarchical_groups
from define.core.unit import UnitConfig
from define.errors import InputError

# Table 1a without the unit: (input-output + context) parameters, see also Table 4's n = 384.
TABLE_1A_REST = {
    256: 9_253_212 + 23_357_440,
    384: 13_895_946 + 24_734_720,
    512: 18_549_432 + 26_243_072,
}


@pytest.mark.parametrize(
    "N, g_max, expected",
    [
        (7, 64, [64, 32, 16, 8, 4, 2, 1]),
        (3, 4, [4, 2, 1]),
        (4, 6, [6, 3, 1, 1]),
        (5, 100, [100, 50, 25, 12, 6]),
        (4, 7, [7, 3, 1, 1]),
        (3, 1, [1, 1, 1]),
        (1, 16, [16]),
    ],
)
def test_groups_halve_and_stop_at_one(N, g_max, expected):
    assert hierarchical_groups(N, g_max) == expected


@pytest.mark.parametrize(
    "N, g_max, expected",
    [
        (3, 16, [4, 2, 1]),
        (7, 16, [2, 1, 16, 8, 4, 2, 1]),
        (4, 6, [1, 4, 2, 1]),
        (2, 1, [1, 1]),
        (1, 8, [1]),
    ],
)
def test_the_released_groups_double_from_the_last_layer_and_begin_again(N, g_max, expected):
    assert cyclic_groups(N, g_max) == expected


def test_groups_are_the_closed_form():
    for N, g_max in itertools.product(range(1, 12), range(1, 70)):
        for groups, released in ((hierarchical_groups, False), (cyclic_groups, True)):
            expected = reference.groups_of_layers("hgt", N, g_max, released)
            assert groups(N, g_max) == expected


def test_widths_grow_to_k_and_split_on_both_sides():
    checked = 0
    for n, k, N, g_max, multiple in itertools.product(
        (12, 60, 84, 384), (384, 420, 1024), range(1, 9), (1, 4, 6, 7, 12), (1, 4, 32)
    ):
        groups = hierarchical_groups(N, g_max)
        expected = reference.widths_of_layers(n, k, groups, multiple)
        if max(expected) > k:
            with pytest.raises(InputError, match=f"\\(k\\) = {k}"):
                expansion_widths(n, k, groups, multiple)
            continue
        widths = expansion_widths(n, k, groups, multiple)
        assert widths == expected
        assert widths == sorted(widths) and widths[-1] == k and len(widths) == N
        for width, own, following in zip(widths, groups, groups[1:], strict=False):
            assert width % multiple == width % own == width % following == 0
        checked += 1
    assert checked > 500


def test_the_refusal_names_the_layer_its_width_and_the_ways_out():
    with pytest.raises(InputError) as caught:
        expansion_widths(8, 60, [1, 1, 1], width_multiple=32)
    for words in ("layer 2 of model.depth (N) = 3", "64 wide", "(k) = 60", "width_multiple = 32"):
        assert words in str(caught.value)


TABLE_4A = {"n": 384, "k": 1024, "m": 384, "N": 7, "connection": "none", "unit": "text"}


def test_linear_of_table_4a():
    config = UnitConfig(**TABLE_4A, g_max=1, transformation="linear")
    widths = [480, 576, 672, 768, 864, 960, 1024]
    assert expansion_widths(384, 1024, [1] * 7, 32) == widths
    assert config.layer_shapes() == [
        (a, b, 1) for a, b in zip([384, *widths], widths, strict=False)
    ]
    assert config.num_parameters() == 4_233_216
    assert round((TABLE_1A_REST[384] + 4_233_216) / 1e6, 2) == 42.86


@pytest.mark.parametrize("transformation", ["glt", "glt_shuffle"])
def test_glt_of_table_4a(transformation):
    config = UnitConfig(**TABLE_4A, g_max=4, transformation=transformation)
    assert config.num_parameters() == 1_058_304
    assert round((TABLE_1A_REST[384] + 1_058_304) / 1e6, 2) == 39.69


@pytest.mark.parametrize(
    "n, N, total",
    [(256, 3, 32.96), (384, 7, 41.41), (512, 11, 52.96)],
    ids=lambda value: f"{value}",
)
def test_the_literal_formula_gives_the_orientation_totals(n, N, total):
    config = UnitConfig(n=n, k=1024, m=n, N=N, g_max=64, unit="text")
    assert round((TABLE_1A_REST[n] + config.num_parameters()) / 1e6, 2) == total


def test_the_literal_formula_gives_transformer_xls_unit():
    config = UnitConfig(n=384, k=4096, m=384, N=3, g_max=64, unit="text")
    assert round(config.num_parameters() / 1e6, 2) == 2.60
