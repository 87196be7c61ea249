"""The plan of a sweep: every job composed and checked before the first one starts."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from define.errors import InputError
from define.launch.compose import HYDRA_BASE, compose, configs_folder, one_sentence
from define.launch.counting import Types, parameters
from define.launch.dry_run import Budget, budget, types_of
from define.launch.provenance import now
from define.launch.run_folder import existing, published_config
from define.launch.train import check_recipe
from define.results import sweeps
from define.results.recipe import digest

ONE_BY_ONE, SLURM = "BasicLauncher", "SlurmLauncher"
"""Hydra's launchers that are not as the others."""


@dataclass(frozen=True)
class Planned:
    """A job with its config; with the reason instead where it cannot run."""

    job: sweeps.Job
    config: DictConfig | None
    fault: str | None


@dataclass(frozen=True)
class Plan:
    """What a sweep is to run.

    Attributes:
        repeated: number of jobs left out because their run is another job's.
        hydra_overrides: for Hydra's own config.
        launcher: the class of Hydra's launcher.
    """

    name: str
    runs: Path
    jobs: Sequence[Planned]
    repeated: int
    hydra_overrides: Sequence[str]
    launcher: str

    def sweep(self, command: str) -> sweeps.Sweep:
        """As it is written; `command` is what the user typed."""
        folder = self.runs / sweeps.FOLDER / self.name
        return sweeps.Sweep(folder, command, now(), [planned.job for planned in self.jobs])


def plan(overrides: Sequence[str], name: str | None = None) -> Plan:
    """Composes and checks all jobs of `define train -m OVERRIDES`.

    Args:
        overrides: as Hydra has them; those of Hydra's own config ("hydra/launcher=joblib") among
            them.
        name: of the sweep; by default a readable one that the jobs decide.
    Raises:
        InputError: no job can run, two jobs would train different configs in one folder, an
            override cannot be read, the name is no file name, or Hydra refuses its overrides.
    """
    own, each = split(overrides)
    launcher = _launcher(own)
    planned = [_planned(number, job) for number, job in enumerate(each, start=1)]
    configs = [p.config for p in planned if p.config is not None]
    if not any(p.fault is None for p in planned):
        raise InputError(planned[0].fault)
    unique = _without_repetitions(planned)
    runs = Path(configs[0].runs_root).resolve()
    unique = [replace(p, job=_below(runs, p.job, i)) for i, p in enumerate(unique, start=1)]
    name = default_name(each) if name is None else name
    if re.fullmatch(r"\w[\w.+-]*", name) is None:
        raise InputError(f"--name {name!r} is no file name; take letters, digits, '.', '-', '_'")
    return Plan(name, runs, unique, len(planned) - len(unique), own, launcher)


def corpora(overrides: Sequence[str]) -> list[str]:
    """The names of the corpora that the jobs of `define train -m OVERRIDES` read.

    Raises:
        InputError: a job cannot be composed.
    """
    _, each = split(overrides)
    return list(dict.fromkeys(compose(job).run.corpus for job in each))


