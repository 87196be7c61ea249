"""The state that a language model carries from one window of a stream to the next.

A state is a tensor, or a tuple of states; every tensor has the batch at dimension 1.
"""

from collections.abc import Callable
from typing import Union

from torch import Tensor

State = Union[Tensor, tuple["State", ...]]  # noqa: UP007 - a string cannot stand in `|` on 3.10


def map_state(fn: Callable[[Tensor], Tensor], state: State) -> State:
    """The same structure with `fn` applied to every tensor."""
    if isinstance(state, Tensor):
        return fn(state)
    return tuple(map_state(fn, part) for part in state)


def detach(state: State) -> State:
    """The same values without their history: truncates back-propagation here."""
    return map_state(Tensor.detach, state)
