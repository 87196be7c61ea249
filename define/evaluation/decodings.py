"""How a trained model translates: the settings of a beam search."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from define.evaluation import settings
from define.evaluation.settings import check_fields


@dataclass(frozen=True)
class Decoding:
    """How hypotheses are searched for.

    Attributes:
        beam: hypotheses kept per sentence.
        length_penalty: a hypothesis' log-probability is divided by its length to this power; 1 is
            OpenNMT-py's "avg", Vaswani et al. have 0.6.
        max_len_a, max_len_b: a hypothesis has at most a * (source length) + b tokens.
        max_tokens: source tokens translated at a time, padding included.
        cache: read the input layers folded into tables.
        average: take the mean of the weights of so many last checkpoints; 0 takes the best one.
    Raises:
        InputError: a value of the wrong type or range.
    """

    beam: int = 5
    length_penalty: float = 1.0
    max_len_a: float = 0.0
    max_len_b: int = 200
    max_tokens: int = 4096
    cache: bool = True
    average: int = 0

    def __post_init__(self) -> None:
        least = {"beam": 1, "max_len_a": 0, "max_len_b": 1, "max_tokens": 1, "average": 0}
        check_fields(self, least)

    def settings(self) -> dict[str, Any]:
        """All of it, plain."""
        return asdict(self)


def parse(section: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Decoding]:
    """The translations of a config's `run.translations`; see `define.evaluation.settings.parse`."""
    return settings.parse(section, Decoding, "run.translations", default="beam_5")
