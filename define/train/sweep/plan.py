"""The plan of a sweep: its jobs from the overrides, each composed and checked before any starts."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from define.errors import InputError
from define.runs import sweeps
from define.runs.provenance import now
from define.runs.recipe import digest
from define.train.compose import HYDRA_BASE, compose, configs_folder, one_sentence
from define.train.counting import parameters
from define.train.dry_run import types_of
from define.train.rules import check_recipe
from define.train.run_folder import existing, published_config


@dataclass(frozen=True)
class Planned:
    """A job with its config, or with the reason why it cannot run."""

    job: sweeps.Job
    config: DictConfig | None
    fault: str | None


@dataclass(frozen=True)
class Plan:
    """What a sweep will run.

    Attributes:
        runs: the folder of all runs.
        repeated: number of jobs left out because another job is the same run.
        hydra_overrides: for Hydra's own config.
        slurm: whether SLURM runs the jobs.
    """

    name: str
    runs: Path
    jobs: Sequence[Planned]
    repeated: int
    hydra_overrides: Sequence[str]
    slurm: bool

    def sweep(self, command: str) -> sweeps.Sweep:
        """The sweep to be written; `command` is what the user typed."""
        folder = self.runs / sweeps.FOLDER / self.name
        return sweeps.Sweep(folder, command, now(), [planned.job for planned in self.jobs])


def split(overrides: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The overrides of Hydra's own config, and those of each job in Hydra's order.

    Raises:
        InputError: Hydra cannot read an override.
    """
    own = [word for word in overrides if re.match(r"[+~]*hydra[./]", word)]
    try:
        parser = OverridesParser.create()
        parsed = parser.parse_overrides([word for word in overrides if word not in own])
    except HydraException as error:
        gist = str(error).splitlines()[0]
        raise InputError(f"override: {gist}; see `define train --help`") from error
    (batch,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return own, [list(job) for job in batch]


def seeds_override(text: str) -> str:
    """Hydra's override for seeds such as "1-3" or "1,2,5".

    Raises:
        InputError: the text is neither.
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise InputError(f"--seeds {text!r} is not a list of seeds; write e.g. 1-3 or 1,2,5")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return f"seed={','.join(map(str, dict.fromkeys(found)))}"


def default_name(jobs: Sequence[Sequence[str]]) -> str:
    """Tables, scale and a hash of the jobs: the same jobs always have the same name."""
    words = [word.partition("=") for job in jobs for word in job]
    tables = [value.split("/")[0] for key, _, value in words if key == "experiment"]
    scales = [value for key, _, value in words if key == "scale"]
    tables, scales = list(dict.fromkeys(tables)), list(dict.fromkeys(scales))
    stem = [*(tables if len(tables) < 3 else [f"{len(tables)}_tables"]), *scales] or ["sweep"]
    readable = re.sub(r"[^\w.-]+", "_", "-".join(stem))
    return f"{readable}-{hashlib.sha256(json.dumps(jobs).encode()).hexdigest()[:8]}"


def plan(overrides: Sequence[str], name: str | None = None) -> Plan:
    """Composes and checks all jobs of `define train -m OVERRIDES`.

    Args:
        overrides: for Hydra, those of Hydra's own config ("hydra/launcher=joblib") included.
        name: of the sweep; by default `default_name`.
    Raises:
        InputError: no job can run, two jobs would train different configs in one folder, an
            override or the name is malformed.
    """
    own, jobs = split(overrides)
    slurm = _launcher(own).endswith("SlurmLauncher")
    name = default_name(jobs) if name is None else name
    if re.fullmatch(r"\w[\w.+-]*", name) is None:
        raise InputError(f"--name {name!r} is no file name; take letters, digits, '.', '-', '_'")
    planned = [_planned(number, job) for number, job in enumerate(jobs, start=1)]
    if all(p.fault for p in planned):
        raise InputError(planned[0].fault)
    runs = Path(next(p.config for p in planned if p.config is not None).runs_root).resolve()
    unique = [
        replace(p, job=replace(p.job, number=number, run_dir=_below(runs, p.job.run_dir)))
        for number, p in enumerate(_without_repetitions(planned), start=1)
    ]
    return Plan(name, runs, unique, len(planned) - len(unique), own, slurm)


def corpora(overrides: Sequence[str]) -> list[str]:
    """The names of the corpora that the jobs of `define train -m OVERRIDES` read.

    Raises:
        InputError: a job cannot be composed.
    """
    _, jobs = split(overrides)
    return list(dict.fromkeys(compose(job).run.corpus for job in jobs))


def _launcher(own: Sequence[str]) -> str:
    """The class of the launcher that the overrides of Hydra's config choose."""
    try:
        with initialize_config_dir(str(configs_folder()), version_base=HYDRA_BASE):
            config = hydra_compose("sweep", list(own), return_hydra_config=True)
        return config.hydra.launcher["_target_"]
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(
            f"Hydra's config: {one_sentence(error)}; its "
            'launchers joblib, submitit_local and slurm come with `pip install -e ".[sweep]"`'
        ) from error


def _planned(number: int, overrides: Sequence[str]) -> Planned:
    job, config = sweeps.Job(number, list(overrides)), None
    try:
        config = compose(list(overrides))
        check_recipe(config)
        job = replace(
            job,
            **{key: config.run[key] for key in ("table", "row", "scale", "corpus")},
            seed=config.seed,
            run_dir=config.run.dir,
            cpu=config.common.cpu,
            parameters=parameters(config.model, types_of(config)[0])["total"],
            config_sha256=digest(published_config(config)),
        )
        existing(config)
    except InputError as error:
        return Planned(job, config, str(error))
    return Planned(job, config, None)


def _without_repetitions(planned: Sequence[Planned]) -> list[Planned]:
    """One job per run folder: rows of several tables may be the same run."""
    by_folder: dict[str | int, Planned] = {}
    for candidate in planned:
        job = candidate.job
        folder = job.run_dir or job.number
        earlier = by_folder.setdefault(folder, candidate)
        if earlier.job.config_sha256 != job.config_sha256:
            raise InputError(
                f"jobs {earlier.job.number} and {job.number} ({' '.join(job.overrides)}) would "
                f"train different configs in {folder}; use `define search`, or give each a folder "
                f"of its own, such as 'run.dir=${{runs_root}}/search/lr_${{optimization.lr}}', "
                f"which no comparison takes for the row's result"
            )
    return list(by_folder.values())


def _below(runs: Path, folder: str | None) -> str | None:
    """A run's folder, relative to the folder of all runs where it lies below it."""
    path = Path(folder or "")
    return str(path.relative_to(runs)) if path.is_relative_to(runs) else folder
