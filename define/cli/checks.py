"""The checks of `define doctor`: each looks at one thing and says what to do about it."""

import fcntl
import importlib
import netrc
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from define.errors import InputError
from define.runs import environment

DISTRIBUTION = "define-reproduction"
SET_UP = "run scripts/setup.sh"
# A paper-scale run keeps a few checkpoints of some 300 MiB each.
WANTED_BYTES = 5 * 2**30
NEEDED_BYTES = 2**29

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
"""Distributions that break the project by being installed: name -> (why, fix)."""
REASONS = {
    "torch": "before 2.6, torch.load runs what code a checkpoint holds",
    "hydra-core": "fairseq-fixed is made for 1.3.2",
    "omegaconf": "fairseq-fixed is made for 2.3",
    "numpy": "before 1.26, it has no build for Python 3.12",
    "optuna": "the storage of 2.10 fails with today's SQLAlchemy",
}
"""Distribution -> why its range is what it is, where that is no matter of course."""

WANDB_MODES = ("disabled", "offline", "online")
WANDB_HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")
"""Under which `wandb login` keeps a key; WANDB_BASE_URL names another."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "chrome-headless-shell")


@dataclass(frozen=True)
class Finding:
    """The result of one check; `fix` is empty where there is nothing to do."""

    check: str
    status: Literal["ok", "warning", "broken"]
    detail: str
    fix: str = ""


def check_requirements() -> Iterator[Finding]:
    """Compares the running Python and every dependency with the ranges of setup.py.

    What only an extra asks for may be missing.
    """
    try:
        project = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        yield Finding("packages", "broken", f"{DISTRIBUTION} is not installed here", SET_UP)
        return
    yield check_python(platform.python_version(), project.metadata["Requires-Python"])
    for text in project.requires or []:
        requirement = Requirement(text)
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            version = None
        yield check_version(requirement, version)


def check_python(version: str, range_: str) -> Finding:
    """Whether Python `version` is in `range_`, a version specifier such as ">=3.10,<3.14"."""
    if version in SpecifierSet(range_):
        return Finding("Python", "ok", version)
    detail = f"{version} is outside {range_} (hydra-core 1.3 breaks on 3.14)"
    fix = f"make .venv anew with a fit Python: delete it and {SET_UP}"
    return Finding("Python", "broken", detail, fix)


def check_version(requirement: Requirement, version: str | None) -> Finding:
    """Whether the installed `version` (None: not installed) is in the requirement's range."""
    name = requirement.name
    extra = _extra(requirement)
    if version is None and extra:
        fix = f"pip install '{name}{requirement.specifier}', or {SET_UP}"
        return Finding(name, "warning", f"not installed; the extra {extra!r} brings it", fix)
    if version is None:
        return Finding(name, "broken", f"not installed, {requirement.specifier} is needed", SET_UP)
    if requirement.specifier.contains(version, prereleases=True):
        return Finding(name, "ok", version)
    reason = f" ({REASONS[name]})" if name in REASONS else ""
    fix = f"pip install '{name}{requirement.specifier}', or delete .venv and {SET_UP}"
    return Finding(name, "broken", f"{version} is outside {requirement.specifier}{reason}", fix)


def _extra(requirement: Requirement) -> str | None:
    """The extra of setup.py that asks for it; None if the project itself does."""
    if requirement.marker is None or "extra" not in str(requirement.marker):
        return None
    return str(requirement.marker).rpartition("== ")[2].strip("\"'")


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


def check_devices() -> Iterator[Finding]:
    """Whether torch imports, every device that it can use, and GPUs that it cannot use."""
    try:
        torch = importlib.import_module("torch")
    except Exception as error:
        detail = f"torch does not import ({type(error).__name__}: {error})"
        yield Finding("device", "broken", detail, f"delete .venv and {SET_UP}")
        return
    if not torch.cuda.is_available():
        yield _check_cpu(torch)
        return
    count = torch.cuda.device_count()
    for index in range(count):
        gpu = torch.cuda.get_device_properties(index)
        detail = f"{gpu.name}, {gpu.total_memory / 2**30:.1f} GiB, CUDA {torch.version.cuda}"
        yield Finding(f"device cuda:{index}", "ok", detail)
    instances = mig_instances()
    if len(instances) > count:
        yield Finding(
            "MIG",
            "warning",
            f"{len(instances)} instances, of which this process sees {count}",
            f"export CUDA_VISIBLE_DEVICES={','.join(instances)}; a sweep gives each job its own",
        )


def _check_cpu(torch) -> Finding:
    cpu = f"CPU, {torch.get_num_threads()} threads"
    if shutil.which("nvidia-smi") is None:
        return Finding("device", "ok", cpu)
    if torch.version.cuda is None:
        fix = f"delete .venv and {SET_UP} with TORCH_INDEX=<address of an index with CUDA builds>"
        return Finding("device", "warning", f"{cpu}: NVIDIA is here but torch is a CPU build", fix)
    fix = f"update the NVIDIA driver to one that fits CUDA {torch.version.cuda}"
    return Finding("device", "warning", f"{cpu}: torch {torch.__version__} finds no GPU", fix)


