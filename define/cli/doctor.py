"""`define doctor`: what on this machine fits, what does not, and how to put it right."""

import argparse
import importlib
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from define.errors import InputError

DISTRIBUTION = "define-reproduction"
SET_UP = "run scripts/setup.sh"
# A paper-scale run keeps a few checkpoints of some 300 MiB each.
WANTED_BYTES = 5 * 2**30
NEEDED_BYTES = 2**29

# Distributions that break the project by being installed: name -> (why, fix).
CONFLICTS = {
    "fairseq": (
        "plain fairseq overwrites files of fairseq-fixed and does not import on Python >= 3.11",
        f"pip uninstall -y fairseq fairseq-fixed, delete .venv/define-setup.stamp and {SET_UP}",
    ),
    "hydra-optuna-sweeper": (
        "it forces Optuna 2.10, whose storage fails with today's SQLAlchemy",
        "pip uninstall -y hydra-optuna-sweeper; the sweep extra brings Optuna 5 itself",
    ),
}

WANDB_MODES = ("disabled", "offline", "online")
STYLES = {"ok": "green", "warning": "yellow", "broken": "bold red"}


@dataclass(frozen=True)
class Finding:
    """The result of one check; `fix` is empty where there is nothing to do."""

    check: str
    status: Literal["ok", "warning", "broken"]
    detail: str
    fix: str = ""


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `doctor` to the subcommands of `define`."""
    parser = subparsers.add_parser(
        "doctor",
        help="check this machine and the prepared data",
        description="Check Python, the installed packages, the device, the disk, the prepared "
        "corpora and run tracking. Exit status: 1 if something is broken, else 0.",
        epilog="example: define doctor --data data",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        default=os.environ.get("DEFINE_DATA") or "data",
        help="folder with the prepared corpora "
        "(default: the environment variable DEFINE_DATA, or data)",
    )
    parser.add_argument("--json", action="store_true", help="print a list of findings as JSON")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints every finding with its fix; returns 1 if something is broken, else 0."""
    findings = list(examine(Path(args.data)))
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print_table(findings)
    return int(any(finding.status == "broken" for finding in findings))


def examine(data: Path) -> Iterator[Finding]:
    """All findings; `data` is the folder with the prepared corpora."""
    yield from check_requirements()
    yield from check_conflicts(d.metadata["Name"] for d in metadata.distributions())
    yield check_fairseq()
    yield check_torch()
    yield check_disk(shutil.disk_usage(Path.cwd()).free)
    yield from check_corpora(data)
    yield check_tracking(os.environ)


def check_requirements() -> Iterator[Finding]:
    """Compares the running Python and every installed dependency with the ranges of setup.py."""
    try:
        project = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        yield Finding("packages", "broken", f"{DISTRIBUTION} is not installed here", SET_UP)
        return
    yield check_python(platform.python_version(), project.metadata["Requires-Python"])
    for text in project.requires or []:
        requirement = Requirement(text)
        extra = requirement.marker is not None and "extra" in str(requirement.marker)
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            version = None
        if version or not extra:
            yield check_version(requirement, version)


def check_python(version: str, range_: str) -> Finding:
    """Whether Python `version` is in `range_`, a version specifier such as ">=3.10,<3.14"."""
    if version in SpecifierSet(range_):
        return Finding("Python", "ok", version)
    fix = f"make .venv anew with a fit Python: delete it and {SET_UP}"
    return Finding("Python", "broken", f"{version} is outside {range_}", fix)


def check_version(requirement: Requirement, version: str | None) -> Finding:
    """Whether the installed `version` (None: not installed) is in the requirement's range."""
    name = requirement.name
    if version is None:
        return Finding(name, "broken", f"not installed, {requirement.specifier} is needed", SET_UP)
    if requirement.specifier.contains(version, prereleases=True):
        return Finding(name, "ok", version)
    fix = f"pip install '{name}{requirement.specifier}', or delete .venv and {SET_UP}"
    return Finding(name, "broken", f"{version} is outside {requirement.specifier}", fix)


def check_conflicts(installed: Iterable[str]) -> Iterator[Finding]:
    """One finding per installed distribution that is known to break the project."""
    for name in sorted(set(installed) & set(CONFLICTS)):
        why, fix = CONFLICTS[name]
        yield Finding(name, "broken", f"is installed, but {why}", fix)


