"""Named settings in a config's `run` section: dataclasses whose values are checked."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from define.errors import InputError

WANTED = {int: "a whole number", float: "a number", bool: "true or false"}
T = TypeVar("T")


def check_fields(settings: Any, least: Mapping[str, int], prefix: str = "") -> None:
    """Checks the types of a dataclass's values, and their least values.

    Raises:
        InputError: a value of the wrong type, or too small; `prefix` opens the message.
    """
    for field in fields(settings):
        value, kind, optional = getattr(settings, field.name), field.type, False
        if kind not in WANTED:  # int | None, bool | None
            kind, optional = kind.__args__[0], True
        fits = type(value) is kind or (kind is float and type(value) is int)
        if not fits and not (optional and value is None):
            raise InputError(f"{prefix}{field.name} = {value!r} must be {WANTED[kind]}")
        if value is not None and value < least.get(field.name, value):
            raise InputError(f"{prefix}{field.name} = {value} must be at least {least[field.name]}")


def parse(
    section: Mapping[str, Mapping[str, Any] | None], kind: type[T], key: str, default: str
) -> dict[str, T]:
    """Name -> settings, the headline first.

    Args:
        section: name -> fields of the dataclass `kind`; empty for {default: {}}.
        key: of the section in the config.
    Raises:
        InputError: an unknown field, or a bad value.
    """
    known = [field.name for field in fields(kind)]
    found = {}
    for name, settings in (section or {default: None}).items():
        settings = {} if settings is None else settings
        if not isinstance(settings, Mapping):
            example = ", ".join(f"{field.name}: {field.default}" for field in fields(kind)[:1])
            raise InputError(f"{key}.{name} = {settings!r} must be settings such as {{{example}}}")
        for field in settings:
            if field not in known:
                raise InputError(
                    f"{key}.{name}.{field} is unknown; take some of {', '.join(known)}"
                )
        try:
            found[name] = kind(**settings)
        except InputError as error:
            raise InputError(f"{key}.{name}: {error}") from None
    return found
