"""The parts of a model, which its parameters are counted by and may be trained by."""

from collections.abc import Sequence

from torch import nn

from define.core.embedding import DefineEmbedding

PARTS = ("table", "unit", "context", "output")
"""table: the input maps, tables and projections, also where the output layer shares them.
unit: what stands between a map and the context model: DeFINE, a linear map or an MLP.
output: what an output layer has of its own. context: everything else."""


def parameters_by_part(
    model: nn.Module, embeddings: Sequence[DefineEmbedding], outputs: Sequence[nn.Module]
) -> dict[str, list[nn.Parameter]]:
    """Every parameter of a model once, however often it is tied, by part of `PARTS`.

    Args:
        model: the whole model, on any device, meta included.
        embeddings, outputs: its input and its output layers.
    """
    modules = {
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
    """Writes on every parameter which part it belongs to, for optimizers that see nothing else.

    The attribute is `param_group`: fairseq's wrappers and its composite optimizer read it too.

    Args: as `parameters_by_part`.
    """
    for part, parameters in parameters_by_part(model, embeddings, outputs).items():
        for p in parameters:
            p.param_group = part
