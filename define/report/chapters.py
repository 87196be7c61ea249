"""The chapters of a report that rest on run records: Markdown blocks, made from data alone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from define.analysis import published
from define.analysis.compare import ComparisonRow, by_section, section_runs, settings
from define.analysis.search import SearchTrial, search_grid
from define.analysis.stats import summarise
from define.report import origins, render
from define.report.grid import Grid, markdown
from define.report.render import (
    ABSENT,
    interval_notes,
    number,
    row_label,
    section_title,
    statistics,
)
from define.runs.records import RunRecord
from define.runs.schema import PARTS, sentence

_RUN_HEADER = (
    "row",
    "seed",
    "status",
    "valid ppl",
    "test ppl",
    "best epoch",
    "valid tokens scored",
    "test tokens scored",
    "tokens/s",
    "peak MiB",
    "minutes",
    "device",
    "commit",
)


def labels(rows: Sequence[ComparisonRow]) -> dict[str, str]:
    """Row -> label of our runs, controls marked."""
    ours = published.our_labels(rows[0].table)
    return {row.row: row_label(ours.get(row.row, row.label), row.kind) for row in rows}


def what_was_run(rows: Sequence[ComparisonRow], found: Sequence[RunRecord]) -> list[str]:
    """Seeds, corpus, device and versions of each section, and the command of each run."""
    if not found:
        return ["## What was run", "Nothing yet."]
    blocks = ["## What was run"]
    commands: dict[str, None] = {}
    for section in by_section(rows):
        runs = section_runs(section, found)
        commands |= dict.fromkeys(record.provenance["command"] for record in runs)
        if runs:
            title = f"{section_title(section[0])}:"
            blocks.append("\n".join([title, "", *(f"* {fact}" for fact in _facts(runs))]))
    return [
        *blocks,
        "Each of these commands repeats one run:",
        "\n".join(["```sh", *commands, "```"]),
    ]


def _facts(runs: Sequence[RunRecord]) -> list[str]:
    seeds = [
        f"`{row}` {', '.join(str(record.seed) for record in group)}"
        for row, group in groupby(runs, key=lambda record: record.row)
    ]
    return [
        f"seeds: {'; '.join(seeds)}",
        f"corpus: {_corpus([record.provenance['data'] for record in runs])}",
        *origins.facts([record.provenance for record in runs]),
    ]


def _corpus(corpora: Sequence[Mapping[str, Any]]) -> str:
    """Sizes; the tokens and types of a pair corpus are those of its target."""
    tokens, pairs = (
        origins.distinct(origins.listed(data.get(name, {}), "{1:,} {0}") for data in corpora)
        for name in ("tokens", "pairs")
    )
    types = origins.distinct(f"{data['types']:,}" for data in corpora)
    if not pairs:
        return f"{tokens} tokens; {types} types"
    source = origins.distinct(f"{data['source_types']:,}" for data in corpora)
    return f"{pairs} pairs; {tokens} target tokens; {source} source and {types} target types"


def chapter(
    rows: Sequence[ComparisonRow],
    opening: Sequence[str],
    part: Callable[[Sequence[ComparisonRow]], Sequence[str]],
) -> list[str]:
    """The opening, then each section's title and part; nothing where no section has a part.

    Args:
        part: the blocks of one section; none where it has nothing to tell.
    """
    blocks = []
    for section in by_section(rows):
        if told := part(section):
            blocks += [f"### {section_title(section[0])}", *told]
    return blocks and [*opening, *blocks]


def results(rows: Sequence[ComparisonRow]) -> list[str]:
    """The paper's numbers beside ours, then the parameters of our models."""

    def part(section: Sequence[ComparisonRow]) -> list[str]:
        blocks = [markdown(grid) for grid in render.grids(section)]
        if built := [row for row in section if row.parameters]:
            blocks += ["Parameters of our models, by part:", markdown(parameters_grid(built))]
        return blocks

    return chapter(rows, ["## Results"], part)


def parameters_grid(rows: Sequence[ComparisonRow]) -> Grid:
    """Counts of our models, part by part; every row has been built."""
    names = labels(rows)
    lines = []
    for row in rows:
        lines.append([names[row.row], *(f"{row.parameters[part]:,}" for part in PARTS)])
    return Grid("Parameters", ["row", *PARTS], lines)


def protocols(rows: Sequence[ComparisonRow], found: Sequence[RunRecord]) -> list[str]:
    """Perplexity by evaluation protocol, and what each protocol is; none if no record has one."""

    def part(section: Sequence[ComparisonRow]) -> list[str]:
        runs = [r for r in section_runs(section, found) if r.finished and r.protocols]
        if not runs:
            return []
        settings = settings_list(section, runs, lambda record: record.protocols)
        return [markdown(_protocol_grid(section, runs)), settings]

    opening = [
        "## Evaluation protocols",
        "The same checkpoints, scored in several ways; each way scores every token of the split. "
        "The headline is the one in the results above.",
    ]
    return chapter(rows, opening, part)


