"""Checks that the JSON files of results share: shapes, losses, and where a number comes from."""

import json
import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from define.errors import InputError

SUPERSEDED = "one_rate"
"""A folder of earlier results is called this; it is read only where it is named itself."""


@dataclass(frozen=True)
class Nullable:
    """A shape, or null."""

    shape: Any


@dataclass(frozen=True)
class MapOf:
    """An object with any names whose values all have the shape."""

    shape: Any


LOSS = {"nll": float, "ppl": float}
SCORES = MapOf({**LOSS, "scored_tokens": int})
"""Split -> loss in nats per token, perplexity, and the tokens that they rest on."""
TRANSLATED = {
    "bleu": "BLEU",
    "chrf": "chrF2",
    "bleu_compound_split": "tokenised BLEU, compounds split",
}
"""Metric of a translation -> what it is called where a person reads it."""
INTERVAL = {"score": float, "mean": float, "half_width": float}
"""A score of 0 to 100, with mean and half width of sacreBLEU's 95 % bootstrap interval."""
PARTS = ("define", "context", "io", "total")
"""Parts of a model whose parameters the paper counts: the unit, the context model, input-output."""

PARAMETERS = dict.fromkeys(PARTS, int)
ORIGIN = {
    "commit": str,
    "dirty": bool,
    "command": str,
    "device": str,
    "threads": int,
    "python": str,
    "versions": MapOf(str),
    "started": str,
    "finished": Nullable(str),
}
"""`provenance` without its `data`."""
CORPUS = {"name": str, "sha256": MapOf(str), "tokens": MapOf(int), "types": int}
"""`provenance.data` of whatever was scored on a corpus."""
PAIR_CORPUS = {"pairs": MapOf(int), "source_types": int}
"""What `provenance.data` of a pair corpus has as well; its other counts are the target's."""

T = TypeVar("T")


class Fault(Exception):
    """A field that breaks a rule; becomes an InputError once the file is known."""

    def __init__(self, field: str, rule: str):
        super().__init__(f"field {field!r} {rule}")


def require(condition: bool, field: str, rule: str) -> None:
    """Raises a `Fault` that names the field and the rule unless the condition holds."""
    if not condition:
        raise Fault(field, rule)


def validate(value: Any, check: Callable[[Any], None], path: str | Path, remedy: str) -> None:
    """Runs `check` on the contents of the file `path`.

    Raises:
        InputError: `check` found a fault; names file, field and remedy.
    """
    try:
        check(value)
    except Fault as fault:
        raise InputError(f"{path}: {fault}; {remedy}") from None


