"""Where everything is. The package reads its environment variables for folders here alone.

An empty variable counts as unset. Relative folders are below the working folder.
"""

import os
from pathlib import Path

EXPERIMENTS = Path("experiments")
"""The published results."""


def variable(name: str) -> str | None:
    """The value of an environment variable; None where it is unset or empty."""
    return os.environ.get(name) or None


def data() -> Path:
    """The folder of the prepared corpora."""
    return Path(variable("DEFINE_DATA") or "data")


def source() -> Path | None:
    """The folder with the corpora's original files; None to download them."""
    name = variable("DEFINE_DATA_SOURCE")
    return Path(name) if name else None


def runs() -> Path:
    """The folder of the runs."""
    return Path(variable("DEFINE_RUNS") or "runs")


def reports() -> Path:
    """The folder that reports are written to."""
    return Path(variable("DEFINE_REPORTS") or "reports")


def configs() -> Path:
    """The folder of the configs: by default `configs` beside the package."""
    return Path(variable("DEFINE_CONFIGS") or Path(__file__).parents[2] / "configs")


def results() -> list[Path]:
    """The folders with records, as far as they exist: the runs, then the published results."""
    return [folder for folder in (runs(), EXPERIMENTS) if folder.is_dir()]