def _protocol_grid(section: Sequence[ComparisonRow], runs: Sequence[RunRecord]) -> Grid:
    names = labels(section)
    lines, scores = [], {"valid": [], "test": []}
    for row, group in groupby(runs, key=lambda record: record.row):
        seeds = list(group)
        for name in seeds[0].protocols:
            for split, column in scores.items():
                found = [r.protocols[name]["scores"].get(split) for r in seeds]
                values = [score["ppl"] for score in found if score]
                column.append(summarise(values) if values else None)
            mark = "headline" if name == seeds[0].headline else ""
            lines.append((names[row], name, str(len(seeds)), mark))
    ppl = [statistics(column) for column in scores.values()]
    cells = [
        [label, name, valid, test, seeds, mark]
        for (label, name, seeds, mark), valid, test in zip(lines, *ppl, strict=True)
    ]
    header = ["row", "protocol", "valid ppl", "test ppl", "n", ""]
    return Grid("Protocols", header, cells, interval_notes(scores["valid"] + scores["test"]))


def settings_list(
    section: Sequence[ComparisonRow],
    runs: Sequence[RunRecord],
    ways: Callable[[RunRecord], Mapping[str, Mapping[str, Any]]],
) -> str:
    """One line per way and setting; the rows are named where a way has several.

    Args:
        ways: what of a record is listed, its protocols or its translations.
    """
    names = labels(section)
    rows: dict[str, dict[str, dict[str, None]]] = {}
    for record in runs:
        for name, values in settings(ways(record)):
            users = rows.setdefault(name, {}).setdefault(sentence(values), {})
            users[names[record.row]] = None
    lines = []
    for name, variants in rows.items():
        for text, users in variants.items():
            which = f" ({', '.join(users)})" if len(variants) > 1 else ""
            lines.append(f"* `{name}`{which}: {text or 'no settings'}.")
    return "\n".join(lines)


def speed(rows: Sequence[ComparisonRow]) -> list[str]:
    """Milliseconds per update beside the paper's, as ratios; none where the paper has none."""

    def part(section: Sequence[ComparisonRow]) -> list[str]:
        timed = [row for row in section if row.ms_per_update and row.ms_per_update.mean > 0]
        both = [row for row in timed if row.published_ms_per_batch]
        return [markdown(_speed_grid(timed, both[0]))] if both else []

    opening = [
        "## Speed",
        "Milliseconds per update. The hardware is not the paper's, so only the ratios to one row "
        "can be compared.",
    ]
    return chapter(rows, opening, part)


def _speed_grid(rows: Sequence[ComparisonRow], reference: ComparisonRow) -> Grid:
    ours = statistics([row.ms_per_update for row in rows])
    lines = [
        [
            row_label(row.label, row.kind),
            absolute,
            ratio(row.ms_per_update.mean, reference.ms_per_update.mean),
            number(row.published_ms_per_batch, 0),
            ratio(row.published_ms_per_batch, reference.published_ms_per_batch),
            str(row.ms_per_update.n),
        ]
        for row, absolute in zip(rows, ours, strict=True)
    ]
    header = ["row", "ms ours", "ratio ours", "ms paper", "ratio paper", "n"]
    notes = [
        *interval_notes(row.ms_per_update for row in rows),
        f"ratio: to {reference.label}.",
        *machine_notes(reference.table, [row.row for row in rows]),
    ]
    return Grid("Speed", header, lines, notes)


def ratio(value: float | None, reference: float) -> str:
    """`value` as a multiple of `reference`, or "-"."""
    return ABSENT if value is None else number(value / reference)


def machine_notes(table: str, rows: Iterable[str]) -> list[str]:
    """What the paper notes beside the speed of some rows, e.g. that it took two GPUs."""
    shown = set(rows)
    return [
        f"{row.label}: the paper measured it on {row.raw['note']}."
        for row in published.table(table)
        if row.row in shown and "note" in row.raw
    ]


def runs(rows: Sequence[ComparisonRow], found: Sequence[RunRecord]) -> list[str]:
    """One line per run; none without a run."""
    names = labels(rows)

    def part(section: Sequence[ComparisonRow]) -> list[str]:
        lines = [[names[r.row], *_run_cells(r)] for r in section_runs(section, found)]
        translated = published.metric(section[0].table) == "bleu"
        notes = ["Perplexity and tokens are those of target subwords."] if translated else []
        return [markdown(Grid("Runs", _RUN_HEADER, lines, notes))] if lines else []

    return chapter(rows, ["## Runs"], part)


def _run_cells(record: RunRecord) -> list[str]:
    final = record.final if record.finished else {}
    scored = [
        f"{final[split]['scored_tokens']:,}" if split in final else ABSENT
        for split in ("valid", "test")
    ]
    best = ABSENT if record.best_epoch is None else str(record.best_epoch)
    return [
        str(record.seed),
        record.status,
        number(record.metrics.get("valid_ppl")),
        number(record.metrics.get("test_ppl")),
        f"{best} of {len(record.epochs)}",
        *scored,
        f"{record.speed['tokens_per_second']:,.0f}",
        f"{record.peak_memory_mib:,.0f}",
        f"{record.speed['seconds'] / 60:.1f}",
        record.provenance["device"],
        origins.commit(record.provenance),
    ]


def search(trials: Sequence[SearchTrial], names: Mapping[str, str]) -> list[str]:
    """What the hyper-parameter search tried; none without trials."""
    if not trials:
        return []
    return [
        "## Search",
        "The settings tried for each row; they are judged by the validation set alone.",
        markdown(search_grid(trials, names)),
    ]
