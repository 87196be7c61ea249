"""The harness of every timing: cases in turn, A B A B, and what else the machine was doing."""

import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

Measure = Callable[[], Sequence[float]]
"""Runs a case once and returns what it measured, mostly one number of ms."""

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""Name -> seconds. "cpu" adds up the threads of this process, and holds on a busy machine too."""


def alternate(
    cases: Mapping[str, Measure], rounds: int, warm_up: int = 0, title: str | None = None
) -> dict[str, list[float]]:
    """Case -> its values of `rounds` rounds, each of which runs every case, in order.

    The values of a round lie at the same places in all lists, so that their ratios do not depend
    on how fast the machine was in that round.

    Args:
        warm_up: rounds before those, which are not kept.
        title: of a progress bar; none without it.
    """
    values: dict[str, list[float]] = {name: [] for name in cases}
    total = (warm_up + rounds) * len(cases)
    with tqdm(total=total, desc=title, disable=title is None, leave=False, file=sys.stderr) as bar:
        for number in range(warm_up + rounds):
            for name, measure in cases.items():
                found = measure()
                if number >= warm_up:
                    values[name] += found
                bar.update()
    return values


def device_clock(cuda: bool, name: str = "wall") -> Callable[[], float]:
    """A clock of `CLOCKS`, in seconds; on a GPU it first waits for the work that is under way."""
    if not cuda:
        return CLOCKS[name]

    def clock() -> float:
        torch.cuda.synchronize()
        return CLOCKS[name]()

    return clock


def timed(call: Callable[[], Any], clock: Callable[[], float]) -> Measure:
    """Measures the milliseconds of a call."""

    def measure() -> list[float]:
        started = clock()
        call()
        return [1000 * (clock() - started)]

    return measure


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a module's function in a process of its own, started afresh."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def peak_memory_mib() -> float:
    """The most memory that this process has had resident so far.

    On Linux, `getrusage` would report the parent's peak where that is larger: a new process begins
    with the figure of the one that it was forked from.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def load_average() -> list[float]:
    """Processes that want to run, as means over the last 1, 5 and 15 minutes."""
    return list(os.getloadavg())
