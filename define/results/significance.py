"""Paired bootstrap tests between translations of one set, from `significance/*.json`.

`define score --baseline` writes the files.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from define.results.grid import Grid, markdown
from define.results.render import ABSENT, number, signed
from define.results.translations import interval
from define.runs.records import RunRecord
from define.runs.schema import TRANSLATED
from define.runs.significance import FOLDER as FOLDER
from define.runs.significance import Significance, read

_HEADER = ("system", "run", "metric", "score", "95 % interval", "difference", "p")


def read_tests(folder: Path) -> list[Significance]:
    """The tests below `folder`, by file name; none without that folder.

    Raises:
        InputError: a malformed file.
    """
    return [read(path) for path in sorted(folder.rglob("*.json"))]


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
