"""Optim registered with fairseq."""
