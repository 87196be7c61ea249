"""The classes of a run config, without fairseq: its import takes longer than all of a dry run.

`fairseq_schema.json` describes fairseq's own classes, of the version that setup.py pins; `python -m
define.train.schema` writes it. Ours are taken from where they are.
"""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from dataclasses import field, make_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, List, Optional, get_args  # noqa: UP035 - OmegaConf's and fairseq's

import torch
from hydra.core.config_store import ConfigStore

from define.core.registry import MODELS
from define.core.transformer import TransformerConfig
from define.criterions.options import (
    LanguageModelingCriterionOptions,
    TranslationCriterionOptions,
)
from define.files import atomic_write
from define.optim.by_part import FactorFields
from define.optim.options import NTASGDOptions, SGDOptions
from define.tasks.options import LanguageModelingOptions, TranslationOptions

PATH = Path(__file__).with_name("fairseq_schema.json")
NODES = (
    *("optimizer/adam", "lr_scheduler/fixed", "lr_scheduler/cosine", "lr_scheduler/inverse_sqrt"),
    *("criterion/label_smoothed_cross_entropy", "task/translation"),
)
"""Those of fairseq's choices that our configs take."""

_PLAIN = {"bool": bool, "int": int, "float": float, "str": str, "Any": Any}


def _of_machine() -> dict[str, int | str]:
    """Defaults that fairseq takes from the machine, or that name a folder of one (unused here)."""
    devices = max(1, torch.cuda.device_count())
    names = ("distributed_world_size", "distributed_num_procs", "nprocs_per_node")
    others = {"device_id": os.getenv("LOCAL_RANK", 0), "plasma_path": None}
    return dict.fromkeys(names, devices) | others


def _class(name: str, described: Mapping[str, Any]) -> type:
    """A dataclass from field -> [type, default], or -> {class name: fields} for a section."""
    made, machine = [], _of_machine()
    for key, value in described.items():
        if isinstance(value, dict):
            ((section, fields),) = value.items()
            kind = _class(section, fields)
            made.append((key, kind, field(default_factory=kind)))
        else:
            default = machine.get(key, value[1])
            if isinstance(default, list):
                made.append((key, _type(value[0]), field(default_factory=default.copy)))
            else:
                made.append((key, _type(value[0]), default))
    return make_dataclass(name, made)


def _type(text: str) -> Any:
    if inner := re.fullmatch(r"(Optional|List)\[(.*)\]", text):
        outer = Optional if inner[1] == "Optional" else List  # noqa: UP006
        return outer[_type(inner[2])]
    if "|" in text:
        return Enum("Choices", {choice: choice for choice in text.split("|")})
    return _PLAIN[text]


def _read() -> tuple[type, dict[str, type]]:
    classes = {
        node: _class(*next(iter(described.items())))
        for node, described in json.loads(PATH.read_text(encoding="utf-8")).items()
    }
    return classes.pop("config"), classes


FairseqConfig, _THEIRS = _read()
"""As fairseq's class of that name; the classes of `NODES`."""

OptimizationConfig: type = FairseqConfig.__dataclass_fields__["optimization"].type
"""As fairseq's class of that name."""


@dataclasses.dataclass
class _Named:
    _name: Optional[str] = None  # noqa: UP045


def _ours() -> dict[str, type]:
    """Node -> class, with the fields, their order and the name of what is registered."""
    adam, translation = _THEIRS["optimizer/adam"], _THEIRS["task/translation"]
    found = {
        f"model/{name}": (own.__name__.replace("Config", "ModelConfig"), own, _Named)
        for name, (own, _) in MODELS.items()
    }
    found |= {
        "model/define_transformer": ("DefineTransformerConfig", TransformerConfig, _Named),
        "optimizer/define_adam": ("DefineAdamConfig", FactorFields, adam),
        "optimizer/define_sgd": ("DefineSGDConfig", SGDOptions, _Named),
        "optimizer/define_nt_asgd": ("NTASGDConfig", NTASGDOptions, _Named),
        "task/define_language_modeling": (
            *("LanguageModelingTaskConfig", LanguageModelingOptions, _Named),
        ),
        "task/define_translation": ("DefineTranslationConfig", TranslationOptions, translation),
        "criterion/define_language_modeling": (
            *("LanguageModelingCriterionConfig", LanguageModelingCriterionOptions, _Named),
        ),
        "criterion/define_translation": (
            *("TranslationCriterionConfig", TranslationCriterionOptions, _Named),
        ),
    }
    return {
        node: make_dataclass(name, [], bases=tuple(bases)) for node, (name, *bases) in found.items()
    }


CLASSES = _THEIRS | _ours()
"""Group/name, as a config chooses it, -> class."""

GROUPS = {node.partition("/")[0] for node in NODES} | {"model", "scoring", "bpe", "tokenizer"}
"""Where fairseq has more to choose from."""


def register() -> None:
    """Stores with Hydra what fairseq would store when it is imported; idempotent."""
    store = ConfigStore.instance()
    for node, made in CLASSES.items():
        group, _, name = node.partition("/")
        store.store(name=name, group=group, node=made(_name=name), provider="fairseq")


def describe() -> dict[str, Any]:
    """The description of the classes of the fairseq that is installed."""
    import fairseq.tasks  # noqa: F401 - registers the nodes
    from fairseq.dataclass.configs import FairseqConfig
    from omegaconf import OmegaConf

    repo = ConfigStore.instance().repo
    found = {"config": FairseqConfig}
    for node in NODES:
        group, _, name = node.partition("/")
        found[node] = OmegaConf.get_type(repo[group][f"{name}.yaml"].node)
    return {node: {made.__name__: _described(made)} for node, made in found.items()}


def _described(made: type) -> dict[str, Any]:
    found, machine = {}, _of_machine()
    for one in dataclasses.fields(made):
        if dataclasses.is_dataclass(one.type):
            found[one.name] = {one.type.__name__: _described(one.type)}
        elif one.name in machine:
            found[one.name] = [_text(one.type), None]
        else:
            factory = one.default_factory
            default = one.default if factory is dataclasses.MISSING else factory()
            default = default.name if isinstance(default, Enum) else default
            found[one.name] = [_text(one.type), default]
    return json.loads(json.dumps(found))


def _text(kind: Any) -> str:
    if inner := get_args(kind):
        return f"{'Optional' if type(None) in inner else 'List'}[{_text(inner[0])}]"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(kind.__members__)
    return next(text for text, plain in _PLAIN.items() if plain is kind)


def _text_of(value: Any, indent: str = "\n") -> str:
    """JSON with a field a line."""
    if not isinstance(value, dict):
        return json.dumps(value)
    inner = indent + " "
    items = [f"{inner}{json.dumps(key)}: {_text_of(own, inner)}" for key, own in value.items()]
    return f"{{{','.join(items)}{indent}}}"


if __name__ == "__main__":
    with atomic_write(PATH) as _stream:
        _stream.write(_text_of(describe()) + "\n")
