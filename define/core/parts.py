"""Assigns a model's parameters to parts, which are counted and trained separately."""

from collections.abc import Sequence

from torch import nn

from define.core.embedding import DefineEmbedding

PARTS = ("table", "unit", "context", "output")
"""table: the input maps (tables and projections), including those shared with the output layer.
unit: the layers between a map and the context model: DeFINE, a linear map or an MLP.
output: what only an output layer uses. context: everything else."""


def parameters_by_part(
    model: nn.Module, embeddings: Sequence[DefineEmbedding], outputs: Sequence[nn.Module]
) -> dict[str, list[nn.Parameter]]:
    """Every parameter of a model once, even if it is tied, by part of `PARTS`.

    Args:
        model: the whole model, on any device, including meta.
        embeddings, outputs: its input and output layers.
    """
    modules: dict[str, Sequence[nn.Module]] = {
        "table": [embedding.map for embedding in embeddings],
        "unit": [embedding.unit for embedding in embeddings if embedding.unit is not None],
        "output": outputs,
    }
    part_of: dict[nn.Parameter, str] = {}
    for part, own in modules.items():
        for module in own:
            for p in module.parameters():
                part_of.setdefault(p, part)
    parts: dict[str, list[nn.Parameter]] = {part: [] for part in PARTS}
    for p in model.parameters():
        parts[part_of.get(p, "context")].append(p)
    return parts


def mark_parts(
    model: nn.Module, embeddings: Sequence[DefineEmbedding], outputs: Sequence[nn.Module]
) -> None:
    """Sets each parameter's part as an attribute, because optimizers see only parameters.

    The attribute is `param_group`, which fairseq's wrappers and composite optimizer also read.

    Args: see `parameters_by_part`.
    """
    for part, parameters in parameters_by_part(model, embeddings, outputs).items():
        for p in parameters:
            p.param_group = part  # type: ignore[attr-defined]  # torch types no attributes
