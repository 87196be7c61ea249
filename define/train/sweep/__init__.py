"""Sweeps (`define train -m`): planned, then run by one of Hydra's launchers."""
