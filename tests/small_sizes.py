"""Fields of the small models: n 12, k 40, m 7, N 3, g_max 4; Transformer-XL of 12 dimensions."""

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
