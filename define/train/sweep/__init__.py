"""Sweeps of `define train -m`: planned, shown as a table, and run by one of Hydra's launchers."""
