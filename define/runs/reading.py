"""Reads JSON files and checks them against types with pydantic.

pydantic is imported with the first file: it takes longer than most commands take to start.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from reprlib import repr as short_repr
from typing import TYPE_CHECKING, Any, TypeVar

from define.errors import InputError

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


@cache
def _adapter(form: Any) -> "TypeAdapter":
    from pydantic import TypeAdapter

    return TypeAdapter(form)


def check(form: Any, text: str | bytes, place: object, remedy: str) -> Any:
    """What the JSON in `text` is, as an object of the type `form`; keys unknown to it are ignored.

    Args:
        place: the file, for the error.
    Raises:
        InputError: it is not JSON, or breaks a rule; names place, field and remedy.
    """
    from pydantic import ValidationError

    try:
        return _adapter(form).validate_json(text, strict=True)
    except ValidationError as error:
        raise InputError(f"{place}: {_first(error)}; {remedy}") from None


def _first(error: "ValidationError") -> str:
    """The first thing that is wrong, e.g. "field 'epochs[1].valid' has ..."."""
    found = error.errors(include_url=False)[0]
    field = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in found["loc"])
    subject, kind = f"field {field[1:]!r}" if field else "it", found["type"]
    if kind == "missing":
        return f"{subject} is missing"
    if kind == "value_error":
        return f"{subject} {found['ctx']['error']}"
    if kind == "json_invalid":
        return f"it is not valid JSON ({found['ctx']['error']})"
    message = re.sub(r"^\w+ should", "it should", found["msg"])
    return f"{subject} is {short_repr(found['input'])}; {message}"


def read_text(path: Path, kind: str) -> bytes:
    """The contents of a file.

    Args:
        kind: what the file should be, e.g. "run record".
    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a {kind}") from error


def read_plain(form: Any, path: Path, kind: str, remedy: str) -> dict[str, Any]:
    """A JSON file that was checked against `form`, with all its keys.

    Raises:
        InputError: as `read_text` and `check`.
    """
    text = read_text(path, kind)
    check(form, text, path, remedy)
    return json.loads(text)


def read(form: type[T], path: str | Path, kind: str, remedy: str) -> T:
    """A JSON file as a dataclass that has a `path` too; nested objects stay dicts.

    Raises:
        InputError: as `read_text` and `check`.
    """
    path = Path(path)
    return filled(form, path, read_plain(form, path, kind, remedy))


def filled(form: type[T], path: Path, value: Mapping[str, Any]) -> T:
    """A dataclass with `path` and those of its other fields that `value` has."""
    form = getattr(form, "__origin__", form)  # of Annotated[form, rules]
    names = {field.name for field in fields(form)} & value.keys() - {"path"}
    return form(path=path, **{name: value[name] for name in names})
