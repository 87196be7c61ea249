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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from define.runs import sweeps
from define.train import devices

INTERRUPTED = 130
"""The exit code of a run that was asked to end and saved what it had."""


@dataclass(frozen=True)
class Ended:
    """How a training ended.

    Attributes:
        code: its exit code; below zero, the signal that killed it.
        reason: the last line that it printed; "" if it ended well.
    """

    code: int
    reason: str

    @property
    def interrupted(self) -> bool:
        """Whether somebody ended it from outside; started again, it resumes."""
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


class TrainProcess:
    """`define train OVERRIDES` in a process of its own, started at once.

    It is in no process group of the terminal: whoever started it passes an interruption on, once.
    It is asked to end when whoever started it dies (on Linux), and ignores SIGUSR2, by which SLURM
    tells submitit, above it, that the time is up. It holds its log until it ends: a second one with
    that log waits for the first.

    Args:
        overrides: Hydra overrides; the run's folder follows from them.
        log: a file that what it prints is appended to; made with its folders.
        sweep: the name of the sweep, or search, that it is a job of.
        device: the one that it sees, "" for none; by default all that this process sees.
        quiet: no progress bars.
    """

    def __init__(
        self,
        overrides: Sequence[str],
        log: Path,
        sweep: str,
        device: str | None = None,
        quiet: bool = True,
    ):
        env = {**os.environ, sweeps.VARIABLE: sweep, "TQDM_MININTERVAL": "1"}
        if device is not None:
            env[devices.VISIBLE] = device
        flags = ["--quiet"] if quiet else []
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
                env=env,
                start_new_session=True,
                preexec_fn=_begin_below,
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
