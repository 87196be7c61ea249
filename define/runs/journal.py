"""Append-only files of events, one JSON object per line; several processes may write one file."""

import fcntl
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from typing_extensions import NotRequired, TypedDict

from define.runs.reading import check
from define.runs.schema import Count, Measure, Number

FILE_NAME = "journal.jsonl"


class Event(TypedDict):
    """One line, as far as the code reads it; writers may add more for people.

    event: of a run "started", "trained", "validated", "finished", "interrupted" or "failed".
    updates: behind the event, since the first start of the run.
    job: the number of a sweep's job.
    """

    event: str
    time: NotRequired[str]
    updates: NotRequired[Count]
    train: NotRequired[Measure]
    valid: NotRequired[Measure]
    seconds: NotRequired[Number]
    job: NotRequired[Count]
    reason: NotRequired[str]


def append(path: str | Path, event: Mapping[str, Any]) -> None:
    """Adds one line, with the "time" (ISO 8601, UTC), after those of other processes.

    A line that a killed process left unfinished is ended first, so that it spoils no other.

    Args:
        path: made with its folders if it is missing.
        event: values that JSON knows; numbers must be finite.
    """
    moment = datetime.now(timezone.utc).isoformat(timespec="seconds")
    line = json.dumps({"time": moment, **event}, ensure_ascii=False, allow_nan=False) + "\n"
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b", buffering=0) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        end = stream.seek(0, 2)
        stream.seek(max(end - 1, 0))
        torn = stream.read(1) not in (b"", b"\n")
        stream.write((b"\n" if torn else b"") + line.encode())


def read(path: str | Path) -> list[dict[str, Any]]:
    """All events in their order; none where there is no file.

    A line that is not JSON is left out: its process was killed while writing it.

    Raises:
        InputError: a line is JSON, but no event.
    """
    path = Path(path)
    if not path.is_file():
        return []
    events = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
        check(Event, line, f"{path}, line {number}", "remove the line or the file")
    return events


def curve(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The events of one kind ("trained", "validated") that the run kept, by rising "updates".

    A start from an earlier checkpoint takes back what was logged after it.
    """
    kept: list[dict[str, Any]] = []
    for event in events:
        if event["event"] == "started":
            kept = [earlier for earlier in kept if earlier["updates"] <= event["updates"]]
        elif event["event"] == kind:
            kept = [earlier for earlier in kept if earlier["updates"] < event["updates"]]
            kept.append(event)
    return kept
