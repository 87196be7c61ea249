"""DeFINE: deep factorized input token embeddings, reproduced.

This folder is also the fairseq user directory (`--user-dir define`). Importing it needs torch alone
at most: fairseq is imported by `define.models`, `define.tasks`, `define.criterions` and `define.optim` only.
"""

__version__ = "0.1.0"
