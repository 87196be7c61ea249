"""One LSTM layer with dropout on its hidden-to-hidden weights (weight drop)."""

import math

import torch
from torch import Tensor, nn

from define.core.dropout import dropout

LSTMState = tuple[Tensor, Tensor]
"""(h, c), each (1, B, hidden)."""


class WeightDropLSTM(nn.Module):
    """An LSTM layer with dropout on its hidden-to-hidden matrix, drawn once per forward pass.

    The raw matrix is the only parameter. The dropped copy exists only during the pass, so switching
    between training and evaluation restores nothing.

    Shapes:
        x (T, B, input_dim), state (h, c) each (1, B, hidden_dim) -> (T, B, hidden_dim), state.
    """

    def __init__(self, input_dim: int, hidden_dim: int, weight_dropout: float = 0.0):
        super().__init__()
        self.input_dim, self.hidden_dim = input_dim, hidden_dim
        self.weight_dropout = weight_dropout
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_dim, input_dim))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_dim, hidden_dim))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden_dim))
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden_dim))
        bound = 1 / math.sqrt(hidden_dim)  # torch.nn.LSTM's
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def zero_state(self, batch_size: int) -> LSTMState:
        """The state before the first token."""
        zeros = self.weight_hh.new_zeros(1, batch_size, self.hidden_dim)
        return zeros, zeros

    def forward(self, x_TBI: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        weight_hh = dropout(self.weight_hh, self.weight_dropout, self.training)
        weights = [self.weight_ih, weight_hh, self.bias_ih, self.bias_hh]
        # On a GPU, autocast would run this in float16 even when set to another type.
        with torch.autocast("cuda", enabled=False):
            y_TBH, h, c = torch.lstm(
                x_TBI.to(weight_hh.dtype) if x_TBI.is_cuda else x_TBI,
                state,
                weights,
                has_biases=True,
                num_layers=1,
                dropout=0.0,
                train=self.training,
                bidirectional=False,
                batch_first=False,
            )
        return y_TBH, (h, c)
