"""Options of our criterion, without fairseq."""

from dataclasses import dataclass, field

from define.errors import InputError


@dataclass
class LanguageModelingCriterionOptions:
    ar: float = field(
        default=0.0, metadata={"help": "alpha of AR: L2 on the last layer's dropped output"}
    )
    tar: float = field(
        default=0.0, metadata={"help": "beta of TAR: L2 on the change of the raw output over time"}
    )


def require_penalties(ar: float, tar: float) -> None:
    """Raises InputError unless both are at least 0."""
    if ar < 0 or tar < 0:
        raise InputError(f"criterion.ar = {ar} and tar = {tar} must not be negative")
