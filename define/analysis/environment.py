"""Where numbers come from: machines, versions, commits and corpora of several records."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Environment:
    """The provenance of several records: each fact once, with how many records have it.

    Attributes:
        machines: (device, threads, Python) -> records.
        versions: (package, version) -> records.
        commits: commit, marked if the work tree differed -> the days of its records.
        corpora: `provenance.data` and its records, once for each set of checksums.
    """

    machines: Mapping[tuple[str, int, str], int]
    versions: Mapping[tuple[str, str], int]
    commits: Mapping[str, Sequence[str]]
    corpora: Sequence[tuple[Mapping[str, Any], int]]

    @property
    def days(self) -> list[str]:
        """The days of all records, sorted."""
        return sorted(day for days in self.commits.values() for day in days)

    def facts(self) -> list[str]:
        """Device, versions and commits, a line each."""
        devices, threads, pythons = zip(*self.machines, strict=True)
        packages: dict[str, list[str]] = {}
        for name, version in self.versions:
            packages.setdefault(name, []).append(version)
        versions = ", ".join(f"{name} {' / '.join(found)}" for name, found in packages.items())
        return [
            f"device: {distinct(devices)}; threads: {distinct(map(str, threads))}",
            f"Python {distinct(pythons)}; {versions}",
            f"commit: {distinct(self.commits)}",
        ]


def environment(origins: Sequence[Mapping[str, Any]]) -> Environment:
    """Summarises the `provenance` of some records."""
    commits: dict[str, list[str]] = {}
    corpora: dict[str, list[Mapping[str, Any]]] = {}
    for origin in origins:
        day = datetime.fromisoformat(origin["started"]).date().isoformat()
        commits.setdefault(commit(origin), []).append(day)
        data = origin["data"]
        key = f"{data['name']} {sorted(data.get('sha256', {}).items())}"
        corpora.setdefault(key, []).append(data)
    return Environment(
        machines=Counter((o["device"], o["threads"], o["python"]) for o in origins),
        versions=Counter(one for o in origins for one in o["versions"].items()),
        commits=commits,
        corpora=[(found[0], len(found)) for _, found in sorted(corpora.items())],
    )


def commit(origin: Mapping[str, Any]) -> str:
    """The commit's first 12 digits, and whether the work tree differed from it."""
    return origin["commit"][:12] + (" (with uncommitted changes)" if origin["dirty"] else "")


def corpus_text(data: Mapping[str, Any]) -> str:
    """The sizes of a corpus; the tokens and types of a parallel corpus are those of its target."""
    tokens, pairs = (
        ", ".join(f"{count:,} {split}" for split, count in data.get(name, {}).items())
        for name in ("tokens", "pairs")
    )
    if not pairs:
        return f"{tokens} tokens; {data['types']:,} types"
    return (
        f"{pairs} pairs; {tokens} target tokens; {data['source_types']:,} source and "
        f"{data['types']:,} target types"
    )


def distinct(texts: Iterable[str]) -> str:
    """The different texts in order, separated by slashes."""
    return " / ".join(dict.fromkeys(texts))
