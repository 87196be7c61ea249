"""The grids of what lies behind the results: speed, steps, evaluations, searches, environment."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from define.analysis import published
from define.analysis.environment import Environment, distinct
from define.analysis.search import BUDGET, SearchTrial
from define.analysis.speed import Timing
from define.analysis.stats import summarise
from define.report.grid import Cell, Grid, Number, mean, num
from define.runs.evaluations import Evaluation
from define.runs.records import RunRecord
from define.runs.steps import StepRecord


def speed(table: str, machine: str, rows: Sequence[Timing]) -> Grid:
    """Times of a section on one machine, and their ratios to one row, ours and the paper's."""
    reference = next((row for row in rows if row.published_ms), rows[0])
    columns: dict[str, Callable[[Timing], Cell]] = {
        "row": lambda row: row.label,
        "n": lambda row: row.ms.n,
        "ms per\nupdate": lambda row: mean(row.ms),
        "ratio\nours": lambda row: _ratio(row.ms.mean, reference.ms.mean),
    }
    if reference.published_ms:
        columns["ms\npaper"] = lambda row: num(row.published_ms, ".0f")
        columns["ratio\npaper"] = lambda row: _ratio(row.published_ms, reference.published_ms)
    columns["tokens/s"] = lambda row: num(row.tokens_per_second.mean, ",.0f")
    columns["peak MiB"] = lambda row: num(row.memory.mean, ",.0f")
    notes = [f"ratio: to {reference.label}.", *_machine_notes(table, [row.row for row in rows])]
    return Grid.of(f"Table {table} on {machine}", rows, columns, notes)


def _ratio(value: float | None, reference: float | None) -> Number | None:
    return None if value is None or not reference else Number(value / reference)


def _machine_notes(table: str, rows: Iterable[str]) -> list[str]:
    """What the paper notes on the speed of some rows, e.g. that it took two GPUs."""
    shown = set(rows)
    return [
        f"{row.label}: the paper measured it on {row.raw['note']}."
        for row in published.table(table)
        if row.row in shown and "note" in row.raw
    ]


STEPS_RULE = (
    "The models at the paper's size, trained for some updates. Time is the median of the timed "
    "updates; memory is the peak; the loss, in nats per token, is that of the last update, and no "
    "result. Ratios are to the row named, the table's first with as many tokens per update (of a "
    "translation at most, padding included); the paper's hardware is another, so only ratios can "
    "be compared."
)


def steps_made_on(steps: Sequence[StepRecord]) -> str:
    """The corpus of the steps, and how many updates were timed."""
    corpora = [step.provenance["data"] for step in steps]
    what = distinct(f"{data['name']}, {data['types']:,} types" for data in corpora)
    warm_up = distinct(f"{step.updates} after {step.warm_up}" for step in steps)
    return f"Corpus: {what}. Updates timed: {warm_up} of warm-up."


def steps(found: Sequence[StepRecord]) -> Grid:
    """The steps of one table on one device."""
    table = found[0].table
    labels, times = published.our_labels(table), published.ms_per_batch(table)
    names = {step.row: labels.get(step.row, step.row) for step in found}
    # Times are compared with those of the first row that has the same setting.
    first: dict[tuple, StepRecord] = {}
    for step in found:
        first.setdefault(step.setting, step)
    columns: dict[str, Callable[[StepRecord], Cell]] = {
        "row": lambda s: names[s.row],
        "tokens per update": lambda s: f"{s.tokens_per_update:,} of {s.paper_tokens_per_update:,}",
        "ms per update": lambda s: Number(s.median_ms, ",.1f"),
        "ratio ours": lambda s: _ratio(s.median_ms, first[s.setting].median_ms),
    }
    if times:
        columns["ms paper"] = lambda s: num(times.get(s.row), ".0f")
        columns["ratio paper"] = lambda s: _ratio(times.get(s.row), times.get(first[s.setting].row))
    columns["ratio to"] = lambda s: names[first[s.setting].row]
    columns["peak GiB"] = lambda s: Number(s.peak_memory_mib / 1024)
    columns["last loss"] = lambda s: Number(s.loss[-1], ".3f")
    cut = [names[s.row] for s in found if s.tokens_per_update < s.paper_tokens_per_update]
    notes = [f"The paper's batch was cut: {', '.join(dict.fromkeys(cut))}."] if cut else []
    notes += _machine_notes(table, names)
    return Grid.of(f"Table {table} on {found[0].provenance['device']}", found, columns, notes)


