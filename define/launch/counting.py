"""Parameters of a run config, counted without allocating or training anything."""

from typing import Any

import torch

from define.core.counting import count_parameters
from define.core.registry import build_model
from define.data import python_docs
from define.data.corpora import get_spec
from define.launch.compose import compose, configs_folder


def corpus_types(name: str) -> int:
    """V of a corpus, which need not be prepared.

    Raises:
        InputError: no corpus has that name.
    """
    return get_spec(name).types or python_docs.TYPES


def parameters(model_section: dict[str, Any], num_types: int) -> dict[str, int]:
    """{"define", "context", "io", "total"} of the model that a config's `model` section describes.

    Raises:
        InputError: the model cannot be built.
    """
    with torch.device("meta"):
        model = build_model(model_section, num_types)
    return count_parameters(model, model.embedding, model.output)


NAMESAKES = {
    "1b": {"lstm_define": "table_1a/lstm_r5"},
    "1c": {"awd_lstm_finetune": "table_1c/awd_lstm"},
}
"""Table -> row -> the experiment of another row that has the same model: Table 1b quotes Table 1a,
fine-tuning trains the same model again."""


def experiments(table: str) -> dict[str, str]:
    """Row -> experiment that builds it: the published rows that can be built, and our controls."""
    folder = configs_folder() / "experiment" / f"table_{table}"
    own = {path.stem: f"table_{table}/{path.stem}" for path in sorted(folder.glob("*.yaml"))}
    return own | NAMESAKES.get(table, {})


def paper_parameters(table: str) -> dict[str, dict[str, int]]:
    """Row -> parameters by part at full paper size, for the rows that can be built."""
    counted = {}
    for row, experiment in experiments(table).items():
        config = compose([f"experiment={experiment}", "scale=paper"])
        counted[row] = parameters(config.model, get_spec(config.run.corpus).types)
    return counted
