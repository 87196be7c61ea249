"""What the terminal shows of a sweep: its events, and one current line per running job."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from define.runs import journal, sweeps
from define.runs.summary import summary
from define.runs.sweeps import Job, Sweep

LOG_S = 60
"""Between two progress reports where the output is not a terminal."""


class Display:
    """Follows the sweep's journal and those of its running jobs.

    Args:
        updates: (job number) -> the updates of its training, None if not known.
        quiet: whether to show events only.
    """

    def __init__(self, sweep: Sweep, updates: Callable[[int], int | None], quiet: bool = False):
        self.sweep, self._updates, self._quiet = sweep, updates, quiet
        self._seen = len(journal.read(sweep.journal))
        self._running: dict[int, str] = {}
        self._printed = time.monotonic()
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> "Display":
        if self._console.is_terminal and not self._quiet:
            self._live.start()
        return self

    def __exit__(self, *error) -> None:
        self._live.stop()

    def tell(self, job: Job, text: str) -> None:
        """Prints a line about a job."""
        self._print(f"[{job.number}/{len(self.sweep.jobs)}] {self.sweep.label(job)}: {text}")

    def update(self) -> None:
        """Prints new events and shows how far the running jobs are."""
        events = journal.read(self.sweep.journal)
        new, self._seen = events[self._seen :], len(events)
        for event in new:
            job, name = self.sweep.job(event["job"]), event["event"]
            self._running.pop(job.number, None)
            if name == "started":
                self._running[job.number] = event["time"]
            self.tell(job, self._in_words(job, event))
        if self._quiet:
            return
        if self._live.is_started:
            lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in self._lines()]
            self._live.update(Group(*lines), refresh=True)
        elif time.monotonic() - self._printed >= LOG_S:
            self._printed = time.monotonic()
            for line in self._lines():
                self._print(line)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    def _in_words(self, job: Job, event: dict[str, Any]) -> str:
        text = event["event"]
        if text == "finished" and (record := sweeps.finished_record(self.sweep, job)):
            return f"finished: {summary(record)}"
        if "reason" in event:
            return f"{text}: {event['reason']}"
        return f"{text} on device {event['device']}" if event.get("device") else text

    def _lines(self) -> list[str]:
        lines = []
        for number, started in sorted(self._running.items()):
            job = self.sweep.job(number)
            events = journal.read(self.sweep.run_dir(job) / journal.FILE_NAME)
            state = progress(events, started, self._updates(number))
            # The label comes last: it may be longer than the terminal is wide.
            lines.append(f"[{number}/{len(self.sweep.jobs)}] {state}: {self.sweep.label(job)}")
        return lines


def progress(events: list[dict[str, Any]], started: str, updates: int | None) -> str:
    """How far a training is, such as "update 400 of 900, valid ppl 98.31, 0:12:05 left".

    Args:
        events: of the run's journal.
        started: the time when its process was started (ISO 8601).
        updates: of the whole training, None if not known.
    """
    here = [e for e in events if e["time"] >= started and "updates" in e]
    if not here:
        return "starting"
    first, last = here[0], here[-1]
    done = last["updates"]
    parts = [f"update {done:,}" + (f" of {updates:,}" if updates else "")]
    if validated := journal.curve(events, "validated"):
        parts.append(f"valid ppl {validated[-1]['valid']['ppl']:.2f}")
    if updates and done >= updates:
        parts.append("scoring")
    elif updates and done > first["updates"]:
        begin, end = (datetime.fromisoformat(e["time"]) for e in (first, last))
        rest = (end - begin) * (updates - done) / (done - first["updates"])
        left = max(timedelta(0), rest - (datetime.now(timezone.utc) - end))
        parts.append(f"{timedelta(seconds=round(left.total_seconds()))} left")
    return ", ".join(parts)
