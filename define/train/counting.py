"""Parameters of a run config, counted without allocating or training anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig
from torch import nn

from define.core.counting import count_parameters, without_values
from define.core.registry import build_model, config_from
from define.core.transformer import Outline, TransformerConfig
from define.data.parallel import pairs
from define.data.text import python_docs
from define.data.text.corpora import get_spec
from define.train.compose import compose, configs_folder

Types = int | tuple[int, int]
"""V of a corpus; of source and target where it is parallel, fairseq's special symbols included."""


def corpus_types(name: str) -> Types:
    """V of a corpus, which need not be prepared; nominal where its subwords are learnt.

    Raises:
        InputError: no corpus has that name.
    """
    if name in pairs.PAIRS:
        types = pairs.get_pairs(name).types
        return types["source"], types["target"]
    return get_spec(name).types or python_docs.TYPES


def build(model_section: Mapping[str, Any], types: Types) -> nn.Module:
    """The model that a config's `model` section describes, without weights.

    Raises:
        InputError: the model cannot be built.
    """
    with without_values():
        if isinstance(types, int):
            return build_model(model_section, types)
        return Outline(config_from(TransformerConfig, model_section), *types)


def parameters(model_section: Mapping[str, Any], types: Types) -> dict[str, int]:
    """{"define", "context", "io", "total"} of the model that a config's `model` section describes.

    Raises:
        InputError: the model cannot be built.
    """
    return count(build(model_section, types))


def count(model: nn.Module) -> dict[str, int]:
    """{"define", "context", "io", "total"} of a model."""
    if isinstance(model, Outline):
        return count_parameters(model, model.embeddings, model.output_layers)
    return count_parameters(model, [model.embedding], [model.output])


NAMESAKES = {
    "1c": {"awd_lstm_finetune": "table_1c/awd_lstm"},
    "3": {"transformer_opennmt": "table_3/transformer"},
}
"""Table -> row -> the experiment of another row with the same model: fine-tuning trains it again,
the authors and OpenNMT have one recipe."""


def experiments(table: str) -> dict[str, str]:
    """Row -> experiment that builds it: the published rows that can be built, and our controls."""
    folder = configs_folder() / "experiment" / f"table_{table}"
    own = {path.stem: f"table_{table}/{path.stem}" for path in sorted(folder.glob("*.yaml"))}
    return own | NAMESAKES.get(table, {})


def own_experiments(table: str) -> dict[str, str]:
    """Row -> experiment, of the rows whose config does not build on that of another row."""
    folder = configs_folder() / "experiment"
    return {
        row: experiment
        for row, experiment in experiments(table).items()
        if experiment == f"table_{table}/{row}"
        and "\n  - /experiment/" not in (folder / f"{experiment}.yaml").read_text(encoding="utf-8")
    }


@dataclass(frozen=True)
class PaperModel:
    """A row's model at full paper size.

    Attributes:
        parameters: by part.
        assumed: what the count rests on where the paper does not say it; None if on nothing.
    """

    parameters: Mapping[str, int]
    assumed: str | None = None


def paper_models(table: str) -> dict[str, PaperModel]:
    """Row -> model, for the rows that can be built."""
    found = {}
    for row, experiment in experiments(table).items():
        config = compose([f"experiment={experiment}", "scale=paper"])
        types = corpus_types(config.run.corpus)
        counts = parameters(config.model, types)
        found[row] = PaperModel(counts, None if isinstance(types, int) else _assumed(config, types))
    return found


def _assumed(config: DictConfig, types: tuple[int, int]) -> str:
    share = config.model.share
    return (
        f"The paper gives no V: counted for {types[0]:,} source and {types[1]:,} target types, the "
        f"nominal sizes of {config.run.corpus}; the tables of source, target and output are "
        f"{'separate' if share == 'none' else f'shared ({share})'}."
    )
