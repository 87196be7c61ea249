"""Options of our optimizers; needs no fairseq."""

import ast
from dataclasses import dataclass, field
from typing import Any

from define.errors import InputError
from define.optim.by_part import FactorFields

LR = "${optimization.lr}"


@dataclass
class SGDOptions(FactorFields):
    momentum: float = field(default=0.0, metadata={"help": "momentum factor"})
    weight_decay: float = field(
        default=0.0, metadata={"help": "weight decay", "argparse_alias": "--wd"}
    )
    lr: list[float] = LR


@dataclass
class NTASGDOptions(FactorFields):
    weight_decay: float = field(default=1.2e-6, metadata={"help": "weight decay"})
    nonmono: int = field(
        default=5, metadata={"help": "number of latest validations that the trigger ignores"}
    )
    lr: list[float] = LR


def require_betas(betas: Any) -> None:
    """Refuses what is not a pair of numbers: fairseq runs a text here as Python code.

    Raises:
        InputError: neither a pair of numbers from 0 to below 1, nor the text of one.
    """
    try:
        pair = ast.literal_eval(betas) if isinstance(betas, str) else betas
        first, second = map(float, pair)
        if 0 <= first < 1 and 0 <= second < 1:
            return
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    raise InputError(
        f"optimizer.adam_betas = {betas} must be two numbers from 0 to below 1, such as "
        f"'(0.9, 0.98)'"
    )


def require_nonmono(nonmono: int) -> None:
    """Raises InputError unless it is at least 0."""
    if nonmono < 0:
        raise InputError(f"optimizer.nonmono = {nonmono} must not be negative")
