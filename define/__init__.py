"""DeFINE: deep factorized input token embeddings, reproduced.

This folder is also the fairseq user directory (`--user-dir define`). `define.core` needs only
torch. fairseq is imported by `define.{models,tasks,criterions,optim}` and for training, but not by
the modules that only declare options.
"""

__version__ = "0.1.0"
