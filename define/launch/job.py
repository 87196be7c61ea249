"""A run in a process of its own, its output in a log: what sweeps and searches start."""

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

INTERRUPTED = 130
"""The exit code of a run that was asked to end and saved what it had."""


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Attributes:
        code: its exit code; below zero, the signal that killed it.
        reason: the last line that it printed; "" if it ended well.
    """

    code: int
    reason: str

    @property
    def interrupted(self) -> bool:
        """Whether somebody ended it from outside; started again, it goes on."""
        return self.code < 0 or self.code == INTERRUPTED


class Job:
    """`define train OVERRIDES` in a process of its own, started at once.

    It is in no process group of the terminal: whoever started it passes an interruption on, once.
    It holds its log until it ends, even if whoever started it is killed: a second job with that log
    waits for the first.

    Args:
        overrides: Hydra overrides; the run's folder follows from them.
        log: a file that what it prints is appended to; made with its folders.
        env: environment variables besides those of this process.
        flags: options of `define train`.
    """

    def __init__(
        self,
        overrides: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        flags: Sequence[str] = ("--quiet",),
    ):
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)  # the process inherits it with its output
            self._begin = stream.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "define", "train", *flags, *overrides],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    def poll(self) -> Ended | None:
        """How it ended; None while it runs."""
        return None if self._process.poll() is None else self.wait()

    def terminate(self) -> None:
        """Asks it to end; it saves what it has, in its own time."""
        self._process.terminate()

    def wait(self) -> Ended:
        """Waits for its end."""
        code = self._process.wait()
        return Ended(code, self._last_line() if code else "")

    def _last_line(self) -> str:
        with open(self._log, "rb") as stream:
            stream.seek(self._begin)
            lines = stream.read().decode(errors="replace").split("\n")
        printed = [line.strip() for line in lines if line.strip()] or ["it printed nothing"]
        return printed[-1].removeprefix("define: ")


def busy(log: Path) -> bool:
    """Whether a job with this log is running, whoever started it."""
    if not log.exists():
        return False
    with open(log, "rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def run_job(
    overrides: Sequence[str],
    log: Path,
    env: Mapping[str, str] | None = None,
    flags: Sequence[str] = ("--quiet",),
) -> Ended:
    """Starts a job and waits for its end; an interruption is passed on to it, and awaited.

    Raises:
        KeyboardInterrupt: this process was interrupted.
    """
    job = Job(overrides, log, env, flags)
    try:
        return job.wait()
    except BaseException:
        job.terminate()
        job.wait()
        raise


def override(key: str, value: str | Path) -> str:
    """KEY=VALUE as Hydra reads it; a text with characters of its grammar is quoted."""
    text = str(value)
    if re.fullmatch(r"[\w./+@-]+", text) is None:
        escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
        text = f"'{escaped}'"
    return f"{key}={text}"
