"""GPUs for jobs that share a machine: each job holds one by the locked file of that device.

The files lie in a folder of the user's below the system's temporary one, so that all sweeps on a
machine keep out of each other's way. A device is known by how CUDA_VISIBLE_DEVICES calls it.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from define.files import hold

VISIBLE = "CUDA_VISIBLE_DEVICES"
PAUSE_S = 0.5
"""Between two looks for a free device."""


class Stopped(Exception):
    """The sweep was interrupted while a job waited for a device."""


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
def take(among: Sequence[str], stopped: Callable[[], bool] = lambda: False) -> Iterator[str]:
    """Holds a device that nobody else holds; waits for one.

    Args:
        among: the devices that there are.
        stopped: is asked now and then while waiting.
    Yields:
        its name, or "" where there are none: a job then computes on the processor, as a single run
        does. The system lets go of it however the process ends.
    Raises:
        Stopped: `stopped` said so.
    """
    if not among:
        yield ""
        return
    locks_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        for name in among:
            with hold(locks_folder() / name.replace("/", "_")) as held:
                if held:
                    yield name
                    return
        if stopped():
            raise Stopped
        time.sleep(PAUSE_S)
