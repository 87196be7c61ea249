"""Hyper-parameter search (`define search`): the space, the plan and its study with Optuna."""
