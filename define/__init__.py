"""DeFINE: deep factorized input token embeddings, reproduced.

This folder is also the fairseq user directory (`--user-dir define`). `define.core` needs torch
alone; fairseq is imported by `define.{models,tasks,criterions,optim}` and by what trains, not by
the options beside them.
"""

__version__ = "0.1.0"
