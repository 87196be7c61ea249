"""The grids of what lies behind the results: protocols, translations, speed, steps, searches."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from define.analysis import published
from define.analysis.compare import ComparisonRow, labels, section_runs, settings
from define.analysis.environment import Environment, distinct
from define.analysis.evaluations import Evaluation
from define.analysis.search import BUDGET, SearchTrial
from define.analysis.speed import Timing
from define.analysis.stats import summarise
from define.analysis.steps import StepRecord
from define.report.grid import Cell, Grid, Number, mean, num
from define.runs.records import RunRecord
from define.runs.schema import sentence

Ways = Callable[[RunRecord], Mapping[str, Mapping[str, Any]]]
"""The protocols or the translations of a record: name -> settings and scores."""


def by_way(
    section: Sequence[ComparisonRow],
    runs: Sequence[RunRecord],
    ways: Ways,
    columns: Mapping[str, Callable[[Mapping[str, Any]], float | None]],
    kind: str,
) -> Grid:
    """The mean score of each row, way by way; `columns` are heading -> score of a way's scores."""
    names = labels(section)
    lines = []
    for row, group in groupby(runs, key=lambda record: record.row):
        seeds = list(group)
        for index, way in enumerate(ways(seeds[0])):
            scores = [ways(record)[way]["scores"] for record in seeds]
            values = [[score(found) for found in scores] for score in columns.values()]
            means = [mean(summarise([v for v in found if v is not None])) for found in values]
            lines.append([names[row], way, *means, len(seeds), "" if index else "headline"])
    return Grid(f"By {kind}", ["row", kind, *columns, "n", ""], lines)


def settings_list(
    section: Sequence[ComparisonRow], runs: Sequence[RunRecord], ways: Ways
) -> list[str]:
    """One line per way and setting; the rows are named where a way has several."""
    names = labels(section)
    rows: dict[str, dict[str, dict[str, None]]] = {}
    for record in runs:
        for name, values in settings(ways(record)):
            users = rows.setdefault(f"`{name}`", {}).setdefault(sentence(values), {})
            users[names[record.row]] = None
    return variants(rows, "{0}: {1}.", "no settings")


def variants(found: Mapping[str, Mapping[str, Iterable[str]]], form: str, empty: str) -> list[str]:
    """One line per name (0) and text (1); who has the text, where a name has several."""
    return [
        form.format(name + (f" ({', '.join(users)})" if len(texts) > 1 else ""), text or empty)
        for name, texts in found.items()
        for text, users in texts.items()
    ]


def protocols(
    section: Sequence[ComparisonRow], found: Sequence[RunRecord]
) -> tuple[Grid, list[str]] | None:
    """Perplexity by evaluation protocol, and what each protocol is; None if no record has one."""

    def of(record: RunRecord) -> Mapping[str, Any]:
        return record.protocols

    runs = [r for r in section_runs(section, found) if r.finished and r.protocols]
    if not runs:
        return None
    columns = {
        f"{split} ppl": lambda scores, split=split: scores.get(split, {}).get("ppl")
        for split in ("valid", "test")
    }
    return by_way(section, runs, of, columns, "protocol"), settings_list(section, runs, of)


