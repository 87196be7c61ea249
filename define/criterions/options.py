"""Options of our criterions; needs no fairseq."""

import math
from dataclasses import dataclass, field

from omegaconf import II

from define.errors import InputError


@dataclass
class LanguageModelingCriterionOptions:
    ar: float = field(
        default=0.0,
        metadata={"help": "alpha of AR: L2 penalty on the last layer's output after dropout"},
    )
    tar: float = field(
        default=0.0,
        metadata={
            "help": "beta of TAR: L2 penalty on the change over time of the output before dropout"
        },
    )


@dataclass
class TranslationCriterionOptions:
    label_smoothing: float = field(
        default=0.0,
        metadata={"help": "probability that the target leaves to the other types, evenly"},
    )
    sentence_avg: bool = II("optimization.sentence_avg")


def require_smoothing(smoothing: float) -> None:
    """Raises InputError unless it is a probability below 1."""
    if not 0 <= smoothing < 1:
        raise InputError(
            f"criterion.label_smoothing = {smoothing} must be at least 0 and below 1, such as 0.1"
        )


def require_penalties(ar: float, tar: float) -> None:
    """Raises InputError unless both are finite and at least 0."""
    if not (0 <= ar < math.inf and 0 <= tar < math.inf):
        raise InputError(
            f"criterion.ar = {ar} and criterion.tar = {tar} must be finite and at least 0"
        )
