"""GPUs for jobs that share a machine: each job holds its own by a locked file per device.

The files lie in a folder of the user's below the system's temporary one, so that all sweeps on a
machine keep out of each other's way. A device is known by how CUDA_VISIBLE_DEVICES calls it.
"""

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from define.errors import InputError

VISIBLE = "CUDA_VISIBLE_DEVICES"
PAUSE_S = 0.5
"""Between two looks for a free device."""


class Stopped(Exception):
    """The sweep was interrupted while a job waited for devices."""


def visible() -> list[str]:
    """The devices of this process: those of CUDA_VISIBLE_DEVICES if it is set, else all."""
    if (listed := os.environ.get(VISIBLE)) is not None:
        names = [name.strip() for name in listed.split(",")]
        return [name for name in names if name not in ("", "-1")]
    try:
        found = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return found.stdout.split() if found.returncode == 0 else []


def locks_folder() -> Path:
    """Where the devices' files lie; a SLURM allocation numbers its devices for itself."""
    allocation = os.environ.get("SLURM_JOB_ID")
    name = f"define-devices-{os.getuid()}" + (f"-{allocation}" if allocation else "")
    return Path(tempfile.gettempdir()) / name


@contextmanager
def take(
    wanted: int, among: Sequence[str], stopped: Callable[[], bool] = lambda: False
) -> Iterator[list[str]]:
    """Holds devices that nobody else holds; waits for them.

    Args:
        wanted: how many.
        among: the devices that there are; where there is none, a job that wants one gets none and
            computes on the processor, as a single run does.
        stopped: is asked now and then while waiting.
    Yields:
        their names; the system lets go of them however the process ends.
    Raises:
        InputError: there are not so many.
        Stopped: `stopped` said so.
    """
    if wanted == 1 and not among:
        wanted = 0
    if wanted > len(among):
        raise InputError(
            f"distributed_training.distributed_world_size = {wanted} devices are more than the "
            f"{len(among)} of this machine ({VISIBLE}); take fewer, or make more visible"
        )
    while (held := _try(wanted, among)) is None:
        if stopped():
            raise Stopped
        time.sleep(PAUSE_S)
    with held[1]:
        yield held[0]


def _try(wanted: int, among: Sequence[str]) -> tuple[list[str], ExitStack] | None:
    """The names of so many free devices and what holds them; None if there are not enough."""
    names: list[str] = []
    with ExitStack() as stack:
        for name in among:
            if len(names) == wanted:
                break
            lock = stack.enter_context(_open(name))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            names.append(name)
        if len(names) < wanted:
            return None
        return names, stack.pop_all()


def _open(name: str) -> IO[str]:
    folder = locks_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open(folder / name.replace("/", "_"), "w")
