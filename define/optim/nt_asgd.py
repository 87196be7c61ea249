"""NT-ASGD registered with fairseq."""

from dataclasses import dataclass, field

from fairseq.optim import register_optimizer
from omegaconf import II

from define.core.nt_asgd import NTASGD, NonMonotoneTrigger
from define.errors import InputError
from define.optim.by_part import ByPart, FactorFields, groups_by_part


@dataclass
class NTASGDConfig(FactorFields):
    weight_decay: float = field(default=1.2e-6, metadata={"help": "weight decay"})
    nonmono: int = field(
        default=5, metadata={"help": "validations that the trigger leaves out at the end"}
    )
    lr: list[float] = II("optimization.lr")


@register_optimizer("define_nt_asgd", dataclass=NTASGDConfig)
class FairseqNTASGD(ByPart):
    """The optimizer and its trigger; both are saved, so a resumed run switches at the same time."""

    def __init__(self, cfg: NTASGDConfig, params):
        super().__init__(cfg)
        if cfg.nonmono < 0:
            raise InputError(f"optimizer.nonmono = {cfg.nonmono} must not be negative")
        self._optimizer = NTASGD(groups_by_part(cfg, params), **self.optimizer_config)
        self.trigger = NonMonotoneTrigger(cfg.nonmono)

    @property
    def optimizer_config(self) -> dict:
        return {"lr": self.cfg.lr[0], "weight_decay": self.cfg.weight_decay}

    def observe_validation(self, loss: float) -> bool:
        """Tells the trigger a validation loss; returns whether averaging starts now."""
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
