"""Every config composes and takes a step; the paper's scale is the published recipe."""

import json
import math
import shutil
import time
from pathlib import Path

import pytest
import torch
from fairseq.trainer import Trainer
from omegaconf import DictConfig, OmegaConf

from define.data import corpora
from define.data.prepare import prepare
from define.launch.compose import SCALES, compose, configs_folder, fairseq_config
from define.launch.counting import parameters

EXPERIMENTS = sorted(
    str(path.relative_to(configs_folder() / "experiment").with_suffix(""))
    for path in (configs_folder() / "experiment").glob("*/*.yaml")
)
PAPER_ROWS = ("table_1c/awd_lstm", "table_1c/awd_lstm_define")
TOTALS = {"table_1c/awd_lstm": 24_221_600, "table_1c/awd_lstm_define": 20_920_224}


@pytest.fixture(scope="module")
def wide_data(data_root, tmp_path_factory) -> Path:
    """A data folder whose ptb has Penn Treebank's 10,000 types, each at least once."""
    root = tmp_path_factory.mktemp("wide")
    words = [f"w{i}" for i in range(9_999)]  # and <eos>
    lines = {"train": [" ".join(words)], "valid": ["w1 w2 w3"] * 9, "test": ["w4 w5"] * 9}
    with pytest.MonkeyPatch.context() as patch:
        spec = corpora.CorpusSpec("ptb", "Synthetic", "None.", generate=lambda: lines)
        patch.setitem(corpora.REGISTRY, "ptb", spec)
        assert prepare("ptb", root / "ptb").types == 10_000
    shutil.copytree(data_root / "python_docs", root / "python_docs")
    return root


def build(config: DictConfig) -> Trainer:
    """fairseq's trainer of a config, on this machine's processor."""
    from fairseq import tasks, utils

    cfg = OmegaConf.create(fairseq_config(config))
    utils.set_torch_seed(cfg.common.seed)
    task = tasks.setup_task(cfg.task)
    return Trainer(cfg, task, task.build_model(cfg.model), task.build_criterion(cfg.criterion))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_config_composes_and_takes_a_step(experiment, scale, wide_data, monkeypatch):
    monkeypatch.setenv("DEFINE_DATA", str(wide_data))
    begin = time.monotonic()
    # The models have their full size; only the text of a step is cut short.
    short = ["dataset.batch_size=1", "task.bptt=5", "task.random_bptt=false", "common.cpu=true"]
    config = compose([f"experiment={experiment}", f"scale={scale}", *short])
    assert f"{config.run.table}/{config.run.row}" == experiment.removeprefix("table_")
    assert config.run.scale == scale
    trainer = build(config)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    counted = parameters(config.model, trainer.task.num_types)
    assert sum(p.numel() for p in before) == counted["total"]
    batches = trainer.get_train_iterator(1).next_epoch_itr()
    for _ in range(2):  # Adam's warm-up starts from a learning rate of zero
        log = trainer.train_step([next(batches)])
        assert math.isfinite(float(log["loss"]))
    names = [name for name, _ in trainer.model.named_parameters()]
    moved = zip(names, before, trainer.model.parameters(), strict=True)
    assert [name for name, old, new in moved if torch.equal(old, new)] == []
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("experiment", PAPER_ROWS)
def test_the_paper_scale_is_the_published_recipe(experiment):
    config = compose([f"experiment={experiment}", "scale=paper"])
    model, task = config.model, config.task
    assert config.seed == config.common.seed == 141
    assert config.run.corpus == "ptb"
    assert (model.hidden_dim, model.layers) == (1150, 3)
    assert config.optimizer._name == "define_nt_asgd"
    assert config.optimizer.nonmono == 5
    assert config.optimizer.weight_decay == 1.2e-6
    assert list(config.optimization.lr) == list(config.optimizer.lr) == [30.0]
    assert config.lr_scheduler._name == "fixed"
    assert (config.lr_scheduler.warmup_updates, config.lr_scheduler.force_anneal) == (0, None)
    assert config.optimization.clip_norm == 0.25
    assert list(config.optimization.update_freq) == [1]
    assert config.optimization.max_epoch == 500
    assert config.optimization.max_update == 0
    assert (config.dataset.batch_size, config.dataset.batch_size_valid) == (20, 10)
    assert (task.bptt, task.random_bptt, task.min_bptt) == (70, True, 5)
    assert (task.short_bptt_probability, task.bptt_std) == (0.05, 5.0)
    assert task.scale_lr_by_length
    assert (task.train_tokens, task.autocast) == (0, "none")
    assert (config.common.fp16, config.common.bf16, config.common.amp) == (False, False, False)
    assert model.output_dropout == 0.4
    assert model.hidden_dropout == 0.25
    assert model.input_dropout == 0.4
    assert model.word_dropout == 0.1
    assert model.weight_dropout == 0.5
    assert model.init_range == 0.1
    assert (config.criterion.ar, config.criterion.tar) == (2.0, 1.0)
    if experiment == "table_1c/awd_lstm":
        assert (model.input, model.map_dim) == ("table", 400)
    else:
        assert (model.input, model.map_dim, model.reduce_dim) == ("define", 128, 400)
        assert (model.expand_dim, model.depth) == (1024, 7)
        assert (model.transformation, model.connection) == ("hgt", "mixer")
        assert not model.without_reduce
    assert parameters(model, 10_000)["total"] == TOTALS[experiment]


@pytest.mark.parametrize("scale", SCALES)
def test_the_rows_of_a_scale_differ_in_the_input_and_the_learning_rate_alone(scale):
    free = {"run": None, "model": {"input", "map_dim", "expand_dim", "reduce_dim", "depth"}}
    free["model"] |= {"max_groups", "transformation", "connection", "unit_norm", "unit_activation"}
    shared = []
    for experiment in EXPERIMENTS:
        config = compose([f"experiment={experiment}", f"scale={scale}"])
        plain = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
        for section, key in (("optimization", "lr"), ("optimizer", "lr"), ("lr_scheduler", "lr")):
            del plain[section][key]
        del plain["run"], plain["checkpoint"]["save_dir"]
        plain["model"] = {k: v for k, v in plain["model"].items() if k not in free["model"]}
        shared.append(json.dumps(plain, sort_keys=True))
    assert len(set(shared)) == 1
