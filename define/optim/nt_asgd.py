"""NT-ASGD registered with fairseq."""

from dataclasses import dataclass

from fairseq.dataclass import FairseqDataclass
from fairseq.optim import FairseqOptimizer, register_optimizer

from define.core.nt_asgd import NTASGD, NonMonotoneTrigger
from define.optim.by_part import ByPart, groups_by_part
from define.optim.options import NTASGDOptions, require_nonmono


@dataclass
class NTASGDConfig(NTASGDOptions, FairseqDataclass):
    pass


@register_optimizer("define_nt_asgd", dataclass=NTASGDConfig)
class FairseqNTASGD(ByPart, FairseqOptimizer):
    """The optimizer and its trigger; both are saved, so a resumed run switches at the same step."""

    def __init__(self, cfg: NTASGDConfig, params):
        super().__init__(cfg)
        require_nonmono(cfg.nonmono)
        self._optimizer = NTASGD(groups_by_part(cfg, params), **self.optimizer_config)
        self.trigger = NonMonotoneTrigger(cfg.nonmono)

    @property
    def optimizer_config(self) -> dict:
        return {"lr": self.cfg.lr[0], "weight_decay": self.cfg.weight_decay}

    def observe_validation(self, loss: float) -> bool:
        """Passes a validation loss to the trigger; returns whether averaging starts now."""
        fired = self.trigger.observe(loss) and not self._optimizer.averaging
        if fired:
            self._optimizer.start_averaging()
        return fired

    def state_dict(self) -> dict:
        return self._optimizer.state_dict() | {"history": list(self.trigger.history)}

    def load_state_dict(self, state_dict: dict, optimizer_overrides: dict | None = None) -> None:
        own = dict(state_dict)
        self.trigger.history = own.pop("history")
        super().load_state_dict(own, optimizer_overrides)
