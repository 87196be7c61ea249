"""What every language model here gives for a window of tokens.

A language model is called as `model(tokens_TB, state)`, state None at the start of the streams; it
has an `embedding` (`define.core.embedding`), an `output` (`define.core.outputs`) and
`zero_state(batch_size)`, and keeps nothing between calls.
"""

from typing import NamedTuple

from torch import Tensor

from define.core.state import State


class LanguageModelOutput(NamedTuple):
    """What a forward pass gives.

    features (T, B, d): what the output layer reads, dropout applied (AR penalises these).
    raw (T, B, d): the same before the last dropout (TAR penalises their change over time).
    state: to be given to the next forward pass.
    """

    features: Tensor
    raw: Tensor
    state: State
