"""Reading a trained model from a checkpoint, without fairseq."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from define.core.registry import build_model
from define.errors import InputError

PREFIX = "core."
"""Where the registered wrapper keeps the plain model."""


def verify(path: str | Path) -> None:
    """Compares the parts of a checkpoint with their CRC-32.

    torch.save stores a checksum of every tensor and of everything else in the same file, so that
    both are replaced in one step; torch.load ignores them. They show damage, not forgery.

    Raises:
        InputError: a part has changed.
        OSError, zipfile.BadZipFile: it cannot be read at all.
    """
    with zipfile.ZipFile(path) as archive:
        if (part := archive.testzip()) is not None:
            raise InputError(
                f"{path} is damaged: {part} in it does not have the checksum that it was saved "
                f"with; restore the file from a copy, or remove the run and train again"
            )


def load(path: str | Path) -> Mapping[str, Any]:
    """Reads a checkpoint of fairseq's layout; nothing in it is executed.

    Raises:
        InputError: no such file, a damaged one, or not a checkpoint that training here wrote.
    """
    try:
        verify(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"there is no checkpoint {path}; train first, or name another") from None
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path} is not a readable checkpoint ({type(error).__name__}); "
            f"name one that training wrote"
        ) from error
    if not isinstance(checkpoint, Mapping) or not {"cfg", "model"} <= checkpoint.keys():
        raise InputError(f"{path} holds no cfg and model; name a checkpoint that training wrote")
    return checkpoint


def trained_on(checkpoint: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The `define.data.prepared.identity` of its corpus; None if an earlier version wrote it."""
    return checkpoint.get("task_state", {}).get("corpus")


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
