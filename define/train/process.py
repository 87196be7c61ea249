"""A run in a process of its own, with its output in a log: what sweeps and searches start."""

import ctypes
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from define.runs import sweeps
from define.train import devices

INTERRUPTED = 130
"""Exit code of a run that was asked to end and has saved."""
POLL_S = 0.2
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Ended:
    """How a training ended.

    Attributes:
        code: its exit code; below zero, the signal that killed it.
        reason: the signal or the last line that it printed; "" if it ended well.
    """

    code: int
    reason: str

    @property
    def interrupted(self) -> bool:
        """Whether it was ended from outside; it resumes when it is started again."""
        return self.code < 0 or self.code == INTERRUPTED


def _before_it_starts() -> None:
    """Runs in the new process: it ends with its parent (on Linux) and ignores SLURM's warning."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # meant for submitit, the parent


class TrainProcess:
    """`define train OVERRIDES` in a process of its own, started at once.

    It belongs to no process group of the terminal: the parent passes an interruption on, once. It
    keeps its log locked until it ends, so that a second process with that log waits.

    Args:
        overrides: Hydra overrides; they decide the run's folder.
        log: file that its output is appended to; created with its folders.
        sweep: name of the sweep or search that it is a job of.
        device: the GPU that it sees, "" for none; by default all that this process sees.
    """

    def __init__(
        self, overrides: Sequence[str], log: Path, sweep: str, device: str | None = None
    ) -> None:
        env = {**os.environ, sweeps.VARIABLE: sweep}
        if device is not None:
            env[devices.VISIBLE] = device
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)  # inherited by the process with its output
            self._begin = stream.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "define", "train", "--quiet", *overrides],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
                preexec_fn=_before_it_starts,
            )

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def poll(self) -> Ended | None:
        """How it ended; None while it runs."""
        return None if self._process.poll() is None else self.wait()

    def terminate(self) -> None:
        """Asks it to save and end."""
        self._process.terminate()

    def wait(self, wanted: Callable[[], bool] | None = None) -> Ended:
        """Waits for its end; asks it to end as soon as `wanted` returns False."""
        while wanted is not None and self._process.poll() is None:
            if not wanted():
                self.terminate()
                break
            time.sleep(POLL_S)
        code = self._process.wait()
        if code < 0:
            hint = ", perhaps for lack of memory" if -code == signal.SIGKILL else ""
            return Ended(code, f"killed by {signal.Signals(-code).name}{hint}")
        return Ended(code, self._last_line() if code else "")

    def _last_line(self) -> str:
        with open(self._log, "rb") as stream:
            stream.seek(self._begin)
            # A progress bar ends its line with a carriage return.
            lines = re.split("[\r\n]", stream.read().decode(errors="replace"))
        printed = [line.strip() for line in lines if line.strip()] or ["it printed nothing"]
        return printed[-1].removeprefix("define: ")
