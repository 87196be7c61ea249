"""Small models: n 12, k 40, m 7, N 3, g_max 4; Transformer-XL of 12; running one in parts."""

import torch

SMALL = {
    "map_dim": 12,
    "expand_dim": 40,
    "reduce_dim": 7,
    "depth": 3,
    "max_groups": 4,
    "width_multiple": 1,
    "unit_dropout": 0.0,
}
SMALL_TXL = {
    "map": "standard",
    "output": "standard",
    "map_dim": 12,
    "model_dim": 12,
    "inner_dim": 21,
    "layers": 3,
    "heads": 3,
    "head_dim": 5,
    "memory_length": 5,
}


def in_segments(model, tokens: torch.Tensor, length: int) -> torch.Tensor:
    """Features of the whole, computed `length` tokens at a time with the state carried."""
    parts, state = [], None
    for segment in tokens.split(length):
        output = model(segment, state)
        parts.append(output.features)
        state = output.state
    return torch.cat(parts)
