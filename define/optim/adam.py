"""fairseq's Adam with a fused step and a rate per part."""

import math
from dataclasses import dataclass

import torch
from fairseq.optim import FairseqOptimizer, register_optimizer
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig

from define.optim.by_part import ByPart, FactorFields, groups_by_part
from define.optim.options import require_betas


class FusedAdam(torch.optim.AdamW):
    """The formula of fairseq's Adam in torch's fused step; sums differ in the last bits.

    fairseq, like Kingma and Ba's efficient form, adds eps to the root of the uncorrected second
    moment, torch to that of the corrected one. So eps is divided by the correction at each step.
    """

    def __init__(self, params, **config):
        super().__init__(params, fused=True, **config)
        self._updates = 0

    def step(self, closure=None):
        self._updates += 1
        for group in self.param_groups:
            correction = 1 - group["betas"][1] ** self._updates
            group["eps"] = self.defaults["eps"] / math.sqrt(correction)
        return super().step(closure)

    def load_state_dict(self, state_dict: dict) -> None:
        super().load_state_dict(state_dict)
        self._updates = max((int(own["step"]) for own in self.state.values()), default=0)


@dataclass
class DefineAdamConfig(FactorFields, FairseqAdamConfig):
    pass


@register_optimizer("define_adam", dataclass=DefineAdamConfig)
class DefineAdam(ByPart, FairseqAdam):
    """Weight decay is decoupled, as in fairseq: a step subtracts rate times decay times weight.

    `use_old_adam` and `fp16_adam_stats` select fairseq's own implementations, which loop over the
    parameters or need Apex.
    """

    def __init__(self, cfg: DefineAdamConfig, params):
        require_betas(cfg.adam_betas)
        groups = groups_by_part(cfg, params)
        if cfg.use_old_adam or cfg.fp16_adam_stats:
            super().__init__(cfg, groups)
        else:
            FairseqOptimizer.__init__(self, cfg)
            self._optimizer = FusedAdam(groups, **self.optimizer_config)

    @property
    def supports_flat_params(self) -> bool:
        return True
