"""Losses of 20 training steps, recorded once: a change of the numbers must be meant."""

import math

import pytest
from fairseq import tasks, utils
from fairseq.trainer import Trainer
from omegaconf import OmegaConf

from define import plugin
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
        4.110283,
        4.130915,
        4.064313,
        4.068304,
        4.394245,
        4.232983,
        4.072427,
        4.234134,
        4.100199,
        3.918329,
        4.152235,
        4.203611,
        4.137912,
        4.313583,
        4.390596,
        4.814687,
        4.126413,
        4.440312,
        4.366540,
        4.347464,
    ],
    "table_1c/awd_lstm_define": [
        4.167394,
        4.119423,
        4.084359,
        4.040641,
        4.469882,
        4.199137,
        4.065051,
        4.236956,
        4.078414,
        3.948714,
        4.148368,
        4.210282,
        4.153635,
        4.310926,
        4.353002,
        4.783964,
        4.122825,
        4.455506,
        4.396586,
        4.367461,
    ],
    # fmt: on
}


def losses(experiment: str, steps: int) -> list[float]:
    """Loss of each step, regularisation left out, nats per token."""
    plugin.register()
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
