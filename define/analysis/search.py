"""The hyper-parameter search of a report, read from the records of its trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from define.runs import records
from define.runs.recipe import DERIVED, PLACES
from define.runs.records import RunRecord

UNTRIED = {*PLACES, *DERIVED, "seed", "lr_scheduler.max_update"}
"""Config keys that follow from others, or that identify the trial rather than its setting."""
BOOKKEEPING = ("run.", "checkpoint.")
"""Sections of the config that say where a trial is kept."""
RATE = "optimization.lr"
"""Shown for every row."""
BUDGET = {"optimization.max_update", "optimization.max_epoch"}
"""Shown for every row if any two trials of the search differ in it."""


@dataclass(frozen=True)
class SearchTrial:
    """One trial that has ended.

    Attributes:
        setting: config key -> value, for the keys in which the row's trials differ and a few more.
        valid_ppl: the validation perplexity by which the trial is judged; of an unfinished trial
            that of its last validation, None before the first.
        unfinished: e.g. "pruned at update 200", its last validation; "" if it has finished.
    """

    row: str
    setting: Mapping[str, Any]
    seed: int
    valid_ppl: float | None
    unfinished: str = ""


def read_search(folder: Path) -> list[SearchTrial]:
    """The trials below `folder` that have ended, by row and setting; none without that folder.

    Raises:
        InputError: a malformed record.
    """
    found = [records.read(path) for path in sorted(folder.rglob(records.FILE_NAME))]
    ended = sorted((r for r in found if r.status != "running"), key=lambda record: record.row)
    configs = [_flat(record.config) for record in ended]
    always = {RATE, *(key for key in BUDGET if _differ(key, configs))}
    trials = []
    for _, same in groupby(zip(ended, configs, strict=True), lambda pair: pair[0].row):
        of_row, configs = zip(*same, strict=True)
        shown = [
            key
            for key in dict.fromkeys(key for config in configs for key in config)
            if key in always
            or (key not in UNTRIED and not key.startswith(BOOKKEEPING) and _differ(key, configs))
        ]
        found = [
            SearchTrial(r.row, {key: config.get(key) for key in shown}, r.seed, *_outcome(r))
            for r, config in zip(of_row, configs, strict=True)
        ]
        trials += sorted(found, key=lambda t: (*map(_sortable, t.setting.values()), t.seed))
    return trials


def _outcome(record: RunRecord) -> tuple[float | None, str]:
    """`valid_ppl` and `unfinished` of a trial."""
    if record.finished:
        return record.final["valid"]["ppl"], ""
    if not record.epochs:
        return None, f"{record.status} before its first validation"
    last = record.epochs[-1]
    return last["valid"]["ppl"], f"{record.status} at update {last['updates']}"


def _differ(key: str, configs: Sequence[Mapping[str, Any]]) -> bool:
    return len({str(config.get(key)) for config in configs}) > 1


def _sortable(value: Any) -> tuple:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return (0, value, "") if number else (1, 0, str(value))


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value; a list of one value counts as the value (fairseq's lr per epoch)."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            single = isinstance(value, list) and len(value) == 1
            flat[f"{prefix}{name}"] = value[0] if single else value
    return flat
