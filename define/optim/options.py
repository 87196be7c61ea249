"""Options of our optimizers; needs no fairseq."""

from dataclasses import dataclass, field

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


def require_nonmono(nonmono: int) -> None:
    """Raises InputError unless it is at least 0."""
    if nonmono < 0:
        raise InputError(f"optimizer.nonmono = {nonmono} must not be negative")
