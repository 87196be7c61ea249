"""Counts a model's parameters by the parts that the paper's tables list."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from define.core.embedding import DefineEmbedding
from define.core.parts import parameters_by_part


def count_parameters(
    model: nn.Module, embeddings: Sequence[DefineEmbedding], outputs: Sequence[nn.Module]
) -> dict[str, int]:
    """Counts every tensor once, even if several layers share it.

    Args: see `parameters_by_part`.
    Returns:
        counts by "define" (the part `unit`), "context", "io" (`table` and `output`) and "total".
    """
    parts = parameters_by_part(model, embeddings, outputs)
    counts = {part: sum(p.numel() for p in own) for part, own in parts.items()}
    return {
        "define": counts["unit"],
        "context": counts["context"],
        "io": counts["table"] + counts["output"],
        "total": sum(counts.values()),
    }


class _WithoutDraws(TorchFunctionMode):
    """Skips random initialisation: on the meta device, torch would import its compiler for it."""

    INITS = (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_)
    METHODS = (Tensor.normal_, Tensor.uniform_)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in self.INITS:
            return kwargs["tensor"]
        return args[0] if func in self.METHODS else func(*args, **kwargs)


@contextmanager
def without_values() -> Iterator[None]:
    """Modules built inside have shapes but no values, and take no memory."""
    with torch.device("meta"), _WithoutDraws():
        yield
