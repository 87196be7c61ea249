"""Parameters of a run config, counted without allocating or training anything."""

from typing import Any

import torch

from define.core.counting import count_parameters
from define.core.registry import build_model
from define.data.corpora import get_spec


def parameters(model_section: dict[str, Any], num_types: int) -> dict[str, int]:
    """{"define", "context", "io", "total"} of the model that a config's `model` section describes.

    Raises:
        InputError: the model cannot be built.
    """
    with torch.device("meta"):
        model = build_model(model_section, num_types)
    return count_parameters(model, model.embedding, model.output)


PAPER_ROWS = {
    "1c": {
        "awd_lstm": "table_1c/awd_lstm",
        "awd_lstm_finetune": "table_1c/awd_lstm",
        "awd_lstm_define": "table_1c/awd_lstm_define",
    }
}
"""Table -> row -> experiment that builds it. Fine-tuning trains the same model again."""


def paper_parameters(table: str) -> dict[str, dict[str, int | None]]:
    """Row -> parameters by part at full paper size, for the rows that can be built."""
    from define.launch.compose import compose

    counted = {}
    for row, experiment in PAPER_ROWS.get(table, {}).items():
        config = compose([f"experiment={experiment}", "scale=paper"])
        counted[row] = parameters(config.model, get_spec(config.run.corpus).types)
    return counted
