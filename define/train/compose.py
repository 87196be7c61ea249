"""From Hydra overrides to one validated, resolved run config."""

import re
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from define import plugin
from define.errors import InputError
from define.optim.by_part import SCALED, require_factor
from define.optim.options import require_betas
from define.runs import paths
from define.tasks.observer import faster_autocast
from define.train import schema

SECTIONS = tuple(f.name for f in fields(schema.FairseqConfig))
"""fairseq's own sections, in its order."""

HYDRA_BASE = "1.1"
"""What fairseq's own use of Hydra needs; the setting holds for the whole process."""

SCALES = ("paper", "mini", "smoke")
WANDB_MODES = ("disabled", "offline", "online")


@dataclass
class RunConfig:
    """Which cell of which table this run is for."""

    table: str = ""
    row: str = ""
    scale: str = ""
    corpus: str = ""
    dir: str = "${runs_root}/table_${run.table}/${run.row}/${run.scale}/${run.corpus}/seed_${seed}"
    score_test: bool = True
    """False for trials of a search, which must not look at the test set."""
    test_batch_size: int = 1
    """Streams of the final test evaluation (awd-lstm-lm, main.py)."""
    protocols: dict[str, Any] = field(default_factory=dict)
    """name -> fields of `define.evaluation.protocols.Protocol`; the first is the headline.

    On the command line: "+run.protocols.NAME={window: 64}".
    """
    translations: dict[str, Any] = field(default_factory=dict)
    """name -> fields of `define.evaluation.decodings.Decoding`; the first is the headline."""
    tokens_per_update: int = 0
    """Of a translation batch, padding included; optimization.update_freq follows from it, so that
    it stays the same on any number of devices. 0 leaves update_freq as it is."""
    by_scale: dict[str, Any] = field(default_factory=dict)
    """scale -> what a row has of its own at that scale; configs read it, and `compose` drops it."""


@dataclass
class PartFactors:
    """A factor for each part of the model (`define.core.parts.PARTS`)."""

    table: float = 1.0
    unit: float = 1.0
    context: float = 1.0
    output: float = 1.0


@dataclass
class OptimizationConfig(schema.OptimizationConfig):
    """fairseq's section, and what multiplies the values of each part; 0 freezes it."""

    lr_factors: PartFactors = field(default_factory=PartFactors)
    weight_decay_factors: PartFactors = field(default_factory=PartFactors)


@dataclass
class Config(schema.FairseqConfig):
    """fairseq's sections, and what a run is."""

    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)
    seed: int = 1
    data_root: str = "${folder:data}"
    runs_root: str = "${folder:runs}"
    threads: int = 2
    wandb: str = "disabled"
    """disabled, offline or online."""
    tensorboard: bool = False
    """Whether to write TensorBoard's files too, in the run folder's `tensorboard`."""
    run: RunConfig = field(default_factory=RunConfig)


def configs_folder() -> Path:
    """Where the config groups lie: `configs/` beside the package, or DEFINE_CONFIGS.

    Raises:
        InputError: no such folder.
    """
    folder = paths.configs()
    if not (folder / "train.yaml").is_file():
        raise InputError(
            f"there are no configs in {folder}; install the project from its clone with "
            f"`pip install -e .`, or set DEFINE_CONFIGS to its configs folder"
        )
    return folder.resolve()


def compose(overrides: list[str]) -> DictConfig:
    """Composes, resolves and checks a run config; paths come out absolute, task.autocast chosen.

    Args:
        overrides: Hydra overrides such as "experiment=table_1c/awd_lstm", "scale=mini", "seed=3".
    Raises:
        InputError: an unknown key or group, a value of the wrong type, or a rule broken.
    """
    _register()
    try:
        with initialize_config_dir(str(configs_folder()), version_base=HYDRA_BASE):
            config = _composed(overrides)
        OmegaConf.resolve(config)
        with open_dict(config.run):
            del config.run["by_scale"]
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(f"config: {one_sentence(error)}") from error
    if unknown := _undeclared(config):
        raise InputError(
            f"config: {unknown[0]} is unknown; `define train --dry-run --full` shows all keys"
        )
    for choice, value, choices in (
        ("scale", config.run.scale, SCALES),
        ("wandb", config.wandb, WANDB_MODES),
    ):
        if value not in choices:
            raise InputError(f"{choice} = {value!r} is unknown; take one of {', '.join(choices)}")
    for key in ("table", "row", "corpus"):  # they name folders
        if not re.fullmatch(r"(\w[\w.-]*)?", config.run[key], re.ASCII):
            raise InputError(
                f"run.{key} = {config.run[key]!r} must be a plain name of letters, digits, _, - "
                f"and .; choose another folder with run.dir=FOLDER"
            )
    if config.seed < 0 or config.threads < 1:
        raise InputError(
            f"seed = {config.seed} must be at least 0 and threads = {config.threads} at least 1"
        )
    hand_on_factors(config)
    _refuse_code(config)
    if config.task.get("autocast") == "auto":
        config.task.autocast = faster_autocast(config.model, config.common.cpu)
    if config.run.tokens_per_update:
        config.optimization.update_freq = [batches_per_update(config)]
    for section, key in (
        (config.run, "dir"),
        (config.task, "data"),
        (config.checkpoint, "save_dir"),
    ):
        section[key] = str(Path(section[key]).resolve())
    return config


