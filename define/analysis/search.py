"""The hyper-parameter search of a report, read from the records of its trials."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from define.runs import records
from define.runs.recipe import DERIVED, PLACES
from define.runs.records import RunRecord

UNTRIED = {*PLACES, *DERIVED, "seed", "lr_scheduler.max_update"}
"""Config keys that follow from others, or that say which trial it is rather than what it tries."""

ALWAYS = {"optimization.lr"}
BUDGET = {"optimization.max_update", "optimization.max_epoch"}
"""Shown for every row: a rate, and a budget if any two trials of the search have different ones."""

BOOKKEEPING = ("run.", "checkpoint.")
"""Sections of the config that say where a trial is kept, not what it tries."""


UNFINISHED = ("pruned", "interrupted", "failed")
"""Statuses of a record without final scores that is shown nevertheless."""


@dataclass(frozen=True)
class SearchTrial:
    """One trial that has ended.

    Attributes:
        setting: config key -> value, of the keys in which the row's trials differ and a few more.
        valid_ppl: final validation perplexity, by which the trial is judged; of an unfinished one,
            that of its last validation, None before the first.
        unfinished: such as "pruned at update 200", its last validation; "" if it is finished.
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
    if not folder.is_dir():
        return []
    found = [records.read(path) for path in sorted(folder.rglob(records.FILE_NAME))]
    ended = (r for r in found if r.finished or r.status in UNFINISHED)
    found = sorted(ended, key=lambda record: record.row)
    budgets = {key for key in BUDGET if _differ(key, [_flat(r.config) for r in found])}
    trials = []
    for _, same in groupby(found, lambda r: r.row):
        trials += _trials(list(same), budgets)
    return trials


def _trials(of_row: Sequence[RunRecord], budgets: Set[str]) -> list[SearchTrial]:
    configs = [_flat(record.config) for record in of_row]
    keys = dict.fromkeys(key for config in configs for key in config)
    keys = [key for key in keys if key not in UNTRIED and not key.startswith(BOOKKEEPING)]
    shown = [key for key in keys if key in budgets | ALWAYS or _differ(key, configs)]
    trials = [
        SearchTrial(
            record.row, {key: config.get(key) for key in shown}, record.seed, *_outcome(record)
        )
        for record, config in zip(of_row, configs, strict=True)
    ]
    return sorted(trials, key=lambda t: (*map(_sortable, t.setting.values()), t.seed))


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
