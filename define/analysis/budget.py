"""How long runs were trained, and whether all parts of a model had one learning rate."""

from collections.abc import Sequence
from dataclasses import dataclass

from define.analysis import environment
from define.runs.records import RunRecord

PARTS = ("table", "unit", "context", "output")
"""Parts of a model that may each have a learning rate: `optimization.lr_factors`."""


@dataclass(frozen=True)
class Budget:
    """How long a run was trained.

    Attributes:
        passes: over the training text, to two decimals.
        train_tokens: of the text that the run was trained on, which may be a part of the corpus.
    """

    updates: int
    passes: float
    train_tokens: int


def budgets(runs: Sequence[RunRecord]) -> tuple[Budget, ...]:
    """The different budgets of some finished runs, in order."""
    return tuple(dict.fromkeys(map(_budget, runs)))


def _budget(record: RunRecord) -> Budget:
    tokens = record.config.get("task", {}).get("train_tokens")  # 0 and None: the whole corpus
    tokens = tokens or record.provenance["data"]["tokens"]["train"]
    trained = record.speed["tokens_per_second"] * record.speed["seconds"]
    updates = record.epochs[-1]["updates"] if record.epochs else 0
    return Budget(updates, round(trained / tokens, 2), tokens)


def short(budgets: Sequence[Budget]) -> str:
    """At least one budget in words, e.g. "2,400 updates, 4.75 to 4.76 passes"."""
    updates, passes = [b.updates for b in budgets], [b.passes for b in budgets]
    spans = [
        " to ".join(dict.fromkeys(form.format(end) for end in (min(values), max(values))))
        for values, form in ((updates, "{:,}"), (passes, "{:.2f}"))
    ]
    return f"{spans[0]} updates, {spans[1]} passes"


def text(budgets: Sequence[Budget]) -> str:
    """As `short`, with the size of the training text."""
    tokens = environment.distinct(f"{each.train_tokens:,}" for each in budgets)
    return f"{short(budgets)} over {tokens} training tokens"


def one_rate(record: RunRecord) -> bool:
    """Whether all parts of the model had the same learning rate, as in every old record."""
    factors = record.config.get("optimization", {}).get("lr_factors") or {}
    return len({factors.get(part, 1) for part in PARTS}) == 1
