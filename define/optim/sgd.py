"""torch's SGD with a rate per part and a typed config for Hydra."""

from dataclasses import dataclass

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.optim import FairseqOptimizer, register_optimizer

from define.optim.by_part import ByPart, groups_by_part
from define.optim.options import SGDOptions


@dataclass
class DefineSGDConfig(SGDOptions, FairseqDataclass):
    pass


@register_optimizer("define_sgd", dataclass=DefineSGDConfig)
class DefineSGD(ByPart, FairseqOptimizer):
    """torch's fused SGD; its steps equal those of fairseq's `sgd` up to the last bits."""

    def __init__(self, cfg: DefineSGDConfig, params):
        super().__init__(cfg)
        groups = groups_by_part(cfg, params)
        self._optimizer = torch.optim.SGD(groups, fused=True, **self.optimizer_config)

    @property
    def optimizer_config(self) -> dict:
        return {
            "lr": self.cfg.lr[0],
            "momentum": self.cfg.momentum,
            "weight_decay": self.cfg.weight_decay,
        }

    @property
    def supports_flat_params(self) -> bool:
        return True
