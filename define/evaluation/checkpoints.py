"""Reading a trained model from a checkpoint, without fairseq."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from define.core.registry import build_model
from define.errors import InputError

PREFIX = "core."
"""Where the registered wrapper keeps the plain model."""


def load(path: str | Path) -> Mapping[str, Any]:
    """Reads a checkpoint of fairseq's layout; nothing in it is executed.

    Raises:
        InputError: no such file, or not a checkpoint that training here wrote.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"there is no checkpoint {path}; train first, or name another") from None
    except Exception as error:
        raise InputError(
            f"{path} is not a readable checkpoint ({type(error).__name__}); "
            f"name one that training wrote"
        ) from error
    if not isinstance(checkpoint, Mapping) or not {"cfg", "model"} <= checkpoint.keys():
        raise InputError(f"{path} holds no cfg and model; name a checkpoint that training wrote")
    return checkpoint


def build(checkpoint: Mapping[str, Any], num_types: int) -> nn.Module:
    """The model of a checkpoint, in evaluation mode; after the NT-ASGD switch its averaged weights.

    Args:
        num_types: V of the corpus it is for.
    Raises:
        InputError: the weights are for another vocabulary or another model.
    """
    model = build_model(checkpoint["cfg"]["model"], num_types)
    weights = {name.removeprefix(PREFIX): value for name, value in checkpoint["model"].items()}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"the checkpoint does not fit a vocabulary of {num_types} types; name the corpus that "
            f"it was trained on ({str(error).splitlines()[-1].strip()})"
        ) from error
    return model.eval()
