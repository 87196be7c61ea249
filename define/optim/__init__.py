"""Optimizers; importing the package registers them with fairseq."""

from define.optim import adam, nt_asgd, sgd  # noqa: F401
