"""Paired bootstrap tests between translations of one set, from `significance/*.json`.

`define score --baseline` writes the files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from define.report.grid import Grid, markdown
from define.report.render import ABSENT, number, signed
from define.report.translations import interval
from define.runs import schema
from define.runs.records import RunRecord
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
_HEADER = ("system", "run", "metric", "score", "95 % interval", "difference", "p")


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


def chapter(
    tests: Sequence[Significance], found: Sequence[RunRecord], labels: Mapping[str, str]
) -> list[str]:
    """The report's blocks of tests; none without any.

    Args:
        found: records of the table, among which a system's run is the one with its hypotheses.
        labels: row -> label.
    """
    if not tests:
        return []
    runs: dict[tuple[str, str], str] = {}
    for record in found:
        for name, translation in record.translations.items():
            for set_name, scores in translation["scores"].items():
                run = f"{labels[record.row]}, {record.scale}, {record.data}, seed {record.seed}"
                runs.setdefault((set_name, scores["hypotheses_sha256"]), f"{run}, {name}")
    blocks = []
    for test in tests:
        blocks += [
            f"### {test.set}, {test.sentences:,} sentences, against {test.baseline}",
            markdown(_grid(test, runs)),
            "\n".join(f"* {TRANSLATED[m]}: `{text}`" for m, text in test.signatures.items()),
        ]
    return [
        "## Paired bootstrap",
        "Translations of one set against those of a baseline, by sacreBLEU on the same resampled "
        "sentences. p estimates how often chance alone makes a difference as large, of these two "
        "models and this set; it does not tell how other seeds would do. The run is the one whose "
        "record has the checksum of the hypotheses.",
        *blocks,
    ]


def _grid(test: Significance, runs: Mapping[tuple[str, str], str]) -> Grid:
    lines = []
    for metric, label in TRANSLATED.items():
        baseline = test.systems[test.baseline][metric]["score"]
        for name, results in test.systems.items():
            result = results[metric]
            difference = None if name == test.baseline else result["score"] - baseline
            lines.append(
                [
                    name,
                    runs.get((test.set, test.hypotheses_sha256[name]), ABSENT),
                    label,
                    number(result["score"]),
                    interval(result),
                    signed(difference),
                    number(result["p_value"], 3),
                ]
            )
    return Grid("Paired bootstrap", _HEADER, lines)
