"""What must be set before torch is loaded: the allocator, and how OpenMP's threads wait."""

import os
import sys
from collections.abc import Mapping, MutableMapping
from glob import glob
from pathlib import Path

from define.errors import InputError

VARIABLE = "DEFINE_ALLOCATOR"
"""none, or a library to preload; by default the first of `LIBRARIES` that exists."""

LIBRARIES = tuple(
    f"{folder}/libtcmalloc{kind}.so.4"
    for kind in ("_minimal", "")
    for folder in ("/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")
)
KNOWN = ("tcmalloc", "jemalloc", "mimalloc")
SYSTEM = "malloc"
"""The C library's own; it returns large blocks to the system and fetches them again each step."""

WAITING = {
    # GNU's runtime, in torch's wheels for Linux. Its own 300,000 turns are longer than another
    # process' time slice: beside two busy processes, two threads mostly wait for each other.
    "GOMP_SPINCOUNT": "10000",
    # LLVM's and Intel's runtime, in milliseconds; its own are 200.
    "KMP_BLOCKTIME": "1",
}
"""How long a thread without work spins before it sleeps."""

_BEFORE = "DEFINE_LD_PRELOAD_BEFORE"


def prepare() -> None:
    """Sets both for this process, once; preloads a library only for the command `define`.

    A library can be preloaded only when a program starts, so the process executes itself again:
    process id, open files, locks and ignored signals stay. Its children see the `LD_PRELOAD` that
    the user has set; those that are `define` themselves preload for themselves.

    Raises:
        InputError: DEFINE_ALLOCATOR is neither none nor a file.
    """
    set_waiting(os.environ)
    if (before := os.environ.pop(_BEFORE, None)) is not None:
        os.environ["LD_PRELOAD"] = before
        if not before:
            del os.environ["LD_PRELOAD"]
        return
    library = chosen(os.environ)
    is_command = Path(sys.argv[0]).name in ("define", "__main__.py")
    if library is None or not is_command or allocator() != SYSTEM:
        return
    before = os.environ.get("LD_PRELOAD", "")
    preloaded = {_BEFORE: before, "LD_PRELOAD": f"{library}:{before}".rstrip(":")}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **preloaded})


def set_waiting(environment: MutableMapping[str, str]) -> None:
    """Fills in `WAITING`, unless the user has chosen how threads wait."""
    if "OMP_WAIT_POLICY" not in environment:
        for name, value in WAITING.items():
            environment.setdefault(name, value)


def chosen(environment: Mapping[str, str]) -> str | None:
    """The library to preload; None for none.

    Raises:
        InputError: DEFINE_ALLOCATOR is neither none nor a file.
    """
    if sys.platform != "linux":
        return None
    named = environment.get(VARIABLE)
    if not named:
        return next((path for pattern in LIBRARIES for path in sorted(glob(pattern))), None)
    if named == "none":
        return None
    if not Path(named).is_file():
        raise InputError(
            f"{VARIABLE} = {named} is not a file; name a library, or none for no library"
        )
    return str(Path(named).resolve())


def allocator() -> str:
    """The allocator of this process: the file name of a library, or `SYSTEM`."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return SYSTEM
    loaded = {Path(words[5]).name for line in maps.splitlines() if len(words := line.split()) > 5}
    return next((name for name in sorted(loaded) if any(k in name for k in KNOWN)), SYSTEM)
