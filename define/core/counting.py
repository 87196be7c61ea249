"""Parameters of a built model, by the parts of the paper's tables."""

from collections.abc import Sequence

from torch import nn

from define.core.embedding import DefineEmbedding


def count_parameters(
    model: nn.Module, embeddings: Sequence[DefineEmbedding], outputs: Sequence[nn.Module]
) -> dict[str, int]:
    """Counts every tensor once, however often it is tied.

    Args:
        model: the whole model, on any device, meta included.
        embeddings: its input layers; the units between tables and model are the "define" part.
        outputs: its output layers; with the tables, the "io" part.
    Returns:
        {"define", "context", "io", "total"}: plain counts; all that is neither unit nor input nor
        output is context.
    """

    def distinct(*modules: nn.Module | None) -> int:
        found = {id(p): p.numel() for m in modules if m is not None for p in m.parameters()}
        return sum(found.values())

    parts = {
        "define": distinct(*(embedding.unit for embedding in embeddings)),
        "io": distinct(*(embedding.map for embedding in embeddings), *outputs),
    }
    total = distinct(model)
    return {
        "define": parts["define"],
        "context": total - parts["define"] - parts["io"],
        "io": parts["io"],
        "total": total,
    }
