"""Benchmarks, steps at full size and the signal of the unit, `define bench` and `define step`."""
