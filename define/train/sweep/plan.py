"""The plan of a sweep: every job composed and checked before the first one starts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from define.errors import InputError
from define.runs import sweeps
from define.runs.provenance import now
from define.runs.recipe import digest
from define.train.compose import HYDRA_BASE, compose, configs_folder, one_sentence
from define.train.counting import Types, parameters
from define.train.dry_run import types_of
from define.train.rules import check_recipe
from define.train.run_folder import existing, published_config
from define.train.sweep.overrides import default_name, split

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
                f"train different configs in {folder}; take `define search`, or give each a folder "
                f"of its own, such as 'run.dir=${{runs_root}}/search/lr_${{optimization.lr}}', "
                f"which no comparison takes for the row's result"
            )
    return list(by_folder.values())


def _below(runs: Path, job: sweeps.Job, number: int) -> sweeps.Job:
    """The job with its number in the plan, and its folder relative to the runs' folder."""
    folder = job.run_dir and Path(job.run_dir)
    if folder and folder.is_relative_to(runs):
        folder = folder.relative_to(runs)
    return replace(job, number=number, run_dir=folder and str(folder))
