"""One GPU per job: a job holds a device by locking that device's file.

The files are in one folder per user below the system's temporary folder, so that all sweeps and
searches on a machine share its devices. A device is named as in CUDA_VISIBLE_DEVICES.
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
"""Between two attempts to get a device."""


class Unwanted(Exception):
    """The sweep was interrupted while a job waited for a device."""


def visible() -> list[str]:
    """The devices of this process: those in CUDA_VISIBLE_DEVICES if it is set, else all."""
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
    """The folder of the devices' files; each SLURM allocation numbers its own devices."""
    allocation = os.environ.get("SLURM_JOB_ID")
    name = f"define-devices-{os.getuid()}" + (f"-{allocation}" if allocation else "")
    return Path(tempfile.gettempdir()) / name


@contextmanager
def take(among: Sequence[str], wanted: Callable[[], bool] = lambda: True) -> Iterator[str]:
    """Holds a device that nobody else holds; waits until one is free.

    Args:
        among: the devices to choose from.
        wanted: whether to wait any longer.
    Yields:
        its name, or "" if there are none: the job then computes on the processor. The system
        releases the device however the process ends.
    Raises:
        Unwanted: `wanted` returned False.
    """
    if not among:
        yield ""
        return
    locks_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    while wanted():
        for name in among:
            with hold(locks_folder() / name.replace("/", "_")) as held:
                if held:
                    yield name
                    return
        time.sleep(PAUSE_S)
    raise Unwanted
