"""A run in a process of its own, its output in a log: what sweeps and searches start."""

import ctypes
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

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


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def end_with_the_parent() -> None:
    """Has the system ask this process to end when the thread that started it does, on Linux."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _begin_below() -> None:
    end_with_the_parent()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


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
        end_with_parent: whether it is asked to end when whoever started it dies (on Linux); then it
            also ignores SIGUSR2, by which SLURM tells submitit, above it, that the time is up.
    """

    def __init__(
        self,
        overrides: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        flags: Sequence[str] = ("--quiet",),
        end_with_parent: bool = False,
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
                preexec_fn=_begin_below if end_with_parent else None,
            )

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def follow(self, terminal: IO[bytes]) -> Ended:
        """Waits for its end, and copies meanwhile what it prints."""
        with open(self._log, "rb") as stream:
            stream.seek(self._begin)
            while True:
                ended = self.poll()
                shutil.copyfileobj(stream, terminal)
                terminal.flush()
                if ended:
                    return ended
                time.sleep(0.2)

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
            # A progress bar ends its line with a carriage return.
            lines = re.split("[\r\n]", stream.read().decode(errors="replace"))
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