@cache
def _register() -> None:
    schema.register()
    OmegaConf.register_new_resolver("folder", lambda name: str(getattr(paths, name)()))
    ConfigStore.instance().store(name="define_schema", node=Config)


def _composed(overrides: list[str]) -> DictConfig:
    try:
        return hydra_compose("train", overrides)
    except MissingConfigException as error:
        if str(error.missing_cfg_file).partition("/")[0] not in schema.GROUPS:
            raise
        plugin.register()  # imports fairseq, which has more than the schema
        return hydra_compose("train", overrides)


def batches_per_update(config: DictConfig) -> int:
    """Batches that each device adds up, so that an update has `run.tokens_per_update` tokens.

    Raises:
        InputError: no whole number of batches has them.
    """
    devices = config.distributed_training.distributed_world_size
    tokens, at_once = config.run.tokens_per_update, (config.dataset.max_tokens or 0) * devices
    if at_once < 1 or tokens % at_once:
        raise InputError(
            f"run.tokens_per_update = {tokens} must be a multiple of dataset.max_tokens = "
            f"{config.dataset.max_tokens} times {devices} devices; change one of them"
        )
    return tokens // at_once


def hand_on_factors(config: DictConfig) -> None:
    """Fills the optimizer's own options from `optimization.*_factors`.

    Raises:
        InputError: a bad factor, one that the optimizer has no option for, or another value there.
    """
    for name in SCALED:
        for part, factor in config.optimization[f"{name}_factors"].items():
            key, option = f"optimization.{name}_factors.{part}", f"{name}_factor_{part}"
            require_factor(key, factor)
            own = config.optimizer.get(option, 1.0)
            if own not in (1.0, factor):
                raise InputError(f"optimizer.{option} = {own} follows from {key}; set that instead")
            if option in config.optimizer:
                config.optimizer[option] = factor
            elif factor != 1:
                raise InputError(
                    f"{key} = {factor} has no effect on optimizer = {config.optimizer._name}; take "
                    f"define_adam, define_sgd or define_nt_asgd"
                )


def _refuse_code(config: DictConfig) -> None:
    """Refuses texts that fairseq would run as Python code.

    Raises:
        InputError: such a text, or an option that makes fairseq run one.
    """
    for key, value in config.optimizer.items():
        if key == "adam_betas":
            require_betas(value)
        elif isinstance(value, str) and key != "_name":
            raise InputError(f"optimizer.{key} = {value!r} must be a number, or true or false")
    if config.distributed_training.pipeline_model_parallel:
        raise InputError(
            "distributed_training.pipeline_model_parallel = true is not for these models; set it "
            "to false"
        )


def _undeclared(config: DictConfig, prefix: str = "") -> list[str]:
    """Keys that no dataclass declares; Hydra lets them in as `+key=value`."""
    declared = {f.name for f in fields(OmegaConf.get_type(config))}
    found = [f"{prefix}{key}" for key in config if key not in declared]
    for key in declared & set(config):
        value = config[key]
        if isinstance(value, DictConfig) and is_dataclass(OmegaConf.get_type(value)):
            found += _undeclared(value, f"{prefix}{key}.")
    return found


def override(key: str, value: str | Path) -> str:
    """KEY=VALUE as Hydra reads it; a text with characters of its grammar is quoted."""
    text = str(value)
    if re.fullmatch(r"[\w./+@-]+", text) is None:
        escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
        text = f"'{escaped}'"
    return f"{key}={text}"


def one_sentence(error: Exception) -> str:
    """The gist of Hydra's and OmegaConf's many-line messages."""
    if found := re.match(r"Could not override '([^']*)'", str(error)):
        return f"{found[1]} is unknown; `define train --dry-run --full` shows all keys"
    if isinstance(error, MissingConfigException) and (found := _available(error.missing_cfg_file)):
        return found
    if found := re.match(r"Ambiguous value for argument '([^']*)'", str(error)):
        return f"{found[1]} has several values; train them with `define train -m`, or name one"
    if found := re.match(r"Error parsing override '([^'=]*)'", str(error)):
        return f"{found[1]!r} is no override; write KEY=VALUE, or see `define train --help`"
    text = str(error).split("\nConfig search path:")[0]
    if error.__cause__ is not None:
        text += "\n" + str(error.__cause__).partition("\n")[0]
    lines = [line.strip().rstrip(".;") for line in text.splitlines()]
    details = r"(full_key|object_type|reference_type)[:=]"
    gist = [line for line in lines if line and not re.match(details, line)]
    return re.sub(r":[;,]", ":", ", ".join(gist))


def _available(missing: str | None) -> str:
    """What there is instead of a config that is missing; "" where not all of it lies here."""
    group, _, name = (missing or "").rpartition("/")
    if not group or group.startswith("hydra"):
        return ""
    folder = configs_folder() / group
    if not folder.is_dir():
        return _available(group)
    names = sorted({path.stem for path in folder.iterdir()})
    return f"there is no {name!r} in {group}; take one of {', '.join(names)}"


def fairseq_config(config: DictConfig) -> dict[str, Any]:
    """fairseq's sections alone, plain: what `fairseq-hydra-train` takes as a config file."""
    plain = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    sections = {name: plain[name] for name in SECTIONS}
    own = sections["optimization"].keys() - {f.name for f in fields(schema.OptimizationConfig)}
    for key in own:  # the optimizer has them as its own options
        del sections["optimization"][key]
    sections["common"]["user_dir"] = str(Path(__file__).parents[1])
    return sections
