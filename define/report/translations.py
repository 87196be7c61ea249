"""The chapter of a report on translations: scores with intervals, settings, and decoding times."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from define.analysis.compare import ComparisonRow, by_section, section_runs
from define.analysis.stats import summarise
from define.report.chapters import labels, settings_list
from define.report.grid import Grid, markdown
from define.report.render import interval_notes, number, section_title, statistics
from define.runs.records import RunRecord
from define.runs.schema import TRANSLATED


def chapter(rows: Sequence[ComparisonRow], found: Sequence[RunRecord]) -> list[str]:
    """The report's blocks of translations; none if no finished run has one."""
    blocks, signatures = [], []
    for section in by_section(rows):
        runs = [r for r in section_runs(section, found) if r.finished and r.translations]
        if runs:
            blocks += [f"### {section_title(section[0])}", *_section(section, runs)]
            signatures += _signatures(runs, labels(section))
    if not blocks:
        return []
    return [
        "## Translation scores",
        "Scores by sacreBLEU of each run's headline translation, as detokenised text. BLEU is the "
        "one of the results above, tokenised by 13a; beside it stands sacreBLEU's own 95 % "
        "bootstrap interval over the sentences. The last column is BLEU of Moses' tokens with "
        "compounds split, which many papers report; the two cannot be compared. The hypotheses lie "
        "beside the records, in `hypotheses/`.",
        *blocks,
        "The signatures of these scores:",
        _signature_list(signatures),
    ]


def interval(score: Mapping[str, float]) -> str:
    """The 95 % interval of a score of sacreBLEU's, e.g. "[26.71, 28.33]"."""
    mean, half = score["mean"], score["half_width"]
    return f"[{number(mean - half)}, {number(mean + half)}]"


def _section(section: Sequence[ComparisonRow], runs: Sequence[RunRecord]) -> list[str]:
    names = labels(section)
    blocks = [markdown(_score_grid(names, runs))]
    if any(len(record.translations) > 1 for record in runs):
        blocks += [
            "BLEU by translation of the same models; the headline is the one above:",
            markdown(_way_grid(names, runs)),
        ]
    blocks.append(settings_list(section, runs, lambda record: record.translations))
    if lines := [line for record in runs for line in _cache_lines(names[record.row], record)]:
        blocks += ["Seconds of decoding, with the input layers folded into tables and without:"]
        blocks.append("\n".join(f"* {line}" for line in lines))
    return blocks


def _score_grid(names: Mapping[str, str], runs: Sequence[RunRecord]) -> Grid:
    first, *others = TRANSLATED
    header = ["row", "seed", "set", "sentences", TRANSLATED[first], "95 % interval"]
    lines = []
    for record in runs:
        for set_name, scores in record.translation_scores.items():
            lines.append(
                [
                    names[record.row],
                    str(record.seed),
                    set_name,
                    f"{scores['sentences']:,}",
                    number(scores[first]["score"]),
                    interval(scores[first]),
                    *(number(scores[metric]["score"]) for metric in others),
                ]
            )
    return Grid("Translation scores", [*header, *map(TRANSLATED.get, others)], lines)


def _way_grid(names: Mapping[str, str], runs: Sequence[RunRecord]) -> Grid:
    sets = list(dict.fromkeys(s for record in runs for s in record.translation_scores))
    lines, columns = [], {name: [] for name in sets}
    for row, group in groupby(runs, key=lambda record: record.row):
        seeds = list(group)
        for way in seeds[0].translations:
            scores = [record.translations[way]["scores"] for record in seeds]
            for name, column in columns.items():
                values = [found[name]["bleu"]["score"] for found in scores if name in found]
                column.append(summarise(values) if values else None)
            mark = "headline" if way == seeds[0].translation else ""
            lines.append((names[row], way, str(len(seeds)), mark))
    bleu = zip(*map(statistics, columns.values()), strict=True)
    cells = [
        [label, way, *scores, seeds, mark]
        for (label, way, seeds, mark), scores in zip(lines, bleu, strict=True)
    ]
    notes = interval_notes(value for column in columns.values() for value in column)
    return Grid("Translations", ["row", "translation", *sets, "n", ""], cells, notes)


def _cache_lines(label: str, record: RunRecord) -> Iterator[str]:
    """Each translation without the cache against the one that differs in nothing else."""
    for name, plain in record.translations.items():
        if plain["settings"].get("cache", True):
            continue
        twin = {**plain["settings"], "cache": True}
        for other, cached in record.translations.items():
            if cached["settings"] == twin:
                with_cache, without = _seconds(cached), _seconds(plain)
                yield (
                    f"{label}, seed {record.seed}: `{other}` {with_cache:,.1f} s, `{name}` "
                    f"{without:,.1f} s; {_agreement(cached['scores'], plain['scores'])}."
                )


def _seconds(translation: Mapping[str, Any]) -> float:
    return sum(scores["seconds"] for scores in translation["scores"].values())


def _agreement(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    digest = "hypotheses_sha256"
    differ = [name for name in first if first[name][digest] != second[name][digest]]
    if differ:
        return f"the hypotheses differ on {', '.join(differ)}"
    return f"the hypotheses are identical on {', '.join(first)}"


def _signatures(
    runs: Iterable[RunRecord], names: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """(metric, signature, what has it) of each score of the headline translations."""
    for record in runs:
        for scores in record.translation_scores.values():
            for metric in TRANSLATED:
                user = f"{names[record.row]} on {record.data}"
                yield metric, scores[metric]["signature"], user


def _signature_list(signatures: Sequence[tuple[str, str, str]]) -> str:
    """One line per metric and signature; names the rows where a metric has several."""
    found: dict[str, dict[str, dict[str, None]]] = {metric: {} for metric in TRANSLATED}
    for metric, signature, user in signatures:
        found[metric].setdefault(signature, {})[user] = None
    lines = []
    for metric, variants in found.items():
        for signature, users in variants.items():
            which = f" ({', '.join(users)})" if len(variants) > 1 else ""
            lines.append(f"* {TRANSLATED[metric]}{which}: `{signature}`")
    return "\n".join(lines)
