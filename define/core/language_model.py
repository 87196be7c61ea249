"""The output of a language model for a window of tokens.

Call a language model as `model(tokens_TB, state)`, with state None at the start of the streams. It
has an `embedding` (`define.core.embedding`), an `output` (`define.core.outputs`) and
`zero_state(batch_size)`, and stores nothing between calls.
"""

from typing import NamedTuple

from torch import Tensor

from define.core.state import State


class LanguageModelOutput(NamedTuple):
    """The result of a forward pass.

    features (T, B, d): the output layer's input, after dropout (AR penalises these).
    raw (T, B, d): the same before the last dropout (TAR penalises their change over time).
    state: the input of the next forward pass.
    """

    features: Tensor
    raw: Tensor
    state: State
