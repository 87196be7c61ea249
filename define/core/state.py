"""The state that a language model carries from one window of a stream to the next.

A state is a tensor or a tuple of states; dimension 1 of every tensor is the batch.
"""

from collections.abc import Callable
from typing import Union

from torch import Tensor

State = Union[Tensor, tuple["State", ...]]  # noqa: UP007 - `|` takes no string on 3.10


def map_state(fn: Callable[[Tensor], Tensor], state: State) -> State:
    """Applies `fn` to every tensor and keeps the structure."""
    if isinstance(state, Tensor):
        return fn(state)
    return tuple(map_state(fn, part) for part in state)


def detach(state: State) -> State:
    """Detaches every tensor, which truncates back-propagation here."""
    return map_state(Tensor.detach, state)
