"""The hyper-parameter search of a report, read from the records of its trials."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from define.analysis.stats import Statistic, summarise
from define.report.grid import Grid
from define.report.render import ABSENT, interval_notes, statistics
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


def search_grid(trials: Sequence[SearchTrial], labels: Mapping[str, str]) -> Grid:
    """One line per row and setting, the lowest mean perplexity of each row and budget marked.

    Args:
        trials: sorted by row, as `read_search` gives them.
        labels: row slug -> label; other rows keep their slug.
    """
    options = list(dict.fromkeys(option for trial in trials for option in trial.setting))
    lines, every_result = [], []
    for row, group in groupby(trials, key=lambda trial: trial.row):
        settings: dict[tuple[tuple[str, ...], str], list[SearchTrial]] = {}
        for trial in group:
            values = (trial.setting.get(option) for option in options)
            cells = tuple(ABSENT if value is None else str(value) for value in values)
            settings.setdefault((cells, trial.unfinished), []).append(trial)
        results = [_summary(same) for same in settings.values()]
        every_result += results
        lowest: dict[tuple[str, ...], float] = {}
        for result, (cells, unfinished) in zip(results, settings, strict=True):
            if not unfinished:
                budget = _budget(options, cells)
                lowest[budget] = min(result.mean, lowest.get(budget, result.mean))
        perplexities = statistics(results)
        for index, ((cells, unfinished), same) in enumerate(settings.items()):
            seeds = ", ".join(str(trial.seed) for trial in same)
            best = not unfinished and results[index].mean == lowest[_budget(options, cells)]
            mark = "lowest" if best else unfinished
            lines.append([labels.get(row, row), *cells, seeds, perplexities[index], mark])
    among = "of its row and budget" if BUDGET & set(options) else "of its row"
    header = ["row", *options, "seeds", "valid ppl", among]
    return Grid("Search", header, lines, interval_notes(every_result))


def _budget(options: Sequence[str], cells: Sequence[str]) -> tuple[str, ...]:
    """Trials of other budgets say nothing about each other."""
    return tuple(cell for option, cell in zip(options, cells, strict=True) if option in BUDGET)


def _summary(trials: Sequence[SearchTrial]) -> Statistic | None:
    perplexities = [trial.valid_ppl for trial in trials if trial.valid_ppl is not None]
    return summarise(perplexities) if perplexities else None
