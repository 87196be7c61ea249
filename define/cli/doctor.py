"""`define doctor`: checks this machine and the prepared data, and gives a fix for each problem.

It is over 300 lines because it is one flat list of independent checks, with the command below it.
"""

import argparse
import fcntl
import importlib
import json
import netrc
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from define.errors import InputError
from define.runs import environment, paths

STYLES = {"ok": "green", "warning": "yellow", "broken": "bold red"}
DISTRIBUTION = "define-reproduction"
SET_UP = "run scripts/setup.sh"
ANEW = f"delete .venv and {SET_UP}"
# A paper-scale run keeps a few checkpoints of some 300 MiB each.
WANTED_GIB, NEEDED_GIB = 5.0, 0.5
CONFLICTS = {
    "fairseq": (
        "plain fairseq overwrites files of fairseq-fixed and does not import on Python >= 3.11",
        f"pip uninstall -y fairseq fairseq-fixed, delete .venv/define-setup.stamp and {SET_UP}",
    ),
    "hydra-optuna-sweeper": (
        "it forces Optuna 2.10, whose storage fails with today's SQLAlchemy",
        "pip uninstall -y hydra-optuna-sweeper; the sweep extra installs Optuna 5",
    ),
}
"""Distributions that break the project by being installed: name -> (why, fix)."""
REASONS = {
    "Python": "hydra-core 1.3 breaks on 3.14",
    "torch": "before 2.6, torch.load runs the code in a checkpoint",
    "hydra-core": "fairseq-fixed is made for 1.3.2",
    "omegaconf": "fairseq-fixed is made for 2.3",
    "numpy": "before 1.26, it has no build for Python 3.12",
    "optuna": "the storage of 2.10 fails with today's SQLAlchemy",
}
"""Distribution -> the reason for its range, where it is not obvious."""
WANDB_MODES = ("disabled", "offline", "online")
WANDB_HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")
"""Under which `wandb login` keeps a key; WANDB_BASE_URL names another."""


@dataclass(frozen=True)
class Finding:
    """The result of one check; `fix` is empty where there is nothing to do."""

    check: str
    status: Literal["ok", "warning", "broken"]
    detail: str
    fix: str = ""


@dataclass(frozen=True)
class Folders:
    """The folders of the prepared corpora and of the runs."""

    data: Path
    runs: Path


def requirements(_: Folders) -> Iterator[Finding]:
    """Compares Python and every dependency with the ranges of setup.py.

    A package that only an extra needs may be missing.
    """
    project = metadata.distribution(DISTRIBUTION)
    wanted = SpecifierSet(project.metadata["Requires-Python"])
    yield _in_range("Python", platform.python_version(), wanted, f"use another Python: {ANEW}")
    for requirement in map(Requirement, project.requires or []):
        name, wanted = requirement.name, requirement.specifier
        _, is_extra, extra = str(requirement.marker or "").partition("extra == ")
        fix = f"pip install '{name}{wanted}', or {ANEW}"
        try:
            yield _in_range(name, metadata.version(name), wanted, fix)
        except metadata.PackageNotFoundError:
            if is_extra:
                detail = f"not installed; part of the extra {extra.strip(chr(34))!r}"
                yield Finding(name, "warning", detail, fix)
            else:
                yield Finding(name, "broken", f"not installed, {wanted} is needed", SET_UP)


def _in_range(name: str, version: str, wanted: SpecifierSet, fix: str) -> Finding:
    if wanted.contains(version, prereleases=True):
        return Finding(name, "ok", version)
    reason = f" ({REASONS[name]})" if name in REASONS else ""
    return Finding(name, "broken", f"{version} is outside {wanted}{reason}", fix)


def conflicts(_: Folders) -> Iterator[Finding]:
    """Finds installed distributions that are known to break the project."""
    installed = {distribution.metadata["Name"] for distribution in metadata.distributions()}
    for name in sorted(installed & set(CONFLICTS)):
        why, fix = CONFLICTS[name]
        yield Finding(name, "broken", f"is installed, but {why}", fix)


def import_fairseq(_: Folders) -> Iterator[Finding]:
    """Whether fairseq imports."""
    fairseq = importlib.import_module("fairseq")
    yield Finding("import fairseq", "ok", f"{fairseq.__version__} from {fairseq.__path__[0]}")


