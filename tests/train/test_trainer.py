"""The trainer against fairseq's: random numbers of an update, and what the record says of it."""

import json

import pytest
import torch
from fairseq import trainer as theirs
from omegaconf import OmegaConf

from define.train.trainer import Trainer


@pytest.mark.parametrize("update", [0, 1, 7919])
def test_an_update_draws_the_random_numbers_of_fairseqs(update):
    drawn = []
    for kind in (Trainer, theirs.Trainer):
        trainer = kind.__new__(kind)
        trainer.cfg, trainer.cuda = OmegaConf.create({"common": {"seed": 5}}), False
        trainer._num_updates = update
        trainer._set_seed()
        drawn.append(torch.rand(9))
    assert torch.equal(*drawn)


def test_the_record_names_the_implementation_of_the_optimizer(workplace):
    from define.cli.main import main

    run = ["train", "--quiet", "experiment=table_1c/awd_lstm", "scale=smoke", "threads=1"]
    small = ["task.train_tokens=200", "optimization.max_update=2", "run.dir=run"]
    assert main([*run, *small]) == 0
    record = json.loads((workplace / "run" / "record.json").read_text(encoding="utf-8"))
    assert record["provenance"]["optimizer"] == "fused"
