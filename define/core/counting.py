"""Parameters of a built model, by the parts of the paper's tables."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from define.core.embedding import DefineEmbedding
from define.core.parts import parameters_by_part


def count_parameters(
    model: nn.Module, embeddings: Sequence[DefineEmbedding], outputs: Sequence[nn.Module]
) -> dict[str, int]:
    """Counts every tensor once, however often it is tied.

    Args: as `parameters_by_part`.
    Returns:
        {"define", "context", "io", "total"}: plain counts. "define" is the part `unit`, "io" are
        the parts `table` and `output`.
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
    """Leaves random initial values out: without memory, torch would load its compiler for them."""

    INITS = (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_)
    METHODS = (Tensor.normal_, Tensor.uniform_)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in self.INITS:
            return kwargs["tensor"]
        return args[0] if func in self.METHODS else func(*args, **kwargs)


@contextmanager
def without_values() -> Iterator[None]:
    """What is built inside has shapes alone, and takes no memory."""
    with torch.device("meta"), _WithoutDraws():
        yield
