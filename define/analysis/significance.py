"""Paired bootstrap tests between translations of one set, from `significance/*.json`.

`define score --baseline` writes the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from define.runs import schema
from define.runs.schema import TRANSLATED, MapOf, Nullable, check_shape, require

SCHEMA = 1
FOLDER = "significance"

_RESULT = {**schema.INTERVAL, "p_value": Nullable(float)}
_SHAPE = {
    "schema": int,
    "kind": str,
    "set": str,
    "sentences": int,
    "language": str,
    "baseline": str,
    "systems": MapOf(dict.fromkeys(TRANSLATED, _RESULT)),
    "signatures": dict.fromkeys(TRANSLATED, str),
    "hypotheses_sha256": MapOf(str),
    "references_sha256": str,
}


@dataclass(frozen=True)
class Significance:
    """One test; each attribute is the field of its name.

    Attributes:
        set: the evaluation set, of so many `sentences`.
        baseline: the system that the others are tested against.
        systems: system -> metric -> "score", "mean", "half_width" and "p_value", which is None for
            the baseline.
    """

    path: Path
    set: str
    sentences: int
    baseline: str
    systems: Mapping[str, Mapping[str, Mapping[str, Any]]]
    signatures: Mapping[str, str]
    hypotheses_sha256: Mapping[str, str]


def read(path: str | Path) -> Significance:
    """Reads and validates one file.

    Raises:
        InputError: the file cannot be read, is not JSON, or breaks a rule; names file and field.
    """
    path = Path(path)
    value = schema.read_checked(path, "significance test", _check, "run define score again")
    return schema.filled(Significance, path, value)


def read_tests(folder: Path) -> list[Significance]:
    """The tests below `folder`, by file name; none without that folder.

    Raises:
        InputError: a malformed file.
    """
    return [read(path) for path in sorted(folder.rglob("*.json"))]


def _check(value: Any) -> None:
    check_shape(value, _SHAPE)
    schema.check_names(value, SCHEMA, "set", "language", "baseline")
    require(value["kind"] == "significance", "kind", f"is {value['kind']!r}, not 'significance'")
    require(value["sentences"] > 0, "sentences", "is 0: a number from nothing")
    schema.check_sha256(value["references_sha256"], "references_sha256")
    systems, baseline, hypotheses = value["systems"], value["baseline"], value["hypotheses_sha256"]
    require(len(systems) > 1, "systems", f"has {len(systems)}; a test takes two")
    require(baseline in systems, "baseline", f"is {baseline!r}, no system of the file")
    rule = f"has {sorted(hypotheses)}, but the systems are {sorted(systems)}"
    require(hypotheses.keys() == systems.keys(), "hypotheses_sha256", rule)
    for name, results in systems.items():
        schema.check_sha256(hypotheses[name], f"hypotheses_sha256.{name}")
        for metric in TRANSLATED:
            field, p_value = f"systems.{name}.{metric}", results[metric]["p_value"]
            schema.check_interval(results[metric], field)
            require(value["signatures"][metric] != "", f"signatures.{metric}", "is empty")
            tested = p_value is not None
            rule = "is null" if name != baseline else f"is {p_value}, but that is the baseline"
            require(tested == (name != baseline), f"{field}.p_value", rule)
            require(not tested or p_value <= 1, f"{field}.p_value", f"is {p_value}, above 1")
