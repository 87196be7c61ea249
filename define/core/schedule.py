"""How many groups and how wide each layer of the transformation is (paper, section 3)."""

from math import ceil, lcm

from define.errors import InputError


def hierarchical_groups(N: int, g_max: int) -> list[int]:
    """Groups of the N layers of an HGT: g_l = max(floor(g_max / 2^(l-1)), 1)."""
    return [max(g_max // 2**layer, 1) for layer in range(N)]


def cyclic_groups(N: int, g_max: int) -> list[int]:
    """Groups of the N layers in the authors' public code: 1, 2, 4, ..., g_max, then from 1 again.

    The order is reversed, so the last layer has one group and reads every feature. Source:
    sacmehta/delight, fairseq/delight_modules/dextra_unit.py, define_config.
    """
    cycle = g_max.bit_length()
    return [2 ** (layer % cycle) for layer in reversed(range(N))]


def expansion_widths(n: int, k: int, groups: list[int], width_multiple: int) -> list[int]:
    """Output widths of the layers, sampled linearly between n (excluded) and k (the last).

    Samples are truncated to integers, as in the authors' public code. Every width but the last is
    rounded up to a multiple of `width_multiple`, of the groups of its own layer and of those of the
    next layer, which split it again. Widths never decrease.

    Args:
        n: width of the input.
        k: width of the last layer.
        groups: groups of each layer.
        width_multiple: 1 keeps the samples as close to the line as the groups allow; 32 gives two
            of Table 4a's totals exactly; the authors' public code uses 8.
    Raises:
        InputError: rounding makes a layer wider than k.
    """
    N = len(groups)
    widths: list[int] = []
    for layer in range(1, N):
        multiple = lcm(width_multiple, groups[layer - 1], groups[layer])
        sample = max([n + (k - n) * layer // N, *widths[-1:]])
        widths.append(ceil(sample / multiple) * multiple)
        if widths[-1] > max(n, k):
            raise InputError(
                f"layer {layer} of model.depth (N) = {N} would be {widths[-1]} wide, more than "
                f"model.expand_dim (k) = {k}: its width must be a multiple of {multiple} because "
                f"of its {groups[layer - 1]} groups, the {groups[layer]} groups of the next layer "
                f"and model.width_multiple = {width_multiple}; use a larger model.expand_dim, or a "
                f"smaller model.max_groups (g_max), model.depth or model.width_multiple"
            )
    return [*widths, k]