def split(overrides: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The overrides of Hydra's own config, and those of each job.

    Raises:
        InputError: an override that Hydra cannot read.
    """
    own = [word for word in overrides if re.match(r"[+~]*hydra[./]", word)]
    return own, jobs([word for word in overrides if word not in own])


def jobs(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each job of a sweep, in Hydra's order.

    Raises:
        InputError: an override that Hydra cannot read.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise InputError(
            f"override: {str(error).splitlines()[0]}; see `define train --help`"
        ) from error
    (batch,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for job in batch]


def seeds_override(text: str) -> str:
    """Hydra's override for "1-3" or "1,2,5".

    Raises:
        InputError: neither of them.
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise InputError(f"--seeds {text!r} is no list of seeds; take such as 1-3 or 1,2,5")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return f"seed={','.join(map(str, dict.fromkeys(found)))}"


def default_name(each: Sequence[Sequence[str]]) -> str:
    """Tables and scale, and a hash of the jobs: the same jobs find their sweep again."""
    words = [word.partition("=") for job in each for word in job]
    tables = [value.split("/")[0] for key, _, value in words if key == "experiment"]
    scales = [value for key, _, value in words if key == "scale"]
    tables, scales = list(dict.fromkeys(tables)), list(dict.fromkeys(scales))
    stem = [*(tables if len(tables) < 3 else [f"{len(tables)}_tables"]), *scales] or ["sweep"]
    readable = re.sub(r"[^\w.-]+", "_", "-".join(stem))
    whole = json.dumps([list(job) for job in each])
    return f"{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def measure(planned: Planned) -> Budget:
    """What the training of a job that can run takes."""
    return budget(planned.config, *types_of(planned.config))


def _launcher(own: Sequence[str]) -> str:
    """The class of the launcher that the overrides of Hydra's config choose."""
    try:
        with initialize_config_dir(str(configs_folder()), version_base=HYDRA_BASE):
            config = hydra_compose("sweep", list(own), return_hydra_config=True)
        return config.hydra.launcher._target_.rpartition(".")[2]
    except (HydraException, OmegaConfBaseException) as error:
        if found := re.match(r"Could not override '([^']*)'", str(error)):
            raise InputError(
                f"{found[1]} is no key of the launcher; leave it out, or choose the launcher that "
                "has it, such as hydra/launcher=joblib"
            ) from error
        raise InputError(
            f"Hydra's config: {one_sentence(error)}; its launchers joblib, submitit_local, "
            f'submitit_slurm and slurm come with `pip install -e ".[sweep]"`'
        ) from error


def _planned(number: int, overrides: Sequence[str]) -> Planned:
    job, config = sweeps.Job(number, list(overrides)), None
    try:
        config = compose(list(overrides))
        check_recipe(config)
        job = _described(job, config)
        existing(config)
    except InputError as error:
        return Planned(job, config, str(error))
    return Planned(job, config, None)


def _described(job: sweeps.Job, config: DictConfig) -> sweeps.Job:
    types, _ = types_of(config)
    return replace(
        job,
        table=config.run.table,
        row=config.run.row,
        scale=config.run.scale,
        corpus=config.run.corpus,
        seed=config.seed,
        run_dir=config.run.dir,
        cpu=config.common.cpu,
        devices=config.distributed_training.distributed_world_size,
        parameters=_total(config.model, types),
        config_sha256=digest(published_config(config)),
    )


_TOTALS: dict[str, int] = {}


def _total(model: DictConfig, types: Types) -> int:
    """Parameters in total; rows of several seeds have one model, which is built once."""
    key = f"{types} {model}"
    if key not in _TOTALS:
        _TOTALS[key] = parameters(model, types)["total"]
    return _TOTALS[key]


def _without_repetitions(planned: Sequence[Planned]) -> list[Planned]:
    """One job per run folder: rows of several tables may be one run."""
    by_folder: dict[Any, Planned] = {}
    for candidate in planned:
        job = candidate.job
        folder = job.run_dir or job.number
        earlier = by_folder.setdefault(folder, candidate)
        if earlier.job.config_sha256 != job.config_sha256:
            raise InputError(
                f"jobs {earlier.job.number} and {job.number} ({' '.join(job.overrides)}) would "
                f"train different configs in {folder}; give each a folder of its own, such as "
                f"'run.dir=${{runs_root}}/lr_${{optimization.lr}}'"
            )
    return list(by_folder.values())


def _below(runs: Path, job: sweeps.Job, number: int) -> sweeps.Job:
    """The job with its number in the plan, and its folder relative to the runs' folder."""
    folder = job.run_dir and Path(job.run_dir)
    if folder and folder.is_relative_to(runs):
        folder = folder.relative_to(runs)
    return replace(job, number=number, run_dir=folder and str(folder))
