"""fairseq's training loop with a cheaper start of each update."""

import fairseq_cli.train
import torch
from fairseq import trainer
from omegaconf import DictConfig


class Trainer(trainer.Trainer):
    """Trains as fairseq's, to the bit, and tells the observer how the optimizer steps."""

    def _build_optimizer(self) -> None:
        super()._build_optimizer()
        defaults = self.optimizer.optimizer.defaults
        paths = (name for name in ("fused", "foreach") if defaults.get(name))
        self.task.observer.optimized_by(next(paths, "default"))

    def _set_seed(self) -> None:
        # torch.manual_seed notes a stack trace for every kind of device that is not there.
        seed = self.cfg.common.seed + self.get_num_updates()
        torch.default_generator.manual_seed(seed)
        if self.cuda:
            torch.cuda.manual_seed(seed)


def main(config: DictConfig) -> None:
    """fairseq's `train` of a config, by this trainer."""
    theirs, fairseq_cli.train.Trainer = fairseq_cli.train.Trainer, Trainer
    try:
        fairseq_cli.train.main(config)
    finally:
        fairseq_cli.train.Trainer = theirs