def devices(_: Folders) -> Iterator[Finding]:
    """Every device that torch can use, and GPUs that it cannot use."""
    torch = importlib.import_module("torch")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index in range(count):
        gpu = torch.cuda.get_device_properties(index)
        detail = f"{gpu.name}, {gpu.total_memory / 2**30:.1f} GiB, CUDA {torch.version.cuda}"
        yield Finding(f"device cuda:{index}", "ok", detail)
    instances = _mig_instances() if count else []
    if len(instances) > count:
        detail = f"{len(instances)} instances, of which this process sees {count}"
        fix = f"export CUDA_VISIBLE_DEVICES={','.join(instances)}; a sweep gives each job its own"
        yield Finding("MIG", "warning", detail, fix)
    if count:
        return
    cpu = f"CPU, {torch.get_num_threads()} threads"
    if shutil.which("nvidia-smi") is None:
        yield Finding("device", "ok", cpu)
    elif torch.version.cuda is None:
        fix = f"{ANEW} with TORCH_INDEX=<address of an index with CUDA builds>"
        yield Finding("device", "warning", f"{cpu}: there is a GPU, but torch is a CPU build", fix)
    else:
        fix = f"update the NVIDIA driver to one that fits CUDA {torch.version.cuda}"
        yield Finding("device", "warning", f"{cpu}: torch {torch.__version__} finds no GPU", fix)


def _mig_instances() -> list[str]:
    """The names of the GPUs' MIG instances; CUDA shows a process one unless it names several."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = [line.strip() for line in listed.stdout.splitlines()]
    return [line.rpartition("UUID: ")[2].rstrip(")") for line in lines if line.startswith("MIG ")]


def allocator(_: Folders) -> Iterator[Finding]:
    """Whether an allocator that keeps its memory is preloaded, which makes CPU training faster."""
    used, variable = environment.allocator(), environment.VARIABLE
    library = environment.chosen(os.environ)
    if used != environment.SYSTEM:
        yield Finding("allocator", "ok", used)
    elif library:
        yield Finding("allocator", "ok", f"the system's here; `define` preloads {library}")
    elif os.environ.get(variable) == "none" or sys.platform != "linux":
        detail = f"the system's, because {variable} = none or this is not Linux"
        yield Finding("allocator", "ok", detail)
    else:
        fix = (
            f"install Debian's libtcmalloc-minimal4 (Fedora: gperftools-libs), or name a library "
            f"with {variable}=FILE; {variable}=none keeps the system's"
        )
        yield Finding("allocator", "warning", "the system's; training on a CPU is slower", fix)


def runs(folders: Folders) -> Iterator[Finding]:
    """Whether files can be written and locked where runs are or will be, and the room for them."""
    existing = (f for f in (folders.runs, *folders.runs.absolute().parents) if f.exists())
    folder = next(existing)
    with tempfile.TemporaryFile(dir=folder) as trial:
        trial.write(b"trial")
        fcntl.flock(trial, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield Finding("runs", "ok", f"{folders.runs} can be written")
    free = shutil.disk_usage(folder).free / 2**30
    status = "broken" if free < NEEDED_GIB else "warning" if free < WANTED_GIB else "ok"
    fix = "" if status == "ok" else f"free {WANTED_GIB:.0f} GiB for the checkpoints of long runs"
    yield Finding("disk", status, f"{free:.1f} GiB free for runs", fix)


def corpora(folders: Folders) -> Iterator[Finding]:
    """Compares every prepared corpus with its counts and checksums."""
    # Imported late, so that a broken numpy is a finding and not a crash.
    from define.data.parallel import pairs
    from define.data.prepared import META
    from define.data.text import corpora

    prepared = sorted(path.parent for path in folders.data.glob(f"*/{META}"))
    if not prepared:
        fix = "run `define prepare python_docs` (no download) or `define prepare ptb`"
        yield Finding("corpora", "warning", f"none is prepared in {folders.data}", fix)
    for folder in prepared:
        name = f"corpus {folder.name}"
        try:
            load = pairs.load if (folder / pairs.REFERENCES).is_dir() else corpora.load
            corpus = load(folder)
        except InputError as error:
            # The sentence of an InputError ends in its fix.
            detail, _, fix = str(error).rstrip(".").rpartition("; ")
            yield Finding(name, "broken", detail, fix)
        else:
            tokens = sum(corpus.meta["tokens"].values())
            detail = f"{tokens:,} tokens, {corpus.types:,} types, checksums agree"
            yield Finding(name, "ok", detail)


def tables(_: Folders) -> Iterator[Finding]:
    """Whether the paper's numbers can be read."""
    from define.analysis import published

    yield Finding("paper's tables", "ok", ", ".join(published.names()))


