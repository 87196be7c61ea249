"""Optimizers registered with fairseq, and their options."""
