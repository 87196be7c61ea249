"""The grids of translations: scores with intervals, decoding times, and paired bootstrap tests."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from define.analysis.compare import ComparisonRow, labels, section_runs
from define.analysis.significance import Significance
from define.report.details import by_way, settings_list, variants
from define.report.grid import Grid, Interval, Number, num
from define.runs.records import RunRecord
from define.runs.schema import TRANSLATED


def translations(
    section: Sequence[ComparisonRow], found: Sequence[RunRecord]
) -> dict[str, Any] | None:
    """Scores, settings, decoding times and signatures of translations; None without any.

    Returns:
        "scores": a grid of the headline translations; "ways": one of all translations of a row, or
        None where each has one; "settings", "cache" and "signatures": lines.
    """

    def of(record: RunRecord) -> Mapping[str, Any]:
        return record.translations

    runs = [r for r in section_runs(section, found) if r.finished and r.translations]
    if not runs:
        return None
    names = labels(section)
    sets = dict.fromkeys(s for record in runs for s in record.translation_scores)
    columns = {
        s: lambda scores, s=s: scores[s]["bleu"]["score"] if s in scores else None for s in sets
    }
    several = any(len(record.translations) > 1 for record in runs)
    signatures: dict[str, dict[str, dict[str, None]]] = {}
    for record in runs:
        for scores in record.translation_scores.values():
            for metric, name in TRANSLATED.items():
                users = signatures.setdefault(name, {})
                user = f"{names[record.row]} on {record.data}"
                users.setdefault(scores[metric]["signature"], {})[user] = None
    return {
        "scores": _score_grid(names, runs),
        "ways": by_way(section, runs, of, columns, "translation") if several else None,
        "settings": settings_list(section, runs, of),
        "cache": [line for r in runs for line in _cache_lines(names[r.row], r)],
        "signatures": variants(signatures, "{0}: `{1}`", ""),
    }


def _score_grid(names: Mapping[str, str], runs: Sequence[RunRecord]) -> Grid:
    first, *others = TRANSLATED
    lines = [
        [
            names[record.row],
            num(record.seed, "d"),
            set_name,
            scores["sentences"],
            num(scores[first]["score"]),
            _interval(scores[first]),
            *(num(scores[metric]["score"]) for metric in others),
        ]
        for record in runs
        for set_name, scores in record.translation_scores.items()
    ]
    header = ["row", "seed", "set", "sentences", TRANSLATED[first], "95 % interval"]
    return Grid("Translation scores", [*header, *map(TRANSLATED.get, others)], lines)


def _interval(score: Mapping[str, float]) -> Interval:
    """The 95 % interval of a score of sacreBLEU's."""
    return Interval(score["mean"] - score["half_width"], score["mean"] + score["half_width"])


def _cache_lines(label: str, record: RunRecord) -> Iterable[str]:
    """Each translation without the cache against the one that differs in nothing else."""
    for name, plain in record.translations.items():
        if plain["settings"].get("cache", True):
            continue
        twin = {**plain["settings"], "cache": True}
        for other, cached in record.translations.items():
            if cached["settings"] == twin:
                seconds = [
                    sum(scores["seconds"] for scores in way["scores"].values())
                    for way in (cached, plain)
                ]
                agreement = _agreement(cached["scores"], plain["scores"])
                yield (
                    f"{label}, seed {record.seed}: `{other}` {seconds[0]:,.1f} s, `{name}` "
                    f"{seconds[1]:,.1f} s; {agreement}."
                )


def _agreement(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    digest = "hypotheses_sha256"
    differ = [name for name in first if first[name][digest] != second[name][digest]]
    if differ:
        return f"the hypotheses differ on {', '.join(differ)}"
    return f"the hypotheses are identical on {', '.join(first)}"


def significance(test: Significance, found: Sequence[RunRecord], names: Mapping[str, str]) -> Grid:
    """One paired bootstrap test.

    Args:
        found: records of the table, among which a system's run is the one with its hypotheses.
        names: row -> label.
    """
    runs: dict[str, str] = {}
    for record in found:
        for name, translation in record.translations.items():
            if scores := translation["scores"].get(test.set):
                run = f"{names[record.row]}, {record.scale}, {record.data}, seed {record.seed}"
                runs.setdefault(scores["hypotheses_sha256"], f"{run}, {name}")
    lines = []
    for metric, label in TRANSLATED.items():
        if metric not in test.signatures:
            continue
        baseline = test.systems[test.baseline][metric]["score"]
        for name, scores in test.systems.items():
            score = scores[metric]["score"]
            lines.append(
                [
                    name,
                    runs.get(test.hypotheses_sha256[name]),
                    label,
                    num(score),
                    _interval(scores[metric]),
                    None if name == test.baseline else Number(score - baseline, "+.2f"),
                    num(scores[metric]["p_value"], ".3f"),
                ]
            )
    header = ["system", "run", "metric", "score", "95 % interval", "difference", "p"]
    title = f"{test.set}, {test.sentences:,} sentences, against {test.baseline}"
    return Grid(title, header, lines)
