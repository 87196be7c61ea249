"""Where numbers come from, in words: provenance of several records at once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def facts(origins: Sequence[Mapping[str, Any]]) -> list[str]:
    """Device, versions and commit of the `provenance` of some records, each told once."""
    versions = [listed(origin["versions"], "{0} {1}") for origin in origins]
    return [
        f"device: {distinct(origin['device'] for origin in origins)}; "
        f"threads: {distinct(str(origin['threads']) for origin in origins)}",
        f"Python {distinct(origin['python'] for origin in origins)}; {distinct(versions)}",
        f"commit: {distinct(commit(origin) for origin in origins)}",
    ]


def commit(origin: Mapping[str, Any]) -> str:
    """The commit's first 12 digits, and whether the work tree differed from it."""
    return origin["commit"][:12] + (" (with uncommitted changes)" if origin["dirty"] else "")


def listed(mapping: Mapping[str, Any], form: str) -> str:
    """Each name (0) and value (1) in the form, with commas."""
    return ", ".join(form.format(key, value) for key, value in mapping.items())


def distinct(texts: Iterable[str]) -> str:
    """The different ones, in order, with slashes."""
    return " / ".join(dict.fromkeys(texts))
