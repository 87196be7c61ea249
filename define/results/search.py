"""The hyper-parameter search of a report: `search.json`, checked against its trials' records."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from define.errors import InputError
from define.results import records
from define.results.grid import Grid
from define.results.render import ABSENT, statistics
from define.results.stats import summarise

FILE_NAME = "search.json"


@dataclass(frozen=True)
class SearchTrial:
    """One trial, as `search.json` lists it.

    Attributes:
        setting: option -> value.
        valid_ppl: the perplexity by which the trial is judged.
        record: the trial's record, relative to the report's folder; None if it was not kept.
    """

    row: str
    setting: dict[str, Any]
    seed: int
    valid_ppl: float
    record: str | None


def read_search(folder: Path) -> list[SearchTrial]:
    """The trials in the folder's `search.json`, by row; none without that file.

    Raises:
        InputError: the file is malformed, or a trial's perplexity is not its record's.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return []
    try:
        trials = [_trial(entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} is malformed ({error}); it must be a list of objects with row, setting, seed, "
            "valid_ppl and record"
        ) from error
    for trial in trials:
        if trial.record is not None:
            _check_trial(trial, folder / trial.record, path)
    return sorted(trials, key=lambda trial: trial.row)


def _trial(entry: dict[str, Any]) -> SearchTrial:
    trial = SearchTrial(**entry)
    if not isinstance(trial.setting, dict) or not isinstance(trial.valid_ppl, float):
        raise TypeError("setting must be an object and valid_ppl a number with a decimal point")
    return trial


def _check_trial(trial: SearchTrial, path: Path, search: Path) -> None:
    record = records.read(path)
    scores = [e["valid"]["ppl"] for e in record.epochs if e["epoch"] == record.best_epoch]
    if record.final:
        scores.append(record.final["valid"]["ppl"])
    if (record.row, record.seed) != (trial.row, trial.seed) or trial.valid_ppl not in scores:
        raise InputError(
            f"{search} gives row {trial.row}, seed {trial.seed}, perplexity {trial.valid_ppl}, "
            f"which {path} does not say; write the search anew from its records"
        )


def search_grid(trials: Sequence[SearchTrial], labels: Mapping[str, str]) -> Grid:
    """One line per row and setting, the lowest mean perplexity of each row marked.

    Args:
        trials: sorted by row, as `read_search` gives them.
        labels: row slug -> label; other rows keep their slug.
    """
    options = list(dict.fromkeys(option for trial in trials for option in trial.setting))
    lines = []
    for row, group in groupby(trials, key=lambda trial: trial.row):
        settings: dict[tuple[str, ...], list[SearchTrial]] = {}
        for trial in group:
            cells = tuple(str(trial.setting.get(option, ABSENT)) for option in options)
            settings.setdefault(cells, []).append(trial)
        results = [summarise([trial.valid_ppl for trial in same]) for same in settings.values()]
        lowest = min(result.mean for result in results)
        perplexities = statistics(results)
        for index, (cells, same) in enumerate(settings.items()):
            seeds = ", ".join(str(trial.seed) for trial in same)
            mark = "lowest" if results[index].mean == lowest else ""
            lines.append([labels.get(row, row), *cells, seeds, perplexities[index], mark])
    return Grid("Search", ["row", *options, "seeds", "valid ppl", "of its row"], lines)
