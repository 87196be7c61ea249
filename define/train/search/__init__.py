"""Hyper-parameter search, `define search`: its plan, the space, what draws from it, the trials."""
