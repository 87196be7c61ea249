"""Paired bootstrap tests between translations of one set, in `significance/*.json`.

`define score --baseline` writes the files.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le
from typing_extensions import NotRequired, TypedDict

from define.runs import reading
from define.runs.schema import Interval, Name, Positive, Rule, Sha256

SCHEMA = 1
FOLDER = "significance"


class Tested(Interval):
    """A score, and the probability of such a difference from the baseline by chance."""

    p_value: Annotated[float, Ge(0), Le(1)] | None


class Results(TypedDict):
    """By metric."""

    bleu: Tested
    chrf: Tested
    bleu_compound_split: NotRequired[Tested]


class Signatures(TypedDict):
    """sacreBLEU's signature of each metric."""

    bleu: Name
    chrf: Name
    bleu_compound_split: NotRequired[Name]


@dataclass(frozen=True, kw_only=True)
class Significance:
    """One test; each attribute but `path` is a field.

    Attributes:
        set: the evaluation set, of so many `sentences`.
        baseline: the system that the others are tested against; it has no p-values.
    """

    path: Path = Path()
    schema: Literal[1]
    kind: Literal["significance"]
    set: Name
    sentences: Positive
    language: Name
    baseline: Name
    systems: dict[str, Results]
    signatures: Signatures
    hypotheses_sha256: dict[str, Sha256]
    references_sha256: Sha256


def _check(test: Significance) -> None:
    systems = sorted(test.systems)
    if len(systems) < 2 or test.baseline not in systems:
        raise ValueError(f"has the systems {systems}; it takes {test.baseline!r} and another one")
    if sorted(test.hypotheses_sha256) != systems:
        raise ValueError(
            f"has hypotheses_sha256 of {sorted(test.hypotheses_sha256)}, not {systems}"
        )
    for name, results in test.systems.items():
        for metric, result in results.items():
            if (result["p_value"] is None) != (name == test.baseline):
                field = f"systems.{name}.{metric}.p_value"
                raise ValueError(f"has {field} {result['p_value']}; the baseline alone has null")


_FORM = Annotated[Significance, Rule(_check)]


def read(path: str | Path) -> Significance:
    """Reads and validates one file.

    Raises:
        InputError: the file cannot be read, is not JSON, or breaks a rule; names file and field.
    """
    return reading.read(_FORM, path, "significance test", "run define score again")
