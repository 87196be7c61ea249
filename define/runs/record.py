"""What the record of a training run holds.

A loss is in nats per token, a perplexity is exp(loss), times are in seconds, memory is in MiB.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from typing_extensions import TypedDict

from define.runs.schema import (
    Count,
    Interval,
    Loss,
    Name,
    Number,
    Parameters,
    Positive,
    Provenance,
    Scored,
    Scores,
    Settings,
    Sha256,
    check_scores,
)

SCHEMA = 1


class Epoch(TypedDict):
    """One validation; `averaged` tells whether the optimizer's averages were scored."""

    epoch: Count
    updates: Count
    lr: Number
    train: Loss
    valid: Scored
    seconds: Number
    averaged: bool


class Speed(TypedDict):
    """Of the training alone, without set-up, validation and saving."""

    tokens_per_second: Number
    ms_per_update: Number
    seconds: Number


class Protocol(TypedDict):
    """How perplexity was measured, and the results by split."""

    settings: Settings
    scores: Scores


class Score(Interval):
    """A score of sacreBLEU's, with the signature that defines it."""

    signature: Name


class Translated(TypedDict):
    """An evaluation set, translated and scored."""

    sentences: Positive
    seconds: Number
    hypotheses_sha256: Sha256
    bleu: Score
    chrf: Score
    bleu_compound_split: Score


class Translation(TypedDict):
    """How sentences were translated, and the results by evaluation set."""

    settings: Settings
    scores: dict[str, Translated]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run; each attribute but `path` is the field of the file that has its name.

    The first of `protocols` is the headline: `final` holds its scores. The first of `translations`
    is the headline too, and the BLEU of the run.
    """

    path: Path = Path()
    schema: Literal[1]
    table: Name
    row: Name
    scale: Name
    seed: Count
    status: Literal["running", "finished", "interrupted", "failed", "pruned"]
    config: dict[str, Any]
    parameters: Parameters
    epochs: list[Epoch]
    final: Scores | None
    best_epoch: Count | None
    speed: Speed
    peak_memory_mib: Number
    provenance: Provenance
    protocols: dict[Name, Protocol] = field(default_factory=dict)
    translations: dict[str, Translation] = field(default_factory=dict)

    @property
    def data(self) -> str:
        """The name of the corpus."""
        return self.provenance["data"]["name"]

    @property
    def finished(self) -> bool:
        """Whether the run came to its end, so that its final metrics count."""
        return self.status == "finished"

    @property
    def metrics(self) -> dict[str, float]:
        """The final perplexities as {"valid_ppl": ..., "test_ppl": ...}; none until finished.

        A translation run also has "<set>_bleu" of its headline translation, in the corpus's order.
        """
        if not self.finished:
            return {}
        perplexities = {f"{split}_ppl": scores["ppl"] for split, scores in self.final.items()}
        translated = self.translation_scores
        return perplexities | {
            f"{s}_bleu": scores["bleu"]["score"] for s, scores in translated.items()
        }

    @property
    def headline(self) -> str | None:
        """The name of the protocol that `final` was measured by; None if the record has none."""
        return next(iter(self.protocols), None)

    @property
    def translation(self) -> str | None:
        """The name of the headline translation; None if the record has none."""
        return next(iter(self.translations), None)

    @property
    def translation_scores(self) -> Mapping[str, Translated]:
        """Evaluation set -> scores of the headline translation; none if the record has none."""
        return self.translations[self.translation]["scores"] if self.translations else {}


def check(record: RunRecord) -> None:
    """What must hold between the fields.

    Raises:
        ValueError: two fields contradict each other.
    """
    numbers = [epoch["epoch"] for epoch in record.epochs]
    if numbers != sorted(set(numbers)):
        raise ValueError(f"has the epochs {numbers}, which do not rise")
    if record.best_epoch is not None and record.best_epoch not in numbers:
        raise ValueError(f"has best_epoch {record.best_epoch}, which is none of its epochs")
    if record.finished and record.final is None:
        raise ValueError("has status finished, but no final scores")
    tokens = record.provenance["data"]["tokens"]
    if record.final is not None:
        check_scores(record.final, "final", tokens)
    for name, protocol in record.protocols.items():
        check_scores(protocol["scores"], f"protocols.{name}.scores", tokens)
    if record.protocols and record.final != record.protocols[record.headline]["scores"]:
        raise ValueError(f"has other final scores than its first protocol, {record.headline!r}")
    sentences = {s: scores["sentences"] for s, scores in record.translation_scores.items()}
    for name, translation in record.translations.items():
        found = {s: scores["sentences"] for s, scores in translation["scores"].items()}
        if not found or found != sentences:
            raise ValueError(
                f"has the sentences {found} in translations.{name}, but {sentences} in the first"
            )
        for part in (name, *found):  # they name the files of the hypotheses
            if re.fullmatch(r"\w[\w.-]*", part) is None:
                raise ValueError(f"has {part!r} in translations, which is no file name")
