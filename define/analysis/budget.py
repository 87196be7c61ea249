"""What a run was trained with: updates, passes over the text, and learning rates by part."""

from collections.abc import Sequence
from dataclasses import dataclass

from define.analysis import environment
from define.runs.records import RunRecord

PARTS = ("table", "unit", "context", "output")
"""Parts of a model that may have a learning rate each: `optimization.lr_factors`."""


@dataclass(frozen=True)
class Budget:
    """How long a run was trained.

    Attributes:
        passes: over the training text, to two decimals: trained tokens by `train_tokens`.
        train_tokens: of the text that the run was trained on, which may be a part of the corpus.
    """

    updates: int
    passes: float
    train_tokens: int


def budget(record: RunRecord) -> Budget:
    """The budget of a finished run."""
    tokens = record.config.get("task", {}).get("train_tokens")  # 0 and None: the whole corpus
    tokens = tokens or record.provenance["data"]["tokens"]["train"]
    trained = record.speed["tokens_per_second"] * record.speed["seconds"]
    updates = record.epochs[-1]["updates"] if record.epochs else 0
    return Budget(updates, round(trained / tokens, 2), tokens)


def budgets(runs: Sequence[RunRecord]) -> tuple[Budget, ...]:
    """The different budgets of some finished runs, in order."""
    return tuple(dict.fromkeys(map(budget, runs)))


def short(budgets: Sequence[Budget]) -> str:
    """At least one of them, such as "2,400 updates, 4.75 to 4.76 passes"."""
    updates = _span([each.updates for each in budgets], "{:,}")
    return f"{updates} updates, {_span([each.passes for each in budgets], '{:.2f}')} passes"


def text(budgets: Sequence[Budget]) -> str:
    """As `short`, and what the passes go over."""
    tokens = environment.distinct(f"{each.train_tokens:,}" for each in budgets)
    return f"{short(budgets)} over {tokens} training tokens"


def _span(values: Sequence[float], form: str) -> str:
    ends = dict.fromkeys(form.format(end) for end in (min(values), max(values)))
    return " to ".join(ends)


def one_rate(record: RunRecord) -> bool:
    """Whether all parts of the model had the same learning rate; so had those of old records."""
    factors = record.config.get("optimization", {}).get("lr_factors") or {}
    return len({factors.get(part, 1) for part in PARTS}) == 1
