"""Plain PyTorch: the DeFINE unit, embedding layers and language models, importable without fairseq.

Shape legend, used in docstrings and as suffixes where shapes change:
    T: time steps    B: streams (batch)    V: types in the vocabulary    P: any positions, flattened
Symbols of the paper: n, k, m: dimensions of e_i (map), e-hat (expand), e_o (reduce); N: depth;
g_max: groups of the first layer.
"""
