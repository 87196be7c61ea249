"""How a trained model translates: the settings of a beam search."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from define.errors import InputError


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
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not field.type and not (field.type is float and type(value) is int):
                raise InputError(f"{field.name} = {value!r} must be {wanted[field.type]}")
        for name, least in (
            *(("beam", 1), ("max_len_a", 0), ("max_len_b", 1), ("max_tokens", 1)),
            ("average", 0),
        ):
            if getattr(self, name) < least:
                raise InputError(f"{name} = {getattr(self, name)} must be at least {least}")

    def settings(self) -> dict[str, Any]:
        """All of it, plain."""
        return asdict(self)


def parse(section: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Decoding]:
    """The translations of a config's `run.translations`, the headline first.

    Args:
        section: name -> fields of `Decoding`; empty for {"beam_5": {}}.
    Raises:
        InputError: an unknown field, or a bad value.
    """
    known = [field.name for field in fields(Decoding)]
    found = {}
    for name, settings in (section or {"beam_5": {}}).items():
        settings = {} if settings is None else settings
        if not isinstance(settings, Mapping):
            raise InputError(
                f"run.translations.{name} = {settings!r} must be settings such as {{beam: 5}}"
            )
        for key in settings:
            if key not in known:
                raise InputError(
                    f"run.translations.{name}.{key} is unknown; take some of {', '.join(known)}"
                )
        try:
            found[name] = Decoding(**settings)
        except InputError as error:
            raise InputError(f"run.translations.{name}: {error}") from None
    return found