def check_fairseq() -> Finding:
    """Whether fairseq imports."""
    try:
        fairseq = importlib.import_module("fairseq")
    # Plain fairseq dies with ValueError (mutable dataclass defaults) and not ImportError.
    except Exception as error:
        return Finding(
            "import fairseq",
            "broken",
            f"{type(error).__name__}: {error}",
            f"use fairseq-fixed (fairseq 0.12.2 wants Python < 3.11): delete .venv and {SET_UP}",
        )
    return Finding("import fairseq", "ok", f"{fairseq.__version__} from {fairseq.__path__[0]}")


def check_torch() -> Finding:
    """Whether torch imports, the device that it will use, and a GPU that it cannot use."""
    try:
        torch = importlib.import_module("torch")
    except Exception as error:
        detail = f"torch does not import ({type(error).__name__}: {error})"
        return Finding("device", "broken", detail, f"delete .venv and {SET_UP}")
    if torch.cuda.is_available():
        return Finding("device", "ok", f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    cpu = f"CPU, {torch.get_num_threads()} threads"
    if shutil.which("nvidia-smi") is None:
        return Finding("device", "ok", cpu)
    if torch.version.cuda is None:
        fix = f"delete .venv and {SET_UP} with TORCH_INDEX=<address of an index with CUDA builds>"
        return Finding("device", "warning", f"{cpu}: NVIDIA is here but torch is a CPU build", fix)
    fix = f"update the NVIDIA driver to one that fits CUDA {torch.version.cuda}"
    return Finding("device", "warning", f"{cpu}: torch {torch.__version__} finds no GPU", fix)


def check_disk(free: int) -> Finding:
    """Whether `free` bytes are enough for runs and checkpoints."""
    detail = f"{free / 2**30:.1f} GiB free here"
    fix = f"make room: long runs want {WANTED_BYTES / 2**30:.0f} GiB for checkpoints"
    if free < NEEDED_BYTES:
        return Finding("disk", "broken", detail, fix)
    if free < WANTED_BYTES:
        return Finding("disk", "warning", detail, fix)
    return Finding("disk", "ok", detail)


def check_corpora(data: Path) -> Iterator[Finding]:
    """Compares every prepared corpus under `data` with its counts and checksums."""
    # Imported late, so that a broken numpy is a finding and not a crash.
    try:
        from define.data import corpora, pairs
    except Exception as error:
        yield Finding("corpora", "broken", f"{type(error).__name__}: {error}", SET_UP)
        return
    folders = sorted(path.parent for path in data.glob(f"*/{corpora.META}"))
    if not folders:
        fix = "run `define prepare python_docs` (no download) or `define prepare ptb`"
        yield Finding("corpora", "warning", f"none is prepared in {data}", fix)
    for folder in folders:
        try:
            parallel = (folder / pairs.REFERENCES).is_dir()
            corpus = pairs.load(folder) if parallel else corpora.load(folder)
        except InputError as error:
            # The sentence of an InputError ends in its fix.
            detail, _, fix = str(error).rstrip(".").rpartition("; ")
            yield Finding(f"corpus {folder.name}", "broken", detail, fix)
        else:
            tokens = sum(corpus.meta["tokens"].values())
            detail = f"{tokens:,} tokens, {corpus.types:,} types, checksums agree"
            yield Finding(f"corpus {folder.name}", "ok", detail)


def check_tracking(environment: dict[str, str]) -> Finding:
    """What the environment says about Weights & Biases, which runs use only when asked to."""
    mode = environment.get("WANDB_MODE")
    if mode is None:
        return Finding(
            "tracking", "ok", "wandb is off unless a run asks for it (WANDB_MODE is not set)"
        )
    if mode not in WANDB_MODES:
        fix = f"set WANDB_MODE to one of {', '.join(WANDB_MODES)}, or unset it"
        return Finding("tracking", "warning", f"WANDB_MODE is {mode!r}, unknown to wandb", fix)
    return Finding("tracking", "ok", f"WANDB_MODE is {mode}")


def _print_table(findings: list[Finding]) -> None:
    table = Table("check", "status")
    for title in ("found", "fix"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        style = STYLES[finding.status]
        table.add_row(
            finding.check,
            f"[{style}]{finding.status}[/]",
            escape(finding.detail),
            escape(finding.fix),
        )
    console = Console()
    console.print(table)
    counts = {status: sum(finding.status == status for finding in findings) for status in STYLES}
    console.print(", ".join(f"{count} {status}" for status, count in counts.items()))
