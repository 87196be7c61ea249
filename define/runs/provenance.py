"""Where a number comes from: code, versions, device and data."""

import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from define.runs import paths, sweeps
from define.runs.environment import allocator
from define.runs.records import without_places

PACKAGES = ("define-reproduction", "torch", "fairseq-fixed", "hydra-core", "omegaconf", "numpy")

CORPUS_FACTS = ("name", "sha256", "tokens", "types")
PAIR_FACTS = ("source_types", "pairs", "dropped", "unknown", "subwords", "max_length")


def now() -> str:
    """The current time, ISO 8601 in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def commit() -> tuple[str, bool]:
    """The commit of the code and whether the work tree differs; ("unknown", True) without git."""
    root = Path(__file__).parents[2]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "define", "configs", "scripts")
        return git("rev-parse", "HEAD"), bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True


def device_name(cpu: bool) -> str:
    """The GPU's name, or the processor's."""
    if torch.cuda.is_available() and not cpu:
        return torch.cuda.get_device_name()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Versions of the packages that a number may depend on."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def collect(corpus_meta: dict[str, Any], cpu: bool, threads: int) -> dict[str, Any]:
    """The `provenance` of a run that starts now."""
    revision, dirty = commit()
    sweep = paths.variable(sweeps.VARIABLE)
    return {
        "commit": revision,
        "dirty": dirty,
        "command": without_places(shlex.join(["define", *sys.argv[1:]])),
        "device": device_name(cpu),
        "threads": threads,
        "allocator": allocator(),
        "python": platform.python_version(),
        "versions": versions(),
        "data": {key: corpus_meta[key] for key in CORPUS_FACTS}
        | {key: corpus_meta[key] for key in PAIR_FACTS if key in corpus_meta},
        "started": now(),
        "finished": None,
        **({"sweep": sweep} if sweep else {}),
    }
