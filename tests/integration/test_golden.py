"""Losses of 20 training steps, recorded once: a change of the numbers must be meant."""

import math

import pytest
from fairseq import tasks, utils
from fairseq.trainer import Trainer
from omegaconf import OmegaConf

from define.launch.compose import compose, fairseq_config

OVERRIDES = [
    "scale=smoke",
    "seed=1",
    "task.train_tokens=0",
    "task.bptt=12",
    "dataset.batch_size=4",
    # Large enough for every part of the recipe to show in the losses.
    "model.init_range=0.5",
    "criterion.tar=10.0",
    "optimizer.weight_decay=0.001",
    "optimization.lr=[20.0]",
]
GOLDEN = {
    # fmt: off
    "table_1c/awd_lstm": [
        4.143351,
        4.025516,
        4.099427,
        4.093963,
        4.453112,
        4.211993,
        4.039427,
        4.225003,
        4.097856,
        3.933228,
        4.154127,
        4.200665,
        4.134803,
        4.310261,
        4.394924,
        4.776383,
        4.119961,
        4.457357,
        4.392836,
        4.370012,
    ],
    "table_1c/awd_lstm_define": [
        4.107762,
        4.059061,
        4.045164,
        4.216679,
        4.316803,
        4.211684,
        4.085752,
        4.240154,
        4.077162,
        3.935056,
        4.142182,
        4.206785,
        4.160654,
        4.310813,
        4.344950,
        4.777455,
        4.117176,
        4.448158,
        4.385227,
        4.358681,
    ],
    # fmt: on
}


def losses(experiment: str, steps: int) -> list[float]:
    """Loss of each step, regularisation left out, nats per token."""
    cfg = OmegaConf.create(fairseq_config(compose([f"experiment={experiment}", *OVERRIDES])))
    utils.set_torch_seed(cfg.common.seed)
    task = tasks.setup_task(cfg.task)
    trainer = Trainer(cfg, task, task.build_model(cfg.model), task.build_criterion(cfg.criterion))
    trainer.begin_epoch(1)
    batches = trainer.get_train_iterator(1).next_epoch_itr()
    logs = [trainer.train_step([next(batches)]) for _ in range(steps)]
    return [float(log["nll_loss"]) * math.log(2) for log in logs]


@pytest.mark.parametrize("experiment", GOLDEN)
def test_losses_of_twenty_steps(experiment, workplace):
    assert losses(experiment, 20) == pytest.approx(GOLDEN[experiment], rel=1e-4)
