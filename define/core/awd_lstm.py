"""AWD-LSTM (Merity et al. 2018b) over any input layer; source: salesforce/awd-lstm-lm, model.py.

Without weight drop and regularisation it is the LSTM of Merity et al. 2018a and Table 1a.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from define.core.dropout import locked_dropout, word_dropout_mask
from define.core.inputs import InputOutputConfig, build_input, option
from define.core.language_model import LanguageModelOutput
from define.core.lstm import LSTMState, WeightDropLSTM
from define.core.outputs import build_output, tables
from define.core.unit import require_probability
from define.errors import InputError


@dataclass
class AWDLSTMConfig(InputOutputConfig):
    """Sizes and dropouts; defaults are the published Penn Treebank recipe (main.py, README.md)."""

    hidden_dim: int = option(1150, "width of all LSTM layers except the last")
    layers: int = option(3, "LSTM layers; the last is as wide as e_i because the softmax is tied")
    output_dropout: float = option(0.4, "locked dropout on the last layer's output")
    hidden_dropout: float = option(0.25, "locked dropout between layers")
    input_dropout: float = option(0.4, "locked dropout on the embeddings")
    word_dropout: float = option(0.1, "dropout of whole words, on e_o")
    weight_dropout: float = option(0.5, "dropout of hidden-to-hidden weights")
    init_range: float = option(0.1, "initialise a standard table from U(-init_range, init_range)")

    def layer_dims(self) -> list[tuple[int, int]]:
        """(input, output) width of each LSTM layer."""
        outputs = [self.hidden_dim] * (self.layers - 1) + [self.mapped_dim]
        return list(zip([self.input_dim, *outputs[:-1]], outputs, strict=True))


@dataclass
class LSTMConfig(AWDLSTMConfig):
    """Table 1a's LSTM; sizes from its parameter counts, dropouts from Merity et al. 2018a."""

    hidden_dim: int = option(1024, "width of all LSTM layers except the last")
    layers: int = option(4, "LSTM layers; the last is as wide as e_i because the softmax is tied")
    output_dropout: float = option(0.1, "locked dropout on the last layer's output")
    hidden_dropout: float = option(0.1, "locked dropout between layers")
    input_dropout: float = option(0.1, "locked dropout on the embeddings")
    word_dropout: float = option(0.0, "dropout of whole words, on e_o")
    weight_dropout: float = option(0.0, "dropout of hidden-to-hidden weights")


class AWDLSTM(nn.Module):
    """Embedding, LSTM layers with weight drop, output layer (by default tied, with a bias).

    The state is one (h, c) per layer, passed in and returned.

    Shapes:
        tokens (T, B) -> features (T, B, dimension of e_i).
    Raises:
        InputError: invalid sizes or dropouts.
    """

    def __init__(self, config: AWDLSTMConfig, num_types: int):
        super().__init__()
        for name in ("hidden_dim", "layers"):
            if getattr(config, name) < 1:
                raise InputError(f"model.{name} = {getattr(config, name)} must be at least 1")
        for name in ("output", "hidden", "input", "word", "weight"):
            require_probability(f"model.{name}_dropout", getattr(config, f"{name}_dropout"))
        self.config = config
        self.embedding = build_input(config, num_types)
        self.lstm = nn.ModuleList(
            WeightDropLSTM(n_in, n_out, config.weight_dropout)
            for n_in, n_out in config.layer_dims()
        )
        self.output = build_output(config, self.embedding, config.mapped_dim)
        for layer, kind in ((self.embedding.map, config.map), (self.output, config.output)):
            if kind == "standard":
                for table in tables(layer):
                    nn.init.uniform_(table, -config.init_range, config.init_range)

    def zero_state(self, batch_size: int) -> tuple[LSTMState, ...]:
        """The state before the first token of every stream."""
        layers = cast(Iterable[WeightDropLSTM], self.lstm)
        return tuple(layer.zero_state(batch_size) for layer in layers)

    def forward(
        self, tokens_TB: Tensor, state: tuple[LSTMState, ...] | None = None
    ) -> LanguageModelOutput:
        config, training = self.config, self.training
        if state is None:
            state = self.zero_state(tokens_TB.shape[1])
        x = self.embedding(tokens_TB)
        if training and config.word_dropout:
            x = x * word_dropout_mask(tokens_TB, self.embedding.num_embeddings, config.word_dropout)
        x = locked_dropout(x, config.input_dropout, training)
        new_state: list[LSTMState] = []
        for layer, layer_state in zip(self.lstm, state, strict=True):
            if new_state:
                x = locked_dropout(x, config.hidden_dropout, training)
            x, layer_state = layer(x, layer_state)
            new_state.append(layer_state)
        features = locked_dropout(x, config.output_dropout, training)
        return LanguageModelOutput(features, x, tuple(new_state))
