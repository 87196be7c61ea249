"""fairseq's optimizers, built as a run builds them."""

from collections.abc import Callable

import pytest
from fairseq import optim
from fairseq.optim import OPTIMIZER_DATACLASS_REGISTRY
from omegaconf import OmegaConf

from define import plugin


@pytest.fixture
def build_optimizer() -> Callable[..., optim.FairseqOptimizer]:
    """(name, parameters, learning rate, fields of its config...) -> the optimizer."""
    plugin.register()

    def made(name: str, params, lr: float, **fields) -> optim.FairseqOptimizer:
        config = OmegaConf.structured(OPTIMIZER_DATACLASS_REGISTRY[name]())
        config.merge_with({"_name": name, "lr": [lr], **fields})
        if name == "define_adam":
            config.tpu = False  # of a section that is not here
        return optim.build_optimizer(config, params)

    return made