def tracking(_: Folders) -> Iterator[Finding]:
    """What wandb would do here; without the network, so a key may still be refused."""
    mode, logged_in = os.environ.get("WANDB_MODE"), _has_wandb_login()
    login = "you are logged in" if logged_in else "you are not logged in, as wandb=online needs"
    detail = f"wandb is off unless a run asks for it with wandb=offline or online; {login}"
    if mode and mode not in WANDB_MODES:
        fix = f"set WANDB_MODE to one of {', '.join(WANDB_MODES)}, or unset it"
        yield Finding("tracking", "warning", f"WANDB_MODE is {mode!r}, unknown to wandb", fix)
    elif mode == "online" and not logged_in:
        yield Finding("tracking", "warning", detail, "`wandb login`, or unset WANDB_MODE")
    else:
        forbids = f"; WANDB_MODE = {mode} forbids wandb=online"
        yield Finding("tracking", "ok", detail + (forbids if mode in WANDB_MODES[:2] else ""))


def _has_wandb_login() -> bool:
    """Whether wandb would find a key: in the environment, or in ~/.netrc, where it keeps it."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    server = os.environ.get("WANDB_BASE_URL")
    hosts = [urlsplit(server).netloc] if server else WANDB_HOSTS
    try:
        keys = netrc.netrc(os.environ.get("NETRC") or Path.home() / ".netrc")
    except (OSError, netrc.NetrcParseError):
        return False
    return any(keys.authenticators(host) for host in hosts)


CHECKS: tuple[tuple[str, Callable[[Folders], Iterator[Finding]], str], ...] = (
    ("packages", requirements, SET_UP),
    ("packages", conflicts, SET_UP),
    ("import fairseq", import_fairseq, f"use fairseq-fixed, not fairseq: {ANEW}"),
    ("device", devices, ANEW),
    ("allocator", allocator, f"unset {environment.VARIABLE}"),
    ("runs", runs, "allow writing there, or name another folder with DEFINE_RUNS"),
    ("corpora", corpora, SET_UP),
    ("paper's tables", tables, "restore define/analysis/published.yaml from the repository"),
    ("tracking", tracking, "check WANDB_BASE_URL"),
)
"""Name, check, and the fix if it raises an error."""


def examine(folders: Folders) -> Iterator[Finding]:
    """The findings of all checks; an error inside one is a finding too."""
    for name, check, fix in CHECKS:
        try:
            yield from check(folders)
        # Broken packages raise all kinds: plain fairseq a ValueError.
        except Exception as error:
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
            yield Finding(name, "broken", f"{kind}{error}", fix)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="check this machine and the prepared data",
        description="Check Python, the installed packages, the devices, the allocator, the disk, "
        "the prepared corpora, the paper's numbers and run tracking. Exit status: 1 if something "
        "is broken, else 0.",
        epilog="example: define doctor --data data",
    )
    for name, folder in (("data", paths.data()), ("runs", paths.runs())):
        text = f"folder of the {name} (default: the variable DEFINE_{name.upper()}, or {name})"
        parser.add_argument(f"--{name}", metavar="DIR", type=Path, default=folder, help=text)
    parser.add_argument("--json", action="store_true", help="print a list of findings as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints every finding with its fix; returns 1 if something is broken, else 0."""
    findings = list(examine(Folders(args.data, args.runs)))
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print_table(findings)
    return int(any(finding.status == "broken" for finding in findings))


def _print_table(findings: list[Finding]) -> None:
    table = Table(
        "check", "status", Column("found", overflow="fold"), Column("fix", overflow="fold")
    )
    for found in findings:
        status = f"[{STYLES[found.status]}]{found.status}[/]"
        table.add_row(found.check, status, escape(found.detail), escape(found.fix))
    console = Console()
    console.print(table)
    counts = {status: sum(finding.status == status for finding in findings) for status in STYLES}
    console.print(", ".join(f"{count} {status}" for status, count in counts.items()))
