"""AWD-LSTM (Merity et al. 2018b) over any input layer; source: salesforce/awd-lstm-lm, model.py."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from define.core.dropout import locked_dropout, word_dropout_mask
from define.core.inputs import InputConfig, build_input, option
from define.core.lstm import LSTMState, WeightDropLSTM
from define.errors import InputError

State = tuple[LSTMState, ...]
"""One (h, c) per layer."""


@dataclass
class AWDLSTMConfig(InputConfig):
    """Sizes and dropouts; defaults are the published Penn Treebank recipe (main.py, README.md)."""

    hidden_dim: int = option(1150, "width of all LSTM layers but the last")
    layers: int = option(3, "LSTM layers; the last gives the table's n for the tied softmax")
    output_dropout: float = option(0.4, "locked dropout on the last layer's output")
    hidden_dropout: float = option(0.25, "locked dropout between layers")
    input_dropout: float = option(0.4, "locked dropout on the embeddings")
    word_dropout: float = option(0.1, "dropout of whole words, on e_o")
    weight_dropout: float = option(0.5, "dropout of hidden-to-hidden weights")
    init_range: float = option(0.1, "the table is drawn from U(-init_range, init_range)")

    def layer_dims(self) -> list[tuple[int, int]]:
        """(input, output) width of each LSTM layer."""
        outputs = [self.hidden_dim] * (self.layers - 1) + [self.map_dim]
        return list(zip([self.input_dim, *outputs[:-1]], outputs, strict=True))


class AWDLSTMOutput(NamedTuple):
    """What a forward pass gives.

    features (T, B, n): the last layer's output, dropped: what the softmax reads and AR penalises.
    raw (T, B, n): the same before dropout: what TAR penalises.
    state: to be given to the next forward pass.
    """

    features: Tensor
    raw: Tensor
    state: State


class AWDLSTM(nn.Module):
    """Embedding, LSTM layers with weight drop, softmax tied to the V x n table plus a bias.

    The state goes in and comes out as a value; nothing is kept on the module.

    Shapes:
        tokens (T, B) -> features (T, B, n); logits (..., V).
    Raises:
        InputError: impossible sizes or dropouts.
    """

    def __init__(self, config: AWDLSTMConfig, num_types: int):
        super().__init__()
        for name in ("hidden_dim", "layers"):
            if getattr(config, name) < 1:
                raise InputError(f"{name} = {getattr(config, name)} must be at least 1")
        for name in ("output", "hidden", "input", "word", "weight"):
            p = getattr(config, f"{name}_dropout")
            if not 0 <= p < 1:
                raise InputError(f"{name}_dropout = {p} must lie in [0, 1)")
        self.config = config
        self.embedding = build_input(config, num_types)
        self.lstm = nn.ModuleList(
            WeightDropLSTM(n_in, n_out, config.weight_dropout)
            for n_in, n_out in config.layer_dims()
        )
        self.output = nn.Linear(config.map_dim, num_types)
        self.output.weight = self.embedding.map.weight
        nn.init.uniform_(self.output.weight, -config.init_range, config.init_range)
        nn.init.zeros_(self.output.bias)

    def zero_state(self, batch_size: int) -> State:
        """The state before the first token of every stream."""
        return tuple(layer.zero_state(batch_size) for layer in self.lstm)

    def forward(self, tokens_TB: Tensor, state: State | None = None) -> AWDLSTMOutput:
        config, training = self.config, self.training
        if state is None:
            state = self.zero_state(tokens_TB.shape[1])
        x = self.embedding(tokens_TB)
        if training and config.word_dropout:
            x = x * word_dropout_mask(tokens_TB, self.embedding.num_embeddings, config.word_dropout)
        x = locked_dropout(x, config.input_dropout, training)
        new_state = []
        for layer, layer_state in zip(self.lstm, state, strict=True):
            if new_state:
                x = locked_dropout(x, config.hidden_dropout, training)
            x, layer_state = layer(x, layer_state)
            new_state.append(layer_state)
        features = locked_dropout(x, config.output_dropout, training)
        return AWDLSTMOutput(features, x, tuple(new_state))

    def logits(self, features: Tensor) -> Tensor:
        """(..., n) -> (..., V), in float32 at least, under autocast too."""
        dtype = torch.promote_types(features.dtype, torch.float32)
        weight, bias = self.output.weight.to(dtype), self.output.bias.to(dtype)
        with torch.autocast(features.device.type, enabled=False):
            return F.linear(features.to(dtype), weight, bias)


def detach(state: State) -> State:
    """The same values without their history: truncates back-propagation here."""
    return tuple((h.detach(), c.detach()) for h, c in state)
