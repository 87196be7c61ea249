"""Parameters of a built model, by the parts of the paper's tables."""

from torch import nn

from define.core.embedding import DefineEmbedding


def count_parameters(model: nn.Module, embedding: DefineEmbedding, output: nn.Module) -> dict:
    """Counts every tensor once, however often it is tied.

    Args:
        model: the whole model, on any device, meta included.
        embedding: its input layer; the unit between table and model is the "define" part.
        output: its output layer; with the table, the "io" part.
    Returns:
        {"define", "context", "io", "total"}: plain counts; all that is neither unit nor input nor
        output is context.
    """

    def distinct(*modules: nn.Module | None) -> dict[int, int]:
        return {id(p): p.numel() for m in modules if m is not None for p in m.parameters()}

    unit, io = distinct(embedding.unit), distinct(embedding.map, output)
    total = sum(distinct(model).values())
    parts = {"define": sum(unit.values()), "io": sum(io.values())}
    return {
        "define": parts["define"],
        "context": total - parts["define"] - parts["io"],
        "io": parts["io"],
        "total": total,
    }