def read_json(path: Path, kind: str, remedy: str) -> Any:
    """The contents of a JSON file, unchecked.

    Args:
        kind: what the file should be, e.g. "run record".
    Raises:
        InputError: the file cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a {kind}") from error
    except ValueError as error:
        raise InputError(
            f"{path} is not a {kind}: it is not valid JSON ({error}); {remedy}"
        ) from error


def read_checked(path: Path, kind: str, check: Callable[[Any], None], remedy: str) -> Any:
    """The contents of a JSON file that has passed `check`.

    Raises:
        InputError: as `read_json` and `validate`.
    """
    value = read_json(path, kind, remedy)
    validate(value, check, path, remedy)
    return value


def filled(form: type[T], path: Path, value: Mapping[str, Any]) -> T:
    """A dataclass with `path` and those of its other fields that the file has."""
    names = {field.name for field in fields(form)} & value.keys() - {"path"}
    return form(path=path, **{name: value[name] for name in names})


def check_shape(value: Any, shape: Any, field: str = "") -> None:
    """Compares `value` with `shape`: a type, a dict of required fields, or a list of one shape.

    Raises:
        Fault: the first field that differs.
    """
    if isinstance(shape, Nullable):
        if value is not None:
            check_shape(value, shape.shape, field)
    elif isinstance(shape, MapOf):
        require(isinstance(value, Mapping), field, "must be an object")
        for key, item in value.items():
            check_shape(item, shape.shape, f"{field}.{key}")
    elif isinstance(shape, dict):
        require(isinstance(value, Mapping), field or "record", "must be an object")
        for key, item_shape in shape.items():
            name = f"{field}.{key}" if field else key
            require(key in value, name, "is missing")
            check_shape(value[key], item_shape, name)
    elif isinstance(shape, list):
        require(isinstance(value, list), field, "must be a list")
        for index, item in enumerate(value):
            check_shape(item, shape[0], f"{field}[{index}]")
    elif shape is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        require(number and math.isfinite(value), field, f"is {value!r}, not a finite number")
        require(value >= 0, field, f"is {value!r}, which must not be negative")
    elif shape is int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        require(whole and value >= 0, field, f"is {value!r}, not a whole number from 0 on")
    else:
        require(isinstance(value, shape), field, f"is {value!r}, not of type {shape.__name__}")


def check_names(value: Mapping[str, Any], schema: int, *fields: str) -> None:
    """The schema is the one known, and none of the text fields is empty."""
    require(value["schema"] == schema, "schema", f"is {value['schema']}, not {schema}")
    for field in fields:
        require(value[field] != "", field, "is empty")


def check_parameters(parts: Mapping[str, int], field: str = "parameters") -> None:
    """The total is the sum of the parts."""
    total = sum(parts[part] for part in PARTS if part != "total")
    rule = f"is {parts['total']}, but the parts sum to {total}"
    require(parts["total"] == total, f"{field}.total", rule)


def check_loss(scores: Mapping[str, Any], field: str) -> None:
    """The perplexity is exp(loss), but for rounding."""
    try:
        expected = math.exp(scores["nll"])
    except OverflowError:
        raise Fault(f"{field}.nll", f"is {scores['nll']}, too large for a perplexity") from None
    require(
        math.isclose(scores["ppl"], expected, rel_tol=1e-6),
        f"{field}.ppl",
        f"is {scores['ppl']}, but exp(nll) is {expected:.6f}",
    )


def check_scores(scores: Mapping[str, Any], field: str, tokens: Mapping[str, int]) -> None:
    """Validation is scored, and every split on as many tokens as the corpus has."""
    require("valid" in scores, f"{field}.valid", "is missing")
    for split, score in scores.items():
        check_loss(score, f"{field}.{split}")
        scored, expected = score["scored_tokens"], tokens.get(split)
        require(
            scored == expected and scored > 0,
            f"{field}.{split}.scored_tokens",
            f"is {scored}, but provenance.data.tokens.{split} is {expected}",
        )


def check_interval(interval: Mapping[str, Any], field: str) -> None:
    """No number of an `INTERVAL` is more than 100."""
    for name in INTERVAL:
        # sacreBLEU's own score of a perfect translation is 100.00000000000004.
        require(interval[name] < 100 + 1e-9, f"{field}.{name}", f"is {interval[name]}, above 100")


def check_sha256(digest: str, field: str) -> None:
    """The digest has 64 hexadecimal digits."""
    whole = re.fullmatch("[0-9a-f]{64}", digest) is not None
    require(whole, field, f"is {digest!r}, not 64 hexadecimal digits")


def check_settings(settings: Mapping[str, Any], field: str) -> None:
    """Every setting is a plain value, so that it can be written out in a sentence."""
    for name, value in settings.items():
        plain = value is None or isinstance(value, (str, bool, int, float))
        require(plain, f"{field}.{name}", f"is {value!r}, not a plain value")


def sentence(settings: Mapping[str, Any]) -> str:
    """The settings in words: {"same_length": True, "memory": 640} is "same length, memory 640"."""
    words = []
    for name, value in settings.items():
        name = name.replace("_", " ")
        if isinstance(value, bool):
            words.append(name if value else f"no {name}")
        else:
            words.append(f"{name} {'none' if value is None else value}")
    return ", ".join(words)


def below(folder: str | Path, pattern: str) -> list[Path]:
    """The files below the folder that match, by path; none of a folder of superseded results."""
    found = sorted(Path(folder).rglob(pattern))
    return [path for path in found if SUPERSEDED not in path.relative_to(folder).parts]


def find(
    folders: Sequence[str | Path],
    name: str,
    read: Callable[[Path], T],
    key: Callable[[T], Hashable],
) -> dict[str, list[T]]:
    """Table -> what lies in every folder called `name` below the folders, by path.

    Args:
        read: of a JSON file, something with a `table`.
        key: equal for the same thing in two places, which is read from the first.
    """
    found: dict[Hashable, T] = {}
    for folder in folders:
        for path in below(folder, f"{name}/**/*.json"):
            one = read(path)
            found.setdefault((one.table, key(one)), one)
    tables: dict[str, list[T]] = {}
    for one in found.values():
        tables.setdefault(one.table, []).append(one)
    return tables
