"""The page on where its numbers come from: days, machines, versions, commits and corpora."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from define.report import origins
from define.report.grid import Grid
from define.report.page import markup
from define.runs.records import RunRecord


def period(shown: Sequence[RunRecord]) -> str:
    """The days of the first and the last run, and the commit, or how many there were."""
    days = sorted(_day(record) for record in shown)
    if not days:
        return ""
    commits = list(dict.fromkeys(origins.commit(record.provenance) for record in shown))
    at = f"commit {commits[0]}" if len(commits) == 1 else f"{len(commits)} commits"
    return f"{' to '.join(dict.fromkeys((days[0], days[-1])))}, at {at}"


def _day(record: RunRecord) -> str:
    return datetime.fromisoformat(record.provenance["started"]).date().isoformat()


def machines(shown: Sequence[RunRecord]) -> str:
    """The machines as a table, and how many runs each had."""
    origin = [record.provenance for record in shown]
    counts = Counter((o["device"], str(o["threads"]), o["python"]) for o in origin)
    lines = [[*key, str(count)] for key, count in sorted(counts.items())]
    return markup(Grid("Machines", ["device", "threads", "Python", "runs"], lines))


def versions(shown: Sequence[RunRecord]) -> str:
    """The packages' versions as a table, and how many runs had each."""
    counts = Counter(one for r in shown for one in r.provenance["versions"].items())
    lines = [[name, version, str(count)] for (name, version), count in counts.items()]
    return markup(Grid("Versions", ["package", "version", "runs"], lines))


def commits(shown: Sequence[RunRecord]) -> str:
    """The commits as a table: the days of the first and the last run of each, and how many."""
    days: dict[str, list[str]] = {}
    for record in shown:
        days.setdefault(origins.commit(record.provenance), []).append(_day(record))
    lines = [
        [commit, min(found), max(found), str(len(found))]
        for commit, found in sorted(days.items(), key=lambda item: (min(item[1]), item[0]))
    ]
    return markup(Grid("Commits", ["commit", "first run", "last run", "runs"], lines))


def corpora(shown: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Each corpus, once for each set of checksums that runs had."""
    found: dict[str, dict[str, Any]] = {}
    for record in shown:
        data = record.provenance["data"]
        key = f"{data['name']} {sorted(data['sha256'].items())}"
        entry = found.setdefault(key, {"data": data, "runs": 0})
        entry["runs"] += 1
    return [found[key] for key in sorted(found)]
