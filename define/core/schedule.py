"""How many groups and how wide each layer of the transformation is (paper, section 3)."""

from math import ceil, lcm

from define.errors import InputError


def hierarchical_groups(N: int, g_max: int) -> list[int]:
    """Groups of the N layers of an HGT: g_l = max(floor(g_max / 2^(l-1)), 1)."""
    return [max(g_max // 2**layer, 1) for layer in range(N)]


def cyclic_groups(N: int, g_max: int) -> list[int]:
    """Groups of the N layers of the authors' public code: 1, 2, 4, ... up to g_max, and again.

    In reverse order, so that the last layer has one group and reads every feature. Source:
    sacmehta/delight, fairseq/delight_modules/dextra_unit.py, define_config.
    """
    cycle = g_max.bit_length()
    return [2 ** (layer % cycle) for layer in reversed(range(N))]


def expansion_widths(n: int, k: int, groups: list[int], width_multiple: int) -> list[int]:
    """Output widths of the layers, sampled linearly between n (excluded) and k (the last).

    The samples are cut to whole numbers, as the authors' public code does. Every width but the last
    is rounded up to a multiple of `width_multiple`, of its own layer's groups and of the next
    layer's, which split it again, and is no less than the one before.

    Args:
        n: width of the input.
        k: width of the last layer.
        groups: groups of each layer.
        width_multiple: 1 keeps the samples as near to the line as the groups allow; 32 gives two of
            Table 4a's totals exactly, 8 is that of the authors' public code.
    Raises:
        InputError: rounding makes a layer wider than k.
    """
    N = len(groups)
    widths = []
    for layer in range(1, N):
        multiple = lcm(width_multiple, groups[layer - 1], groups[layer])
        sample = max([n + (k - n) * layer // N, *widths[-1:]])
        widths.append(ceil(sample / multiple) * multiple)
        if widths[-1] > max(n, k):
            raise InputError(
                f"layer {layer} of {N} would be {widths[-1]} wide, more than k = {k}: widths grow "
                f"from n = {n} to k in multiples of {multiple}; take a larger k, a smaller N or a "
                f"smaller width_multiple"
            )
    return [*widths, k]
