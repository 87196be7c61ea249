"""fairseq's Adam with a rate per part."""

from dataclasses import dataclass

from fairseq.optim import register_optimizer
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig

from define.optim.by_part import ByPart, FactorFields, groups_by_part


@dataclass
class DefineAdamConfig(FactorFields, FairseqAdamConfig):
    pass


@register_optimizer("define_adam", dataclass=DefineAdamConfig)
class DefineAdam(ByPart, FairseqAdam):
    """Weight decay is decoupled, as fairseq's: a part's is the product of both its values."""

    def __init__(self, cfg: DefineAdamConfig, params):
        super().__init__(cfg, groups_by_part(cfg, params))
