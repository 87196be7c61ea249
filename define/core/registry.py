"""Models by registered name, so that a checkpoint can be rebuilt from its config."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from torch import nn

from define.core.awd_lstm import AWDLSTM, AWDLSTMConfig, LSTMConfig
from define.core.transformer_xl import TransformerXL, TransformerXLConfig
from define.core.unit import require_choice
from define.errors import InputError

MODELS: dict[str, tuple[type, type[nn.Module]]] = {
    "define_awd_lstm": (AWDLSTMConfig, AWDLSTM),
    "define_lstm": (LSTMConfig, AWDLSTM),
    "define_transformer_xl": (TransformerXLConfig, TransformerXL),
}
"""Name -> (config dataclass, model class)."""


def config_from(config_class: type, section: Mapping[str, Any]) -> Any:
    """A model's config from a config's `model` section; other keys are ignored.

    Raises:
        InputError: a missing field.
    """
    names = [f.name for f in fields(config_class)]
    if missing := [name for name in names if name not in section]:
        raise InputError(
            f"the config of {section['_name']} has no model.{missing[0]}: another version of this "
            f"code wrote it; use that version, or train again"
        )
    return config_class(**{name: section[name] for name in names})


def build_model(section: Mapping[str, Any], num_types: int) -> nn.Module:
    """Builds the model of a config's `model` section.

    Args:
        section: `_name` and the fields of the model's config.
        num_types: V.
    Raises:
        InputError: an unknown name, a missing field, or dimensions that contradict each other.
    """
    require_choice("model._name", section["_name"], MODELS)
    config_class, model_class = MODELS[section["_name"]]
    return model_class(config_from(config_class, section), num_types)