def by_device(steps: Sequence[StepRecord]) -> dict[str, list[StepRecord]]:
    """Device -> its steps: times of two devices never share a table."""
    devices: dict[str, list[StepRecord]] = {}
    for step in steps:
        devices.setdefault(step.provenance["device"], []).append(step)
    return devices


def evaluations(
    found: Sequence[Evaluation], every_record: Sequence[RunRecord]
) -> tuple[Grid, list[str]]:
    """Each evaluation with its run's own scores; then each setting, with the models it is of.

    The runs are looked up among all records.
    """
    runs = {(r.table, r.row, r.scale, r.data, r.seed): r for r in every_record}
    names = {row.row: row.label for row in published.table(found[0].table)}
    columns: dict[str, Callable[[Evaluation], Cell]] = {
        "model": lambda one: names.get(one.row, one.row),
        "run": lambda one: f"{one.run['table']}/{one.run['row']}",
        "scale": lambda one: one.scale,
        "data": lambda one: one.provenance["data"]["name"],
        "seed": lambda one: num(one.seed, "d"),
    }
    for split in ("valid", "test"):
        columns[f"{split} without"] = lambda one, split=split: num(
            runs[one.run_key].metrics.get(f"{split}_ppl") if one.run_key in runs else None
        )
        columns[split] = lambda one, split=split: num(one.scores.get(split, {}).get("ppl"))
    columns["M par."] = lambda one: num(
        runs[one.run_key].parameters["total"] / 1e6 if one.run_key in runs else None
    )
    models: dict[str, list[str]] = {}
    for one in found:
        models.setdefault(one.settings, []).append(names.get(one.row, one.row))
    settings = [f"{', '.join(dict.fromkeys(of))}: {text}." for text, of in models.items()]
    return Grid.of("Further evaluations", found, columns), settings


def search(trials: Sequence[SearchTrial], names: Mapping[str, str]) -> Grid:
    """One line per row and setting, the lowest mean perplexity of each row and budget marked.

    Args:
        trials: sorted by row, as `read_search` gives them.
        names: row slug -> label; other rows keep their slug.
    """
    options = list(dict.fromkeys(option for trial in trials for option in trial.setting))
    groups: dict[tuple, list[SearchTrial]] = {}
    for trial in trials:
        values = tuple(_value(trial.setting.get(option)) for option in options)
        groups.setdefault((trial.row, values, trial.unfinished), []).append(trial)
    results = {
        key: summarise([t.valid_ppl for t in same if t.valid_ppl is not None])
        for key, same in groups.items()
    }

    def contest(key: tuple) -> tuple:
        """What settings must share to be compared: the row, and the budget."""
        row, values, _ = key
        return row, *(v for o, v in zip(options, values, strict=True) if o in BUDGET)

    lowest: dict[tuple, float] = {}
    for key, result in results.items():
        if not key[2]:
            lowest[contest(key)] = min(result.mean, lowest.get(contest(key), result.mean))
    lines: list[list[Cell]] = []
    for key, same in groups.items():
        row, values, unfinished = key
        best = not unfinished and results[key].mean == lowest[contest(key)]
        seeds = ", ".join(str(trial.seed) for trial in same)
        mark = "lowest" if best else unfinished
        lines.append([names.get(row, row), *values, seeds, mean(results[key]), mark])
    among = "of its row and budget" if BUDGET & set(options) else "of its row"
    return Grid("Search", ["row", *options, "seeds", "valid ppl", among], lines)


def _value(value: Any) -> str | None:
    return None if value is None else str(value)


def environment_grids(found: Environment) -> list[Grid]:
    """Machines, versions and commits, and how many runs had each."""
    machines = [
        [device, num(threads, "d"), python, count]
        for (device, threads, python), count in sorted(found.machines.items())
    ]
    versions = [[name, version, count] for (name, version), count in found.versions.items()]
    commits = [
        [commit, min(days), max(days), len(days)]
        for commit, days in sorted(found.commits.items(), key=lambda one: (min(one[1]), one[0]))
    ]
    return [
        Grid("Machines", ["device", "threads", "Python", "runs"], machines),
        Grid("Versions", ["package", "version", "runs"], versions),
        Grid("Commits", ["commit", "first run", "last run", "runs"], commits),
    ]