def check_allocator(variables: Mapping[str, str], used: str) -> Finding:
    """Whether an allocator that keeps its memory is preloaded; training on a CPU gains by it.

    Args:
        variables: the environment.
        used: by this process, as `define.runs.environment.allocator` has it.
    """
    if used != environment.SYSTEM:
        return Finding("allocator", "ok", used)
    if variables.get(environment.VARIABLE) == "none":
        detail = f"the system's, as {environment.VARIABLE} = none asks for"
    elif library := environment.chosen(variables):
        detail = f"the system's here; the command `define` preloads {library}"
    elif platform.system() == "Linux":
        fix = (
            f"install Debian's libtcmalloc-minimal4 (Fedora: gperftools-libs), or name a library "
            f"with {environment.VARIABLE}=FILE; {environment.VARIABLE}=none keeps the system's"
        )
        return Finding("allocator", "warning", "the system's; training on a CPU is slower", fix)
    else:
        detail = "the system's; another is preloaded on Linux alone"
    return Finding("allocator", "ok", detail)


def mig_instances() -> list[str]:
    """The names of the GPUs' MIG instances; CUDA shows a process one unless it names several."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = [line.strip() for line in listed.stdout.splitlines()]
    return [line.rpartition("UUID: ")[2].rstrip(")") for line in lines if line.startswith("MIG ")]


def check_disk(free: int) -> Finding:
    """Whether `free` bytes are enough for runs and checkpoints."""
    detail = f"{free / 2**30:.1f} GiB free for runs"
    fix = f"make room: long runs want {WANTED_BYTES / 2**30:.0f} GiB for checkpoints"
    if free < NEEDED_BYTES:
        return Finding("disk", "broken", detail, fix)
    if free < WANTED_BYTES:
        return Finding("disk", "warning", detail, fix)
    return Finding("disk", "ok", detail)


def nearest_folder(path: Path) -> Path:
    """`path` itself if it is there, else the nearest above it that is."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def check_runs(runs: Path) -> Finding:
    """Whether runs can be written and locked in `runs`, or in what it would be made in."""
    fix = "give access, or name another folder with DEFINE_RUNS"
    try:
        with tempfile.TemporaryFile(dir=nearest_folder(runs)) as trial:
            trial.write(b"trial")
            fcntl.flock(trial, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return Finding("runs", "broken", f"{runs} takes no locked files: {error.strerror}", fix)
    return Finding("runs", "ok", f"{runs} can be written")


def check_corpora(data: Path) -> Iterator[Finding]:
    """Compares every prepared corpus under `data` with its counts and checksums."""
    # Imported late, so that a broken numpy is a finding and not a crash.
    try:
        from define.data.parallel import pairs
        from define.data.prepared import META
        from define.data.text import corpora
    except Exception as error:
        yield Finding("corpora", "broken", f"{type(error).__name__}: {error}", SET_UP)
        return
    folders = sorted(path.parent for path in data.glob(f"*/{META}"))
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


def check_published() -> Finding:
    """Whether the paper's numbers, to which all is compared, are there."""
    try:
        from define.analysis import published

        tables = published.names()
    # A package that does not import, a file that is gone or is no YAML.
    except Exception as error:
        fix = "restore define/analysis/published.yaml from the project's repository"
        return Finding("paper's tables", "broken", f"{type(error).__name__}: {error}", fix)
    return Finding("paper's tables", "ok", ", ".join(tables))


def check_wandb(environment: Mapping[str, str]) -> Finding:
    """What wandb would do here; without the network, so a key may still be refused."""
    mode = environment.get("WANDB_MODE")
    if mode is not None and mode not in WANDB_MODES:
        fix = f"set WANDB_MODE to one of {', '.join(WANDB_MODES)}, or unset it"
        return Finding("tracking", "warning", f"WANDB_MODE is {mode!r}, unknown to wandb", fix)
    logged_in = has_wandb_login(environment)
    login = "a login is there" if logged_in else "nobody is logged in, as wandb=online needs"
    detail = f"wandb is off unless a run asks for it with wandb=offline or online; {login}"
    if mode == "online" and not logged_in:
        return Finding("tracking", "warning", detail, "`wandb login`, or unset WANDB_MODE")
    if mode in ("disabled", "offline"):
        detail += f"; WANDB_MODE = {mode} forbids wandb=online"
    return Finding("tracking", "ok", detail)


def has_wandb_login(environment: Mapping[str, str]) -> bool:
    """Whether wandb would find a key: in the environment, or in ~/.netrc, where it keeps it."""
    if environment.get("WANDB_API_KEY") or environment.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    server = environment.get("WANDB_BASE_URL")
    hosts = [urlsplit(server).netloc] if server else WANDB_HOSTS
    try:
        keys = netrc.netrc(environment.get("NETRC") or Path.home() / ".netrc")
    except (OSError, netrc.NetrcParseError):
        return False
    return any(keys.authenticators(host) for host in hosts)


def check_browser() -> Finding:
    """Whether a browser is here in which the tests look at the report; nothing else needs one."""
    found = next((name for name in BROWSERS if shutil.which(name)), None)
    detail = f"{found} is here" if found else "no Chromium here"
    return Finding("browser", "ok", f"{detail}; only the tests of the report's page want one")
