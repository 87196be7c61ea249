"""The grids of evaluation protocols, of translations, and of paired bootstrap tests."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, product
from typing import Any

from define.analysis.compare import Section, settings
from define.analysis.stats import summarise
from define.report.grid import Cell, Grid, Interval, Number, mean, num
from define.runs.records import RunRecord
from define.runs.schema import TRANSLATED, sentence
from define.runs.significance import Significance

Ways = Callable[[RunRecord], Mapping[str, Mapping[str, Any]]]
"""The protocols or the translations of a record: name -> settings and scores."""
Users = dict[str, dict[str, dict[str, None]]]
"""Name -> text -> the rows or runs that have this text under the name."""


def protocols(section: Section) -> tuple[Grid, list[str]] | None:
    """Perplexity by evaluation protocol, and what each protocol is; None if no record has one."""
    runs = [record for record in section.finished if record.protocols]
    if not runs:
        return None
    columns = {
        f"{split} ppl": lambda scores, split=split: scores.get(split, {}).get("ppl")
        for split in ("valid", "test")
    }
    return (
        _by_way(section, runs, lambda record: record.protocols, columns, "protocol"),
        _settings(section, runs, lambda record: record.protocols),
    )


def translations(section: Section) -> dict[str, Any] | None:
    """Scores, settings, decoding times and signatures of translations; None without any.

    Returns:
        "scores": a grid of the headline translations; "ways": one of all translations of a row, or
        None where each has one; "settings", "cache" and "signatures": lines.
    """
    runs = [record for record in section.finished if record.translations]
    if not runs:
        return None
    names = section.labels
    sets = dict.fromkeys(s for record in runs for s in record.translation_scores)
    columns = {
        s: lambda found, s=s: found[s]["bleu"]["score"] if s in found else None for s in sets
    }
    several = any(len(record.translations) > 1 for record in runs)
    signatures: Users = {}
    for record in runs:
        for scores in record.translation_scores.values():
            for metric, name in TRANSLATED.items():
                texts = signatures.setdefault(name, {})
                user = f"{names[record.row]} on {record.data}"
                texts.setdefault(scores[metric]["signature"], {})[user] = None

    def of(record: RunRecord) -> Mapping[str, Any]:
        return record.translations

    return {
        "scores": _headlines(names, runs),
        "ways": _by_way(section, runs, of, columns, "translation") if several else None,
        "settings": _settings(section, runs, of),
        "cache": [line for r in runs for line in _cache_lines(names[r.row], r)],
        "signatures": [f"{name}: `{text}`" for name, text in _variants(signatures)],
    }


def _by_way(
    section: Section,
    runs: Sequence[RunRecord],
    ways: Ways,
    columns: Mapping[str, Callable[[Mapping[str, Any]], float | None]],
    kind: str,
) -> Grid:
    """The mean score of each row, way by way; `columns` are heading -> score of a way's scores."""
    lines = []
    for row, group in groupby(runs, key=lambda record: record.row):
        seeds = list(group)
        for index, way in enumerate(ways(seeds[0])):
            scores = [ways(record)[way]["scores"] for record in seeds]
            values = [[score(found) for found in scores] for score in columns.values()]
            means = [mean(summarise([v for v in found if v is not None])) for found in values]
            headline = "" if index else "headline"
            lines.append([section.labels[row], way, *means, len(seeds), headline])
    return Grid(f"By {kind}", ["row", kind, *columns, "n", ""], lines)


def _settings(section: Section, runs: Sequence[RunRecord], ways: Ways) -> list[str]:
    """One line per way and setting."""
    found: Users = {}
    for record in runs:
        for name, values in settings(ways(record)):
            texts = found.setdefault(f"`{name}`", {})
            texts.setdefault(sentence(values), {})[section.labels[record.row]] = None
    return [f"{name}: {text or 'no settings'}." for name, text in _variants(found)]


def _variants(found: Users) -> Iterable[tuple[str, str]]:
    """(name, text) of each; a name that has several texts is followed by their users."""
    for name, texts in found.items():
        for text, users in texts.items():
            yield name + (f" ({', '.join(users)})" if len(texts) > 1 else ""), text


def _headlines(names: Mapping[str, str], runs: Sequence[RunRecord]) -> Grid:
    """One line per run and evaluation set."""
    first, *others = TRANSLATED
    columns: dict[str, Callable[[tuple], Cell]] = {
        "row": lambda of: names[of[0].row],
        "seed": lambda of: num(of[0].seed, "d"),
        "set": lambda of: of[1],
        "sentences": lambda of: of[2]["sentences"],
        TRANSLATED[first]: lambda of: num(of[2][first]["score"]),
        "95 % interval": lambda of: _interval(of[2][first]),
    }
    for metric in others:
        columns[TRANSLATED[metric]] = lambda of, metric=metric: num(of[2][metric]["score"])
    scored = [(r, name, scores) for r in runs for name, scores in r.translation_scores.items()]
    return Grid.of("Translation scores", scored, columns)


def _interval(score: Mapping[str, float]) -> Interval:
    """sacreBLEU's 95 % interval of a score."""
    return Interval(score["mean"] - score["half_width"], score["mean"] + score["half_width"])


def _cache_lines(label: str, record: RunRecord) -> Iterable[str]:
    """Each translation without the cache against the one that differs in nothing else."""
    for (name, plain), (other, cached) in product(record.translations.items(), repeat=2):
        settings, digest = cached["settings"], "hypotheses_sha256"
        if not settings.get("cache") or plain["settings"] != {**settings, "cache": False}:
            continue
        slow, fast = plain["scores"], cached["scores"]
        seconds = [sum(scores["seconds"] for scores in of.values()) for of in (fast, slow)]
        differ = [s for s in fast if fast[s][digest] != slow[s][digest]]
        yield (
            f"{label}, seed {record.seed}: `{other}` {seconds[0]:,.1f} s, `{name}` "
            f"{seconds[1]:,.1f} s; the hypotheses {'differ' if differ else 'are identical'} on "
            f"{', '.join(differ or fast)}."
        )


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
            score, p_value = scores[metric]["score"], scores[metric]["p_value"]
            gap = None if name == test.baseline else Number(score - baseline, "+.2f")
            line = [name, runs.get(test.hypotheses_sha256[name]), label, num(score)]
            lines.append([*line, _interval(scores[metric]), gap, num(p_value, ".3f")])
    header = ["system", "run", "metric", "score", "95 % interval", "difference", "p"]
    title = f"{test.set}, {test.sentences:,} sentences, against {test.baseline}"
    return Grid(title, header, lines)
