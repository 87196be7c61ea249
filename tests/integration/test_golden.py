"""Losses of 20 training steps, recorded once: a change of the numbers must be meant."""

import math

import pytest
from fairseq import tasks, utils
from fairseq.trainer import Trainer
from omegaconf import OmegaConf

from define import plugin
from define.train.compose import compose, fairseq_config

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
        4.133424,
        4.101369,
        4.034407,
        4.083711,
        4.472721,
        4.184710,
        4.043727,
        4.206791,
        4.057072,
        3.886087,
        4.163692,
        4.201366,
        4.112851,
        4.325441,
        4.394231,
        4.809641,
        4.120897,
        4.442761,
        4.375170,
        4.359546,
    ],
    "table_1c/awd_lstm_define": [
        4.130035,
        4.015861,
        4.061022,
        4.159108,
        4.459852,
        4.213447,
        4.056263,
        4.212650,
        4.088504,
        3.899919,
        4.152145,
        4.210188,
        4.149144,
        4.315323,
        4.384528,
        4.793792,
        4.120971,
        4.455415,
        4.388279,
        4.364725,
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
