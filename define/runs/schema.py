"""What the JSON files of results share: the types of their fields, and where they are found.

The types are plain annotations, so that importing them takes no time; `define.runs.reading` checks
files against them.

A loss is in nats per token, a perplexity is exp(loss), times are in seconds, memory is in MiB.
"""

import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from reprlib import repr as short_repr
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Gt, Lt, MinLen
from typing_extensions import NotRequired, TypedDict

SUPERSEDED = "one_rate"
"""A folder of earlier results has this name; it is read only where it is named itself."""
TRANSLATED = {
    "bleu": "BLEU",
    "chrf": "chrF2",
    "bleu_compound_split": "tokenised BLEU, compounds split",
}
"""Metric of a translation -> its name in reports."""

T = TypeVar("T")


class Rule:
    """`pydantic.AfterValidator`, imported when it is needed.

    The function raises a ValueError whose text follows the name of the field, e.g. "has no ...".
    """

    def __init__(self, check: Callable[[Any], None]):
        self._check = check

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic import AfterValidator

        return AfterValidator(self._checked).__get_pydantic_core_schema__(source, handler)

    def _checked(self, value: T) -> T:
        self._check(value)
        return value


def _check_sha256(digest: str) -> None:
    if re.fullmatch("[0-9a-f]{64}", digest) is None:
        raise ValueError(f"has {digest!r}, not 64 hexadecimal digits")


def _check_settings(settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        if not (value is None or isinstance(value, (str, bool, int, float))):
            raise ValueError(f"has {name} = {short_repr(value)}, not a plain value")


def _check_loss(scores: Mapping[str, float]) -> None:
    nll, ppl = scores["nll"], scores["ppl"]
    if nll > 700 or not math.isclose(ppl, math.exp(nll), rel_tol=1e-6):
        raise ValueError(f"has nll {nll} and ppl {ppl}, which is not exp(nll)")


def _check_total(parts: Mapping[str, int]) -> None:
    total = sum(parts[part] for part in PARTS if part != "total")
    if parts["total"] != total:
        raise ValueError(f"has total {parts['total']}, but the parts sum to {total}")


def _check_tokens(tokens: Mapping[str, int]) -> None:
    if not tokens.get("train"):
        raise ValueError("has no training tokens")


def check_scores(scores: Mapping[str, Any], field: str, tokens: Mapping[str, int]) -> None:
    """Validation is scored, and every split on as many tokens as the corpus has.

    Args:
        scores: split -> `Scored`.
        field: the field that has them.
        tokens: of the corpus, by split.
    Raises:
        ValueError: either is wrong.
    """
    if "valid" not in scores:
        raise ValueError(f"has no {field}.valid")
    for split, score in scores.items():
        scored, expected = score["scored_tokens"], tokens.get(split)
        if scored != expected:
            raise ValueError(
                f"has {field}.{split}.scored_tokens {scored}, but provenance.data.tokens.{split} "
                f"is {expected}"
            )


Count = Annotated[int, Ge(0)]
Positive = Annotated[int, Gt(0)]
Number = Annotated[float, Ge(0), Lt(math.inf)]
Duration = Annotated[float, Gt(0), Lt(math.inf)]
# sacreBLEU's own score of a perfect translation is 100.00000000000004.
Percent = Annotated[float, Ge(0), Lt(100 + 1e-9)]
Name = Annotated[str, MinLen(1)]
Sha256 = Annotated[str, Rule(_check_sha256)]
Settings = Annotated[dict[Name, Any], Rule(_check_settings)]
"""Plain values only, so that a sentence can tell them."""


class Measure(TypedDict):
    """A loss per token, and the perplexity."""

    nll: Number
    ppl: Number


class _Scored(Measure):
    scored_tokens: Positive


class _Parameters(TypedDict):
    define: Count
    context: Count
    io: Count
    total: Count


Loss = Annotated[Measure, Rule(_check_loss)]
Scored = Annotated[_Scored, Rule(_check_loss)]
Scores = dict[str, Scored]
"""Split -> its loss and perplexity, and the tokens behind them."""
Parameters = Annotated[_Parameters, Rule(_check_total)]
PARTS = tuple(_Parameters.__annotations__)
"""Parts of a model whose parameters the paper counts: the unit, the context model, input-output."""


class Interval(TypedDict):
    """A score with mean and half width of sacreBLEU's 95 % bootstrap interval."""

    score: Percent
    mean: Percent
    half_width: Percent


class Origin(TypedDict):
    """Where a number comes from: `provenance` without its `data`."""

    commit: str
    dirty: bool
    command: str
    device: str
    threads: Count
    python: str
    versions: dict[str, str]
    started: str
    finished: str | None


class Corpus(TypedDict):
    """What a number was computed on. The counts of a parallel corpus are of its target."""

    name: str
    sha256: dict[str, str]
    tokens: Annotated[dict[str, Count], Rule(_check_tokens)]
    types: Count
    pairs: NotRequired[dict[str, Count]]
    source_types: NotRequired[Count]


class Provenance(Origin):
    """Of whatever was scored on a corpus."""

    data: Corpus


class Text(TypedDict):
    """What was timed on, where the numbers do not depend on its words."""

    name: str
    types: Count


class Measured(Origin):
    """The provenance of something that was timed."""

    data: Text


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