def speed(table: str, machine: str, rows: Sequence[Timing]) -> Grid:
    """Times of the rows of a section on one machine, as ratios to its first, and the paper's."""
    reference = next((row for row in rows if row.published_ms), rows[0])
    papers = reference.published_ms
    lines = [
        [
            row.label,
            row.ms.n,
            mean(row.ms),
            _ratio(row.ms.mean, reference.ms.mean),
            *([num(row.published_ms, ".0f"), _ratio(row.published_ms, papers)] if papers else []),
            num(row.tokens_per_second.mean, ",.0f"),
            num(row.memory.mean, ",.0f"),
        ]
        for row in rows
    ]
    header = ["row", "n", "ms per\nupdate", "ratio\nours"]
    header += ["ms\npaper", "ratio\npaper"] if papers else []
    notes = [f"ratio: to {reference.label}.", *_machine_notes(table, [row.row for row in rows])]
    title = f"Table {table} on {machine}"
    return Grid(title, [*header, "tokens/s", "peak MiB"], lines, notes)


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
    table, ours = found[0].table, published.our_labels(found[0].table)
    names = {step.row: ours.get(step.row, step.row) for step in found}
    times = published.ms_per_batch(table)
    first: dict[tuple, StepRecord] = {}
    lines, cut = [], {}
    for step in found:
        reference = first.setdefault(step.setting, step)
        paper = times.get(step.row)
        papers = [num(paper, ".0f"), _ratio(paper, times.get(reference.row))] if times else []
        lines.append(
            [
                names[step.row],
                f"{step.tokens_per_update:,} of {step.paper_tokens_per_update:,}",
                Number(step.median_ms, ",.1f"),
                _ratio(step.median_ms, reference.median_ms),
                *papers,
                names[reference.row],
                Number(step.peak_memory_mib / 1024),
                Number(step.loss[-1], ".3f"),
            ]
        )
        if step.tokens_per_update < step.paper_tokens_per_update:
            cut[names[step.row]] = None
    header = ["row", "tokens per update", "ms per update", "ratio ours"]
    header += [*(["ms paper", "ratio paper"] if times else []), "ratio to", "peak GiB", "last loss"]
    notes = [f"The paper's batch was cut: {', '.join(cut)}."] if cut else []
    title = f"Table {table} on {found[0].provenance['device']}"
    return Grid(title, header, lines, [*notes, *_machine_notes(table, names)])


def by_device(steps: Sequence[StepRecord]) -> dict[str, list[StepRecord]]:
    """Device -> its steps: times of two devices never share a table."""
    devices: dict[str, list[StepRecord]] = {}
    for step in steps:
        devices.setdefault(step.provenance["device"], []).append(step)
    return devices


def evaluations(found: Sequence[Evaluation], every_record: Sequence[RunRecord]) -> Grid:
    """Each evaluation and its run's own scores; the runs are looked up among all records."""
    runs = {(r.table, r.row, r.scale, r.data, r.seed): r for r in every_record}
    lines = []
    for one in found:
        run = runs.get(one.run_key)
        without, scores = run.metrics if run else {}, one.scores
        lines.append(
            [
                _evaluated(one),
                f"{one.run['table']}/{one.run['row']}",
                one.scale,
                one.provenance["data"]["name"],
                num(one.seed, "d"),
                num(without.get("valid_ppl")),
                num(scores["valid"]["ppl"]),
                num(without.get("test_ppl")),
                num(scores["test"]["ppl"] if "test" in scores else None),
                num(run and run.parameters["total"] / 1e6),
            ]
        )
    header = ["model", "run", "scale", "data", "seed", "valid without", "valid", "test without"]
    return Grid("Further evaluations", [*header, "test", "M par."], lines)


def evaluation_settings(found: Sequence[Evaluation]) -> list[str]:
    """The settings of evaluations, each once with the models that were scored so."""
    models: dict[str, dict[str, None]] = {}
    for one in found:
        models.setdefault(one.settings, {})[_evaluated(one)] = None
    return [f"{', '.join(names)}: {text}." for text, names in models.items()]


def _evaluated(one: Evaluation) -> str:
    """What the evaluated model is called."""
    names = {row.row: row.label for row in published.table(one.table)}
    return names.get(one.row, one.row)


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
    lowest: dict[tuple, float] = {}
    for key, result in results.items():
        if not key[2]:
            contest = _contest(options, key)
            lowest[contest] = min(result.mean, lowest.get(contest, result.mean))
    lines: list[list[Cell]] = []
    for key, same in groups.items():
        row, values, unfinished = key
        best = not unfinished and results[key].mean == lowest[_contest(options, key)]
        seeds = ", ".join(str(trial.seed) for trial in same)
        mark = "lowest" if best else unfinished
        lines.append([names.get(row, row), *values, seeds, mean(results[key]), mark])
    among = "of its row and budget" if BUDGET & set(options) else "of its row"
    return Grid("Search", ["row", *options, "seeds", "valid ppl", among], lines)


def _value(value: Any) -> str | None:
    return None if value is None else str(value)


def _contest(options: Sequence[str], key: tuple) -> tuple:
    """What settings must share to be compared: the row, and the budget."""
    row, values, _ = key
    return row, *(v for option, v in zip(options, values, strict=True) if option in BUDGET)


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
