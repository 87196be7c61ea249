"""One thread, one seed, and the small sizes that several files use."""

from collections.abc import Callable, Iterator

import pytest
import torch
from small_sizes import SMALL, SMALL_TXL
from torch import nn

from define.core.awd_lstm import AWDLSTM, AWDLSTMConfig
from define.core.embedding import DefineEmbedding
from define.core.inputs import InputConfig, build_input
from define.core.transformer_xl import TransformerXL, TransformerXLConfig


@pytest.fixture(autouse=True)
def one_thread_and_seed() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def randomise() -> Callable[[nn.Module], None]:
    """Draws every parameter anew, so that no default (a zero bias, a norm's 1) hides an error."""

    def draw(module: nn.Module) -> None:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.uniform_(-0.8, 0.8)

    return draw


@pytest.fixture
def make_embedding() -> Callable[..., DefineEmbedding]:
    """num_types and fields of InputConfig -> a small embedding (n 12, k 40, m 7, N 3, g_max 4)."""

    def build(num_types: int = 23, **fields) -> DefineEmbedding:
        return build_input(InputConfig(**SMALL | fields), num_types)

    return build


@pytest.fixture
def all_parameters() -> Callable[[nn.Module], dict[str, nn.Parameter]]:
    """Parameters by every name that they have, tied ones under each."""
    return lambda module: dict(module.named_parameters(remove_duplicate=False))


@pytest.fixture
def make_model() -> Callable[..., AWDLSTM]:
    """num_types and fields of AWDLSTMConfig -> a small AWD-LSTM with three layers."""

    def build(num_types: int = 23, **fields) -> AWDLSTM:
        return AWDLSTM(AWDLSTMConfig(**SMALL | {"hidden_dim": 9} | fields), num_types)

    return build


@pytest.fixture
def make_txl(randomise) -> Callable[..., TransformerXL]:
    """Fields of TransformerXLConfig -> a small model in float64, no parameter at a default."""

    def build(**fields) -> TransformerXL:
        model = TransformerXL(TransformerXLConfig(**SMALL_TXL | fields), 23).double()
        randomise(model)
        return model

    return build
