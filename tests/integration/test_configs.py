"""Every config composes and takes a step; the paper's scale is the published recipe."""

import json
import math
from pathlib import Path

import pytest
import torch
from fairseq.optim import build_optimizer
from fairseq.optim.lr_scheduler import FairseqLRScheduler, build_lr_scheduler
from fairseq.trainer import Trainer
from omegaconf import DictConfig, OmegaConf

from define import plugin
from define.data.parallel import pairs
from define.data.parallel.binarise import write_dataset, write_dictionary
from define.data.text import corpora
from define.data.text.prepare import prepare
from define.train.compose import SCALES, compose, configs_folder, fairseq_config
from define.train.counting import corpus_types, parameters

ROWS = sorted(
    str(path.relative_to(configs_folder() / "experiment").with_suffix(""))
    for path in (configs_folder() / "experiment").glob("*/*.yaml")
)
EXPERIMENTS = [
    row for row in ROWS if "run" in OmegaConf.load(configs_folder() / f"experiment/{row}.yaml")
]
"""Without the rows that show another run; tests/train/test_counting.py checks what those are."""
TABLES = sorted({experiment.partition("/")[0] for experiment in EXPERIMENTS})
PAIR_CORPORA = ("grammar", "multi30k", "wmt14-en-de")
PAPER_ROWS = ("table_1c/awd_lstm", "table_1c/awd_lstm_define")
CORPORA = {"ptb": 10_000, "python_docs": 10_000, "wikitext-2": 33_278, "wikitext-103": 267_735}
TOTALS = {"table_1c/awd_lstm": 24_221_600, "table_1c/awd_lstm_define": 21_354_526}


@pytest.fixture(scope="module")
def wide_data(tmp_path_factory) -> Path:
    """A data folder whose corpora have as many types as the real ones, each once, in id order."""
    root = tmp_path_factory.mktemp("wide")
    with pytest.MonkeyPatch.context() as patch:
        for name, types in CORPORA.items():
            words = [f"w{i}" for i in range(types - 1)]  # and <eos>
            lines = {"train": [" ".join(words)], "valid": ["w1 w2 w3"] * 9, "test": ["w4 w5"] * 9}
            spec = corpora.CorpusSpec(name, "Synthetic", "None.", generate=lambda text=lines: text)
            patch.setitem(corpora.REGISTRY, name, spec)
            assert prepare(name, root / name).types == types
    for name in PAIR_CORPORA:
        write_pairs(name, root / name)
    return root


def write_pairs(name: str, folder: Path) -> None:
    """Nine sentence pairs with dictionaries of the real sizes, as fairseq reads them."""
    spec = pairs.get_pairs(name)
    folder.mkdir()
    for side, language in (("source", spec.source), ("target", spec.target)):
        dictionary = folder / f"dict.{language}.txt"
        words = {f"{side}{i}": 1 for i in range(spec.types[side] - 4)}  # and the special symbols
        assert write_dictionary(words, dictionary) == spec.types[side]
        sentences = [list(words)[i : i + 5] for i in range(9)]
        for split in ("train", "valid", "test"):
            stem = folder / f"{split}.{spec.source}-{spec.target}.{language}"
            assert write_dataset(sentences, dictionary, stem)["unknown"] == 0


def build(config: DictConfig) -> Trainer:
    """fairseq's trainer of a config, on this machine's processor."""
    from fairseq import tasks, utils

    plugin.register()
    cfg = OmegaConf.create(fairseq_config(config))
    utils.set_torch_seed(cfg.common.seed)
    task = tasks.setup_task(cfg.task)
    return Trainer(cfg, task, task.build_model(cfg.model), task.build_criterion(cfg.criterion))


def rate_schedule(config: DictConfig) -> FairseqLRScheduler:
    """fairseq's schedule of a config's learning rate."""
    plugin.register()
    cfg = OmegaConf.create(fairseq_config(config))
    optimizer = build_optimizer(cfg.optimizer, [torch.nn.Parameter(torch.zeros(1))])
    return build_lr_scheduler(cfg.lr_scheduler, optimizer)


SHORT = ["dataset.batch_size=9", "task.bptt=5", "task.random_bptt=false"]
"""The models have their full size; only the text of a step is cut short. Nine streams begin in all
clusters of types."""


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_config_composes_and_takes_a_step(experiment, scale, wide_data, monkeypatch):
    monkeypatch.setenv("DEFINE_DATA", str(wide_data))
    short = SHORT
    if experiment.startswith("table_3"):
        short = ["dataset.max_tokens=30", "run.tokens_per_update=30"]  # two batches
    config = compose([f"experiment={experiment}", f"scale={scale}", "common.cpu=true", *short])
    assert f"table_{config.run.table}/{config.run.row}" == experiment
    assert config.run.scale == scale
    assert list(config.optimization.lr) != [0.25]  # what fairseq takes where none is set
    takes_a_step(config)


@pytest.mark.parametrize("projections", ["one", "none"])
def test_table_2_takes_a_step_with_any_projections(projections, wide_data, monkeypatch):
    monkeypatch.setenv("DEFINE_DATA", str(wide_data))
    whole = "task.train_tokens=0"  # so that targets lie in the last cluster as well
    overrides = ["common.cpu=true", f"model.projections={projections}", whole, *SHORT]
    takes_a_step(compose(["experiment=table_2/txl_64_define", "scale=smoke", *overrides]))


def takes_a_step(config: DictConfig) -> None:
    """Trains two updates, which move every parameter; the parameters are as many as counted."""
    trainer = build(config)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    counted = parameters(config.model, corpus_types(config.run.corpus))
    assert sum(p.numel() for p in before) == counted["total"]
    batches = trainer.get_train_iterator(1).next_epoch_itr()
    for _ in range(2):  # Adam's warm-up starts from a learning rate of zero
        log = trainer.train_step([next(batches)])
        assert math.isfinite(float(log["loss"]))
    names = [name for name, _ in trainer.model.named_parameters()]
    moved = zip(names, before, trainer.model.parameters(), strict=True)
    assert [name for name, old, new in moved if torch.equal(old, new)] == []


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


def recipe(experiment: str, *overrides: str) -> DictConfig:
    """The published recipe, with what all language models of WikiText-103 share checked."""
    config = compose([f"experiment={experiment}", "scale=paper", *overrides])
    assert config.seed == config.common.seed == 1111
    assert config.run.corpus == "wikitext-103"
    assert config.optimizer.weight_decay == 0
    assert config.optimization.clip_norm == 0.25
    assert (config.dataset.batch_size, config.dataset.batch_size_valid) == (60, 10)
    assert list(config.model.cutoffs) == [20_000, 40_000, 200_000]
    assert (config.task.train_tokens, config.task.autocast) == (0, "none")
    assert (config.criterion.ar, config.criterion.tar) == (0, 0)
    assert config.model.tie_tables and config.model.tie_projections
    return config


def check_adam(config: DictConfig) -> None:
    """The Adam of both published recipes for WikiText-103."""
    assert config.optimizer._name == "define_adam"
    assert (config.optimizer.adam_betas, config.optimizer.adam_eps) == ("(0.9, 0.999)", 1e-8)


@pytest.mark.parametrize(
    ("row", "n", "depth", "io"),
    [
        ("lstm_r1", 256, 0, "standard"),
        ("lstm_r2", 256, 0, "adaptive"),
        ("lstm_r3", 256, 3, "adaptive"),
        ("lstm_r4", 384, 7, "adaptive"),
        ("lstm_r5", 512, 11, "adaptive"),
    ],
)
def test_table_1a_at_the_paper_scale_is_the_papers_table_7(row, n, depth, io):
    config = recipe(f"table_1a/{row}")
    model, task = config.model, config.task
    assert (config.optimizer._name, config.optimizer.momentum) == ("define_sgd", 0)
    assert config.optimization.max_epoch == 20
    schedule = rate_schedule(config)
    rates = [schedule.step_begin_epoch(epoch) for epoch in range(1, 21)]
    assert rates == [20.0] * 14 + [2.0] * 6
    assert (config.lr_scheduler._name, config.lr_scheduler.force_anneal) == ("fixed", None)
    assert (task.bptt, task.random_bptt, task.scale_lr_by_length) == (140, True, True)
    assert (model.hidden_dim, model.layers) == (1024, 4)
    dropouts = [model.output_dropout, model.hidden_dropout, model.input_dropout]
    assert [*dropouts, model.word_dropout, model.weight_dropout] == [0.1, 0.1, 0.1, 0.0, 0.0]
    assert (model.map, model.output, model.map_dim, model.cluster_factor) == (io, io, n, 4)
    assert model.input == ("define" if depth else "table")
    if depth:
        assert (model.depth, model.expand_dim, model.reduce_dim) == (depth, 1024, n)


def sections(config: DictConfig) -> dict:
    """What a recipe says of everything but the model."""
    names = ("task", "criterion", "dataset", "optimizer", "optimization", "lr_scheduler")
    return OmegaConf.to_container(OmegaConf.masked_copy(config, names))


@pytest.mark.parametrize("table", ["1b", "4a", "4b", "5", "6a", "6b"])
def test_the_ablations_have_the_recipe_of_table_1a(table):
    expected = sections(recipe("table_1a/lstm_r4"))
    rows = [row for row in ROWS if row.startswith(f"table_{table}/")]
    assert rows
    for row in rows:
        assert sections(compose([f"experiment={row}", "scale=paper"])) == expected


def test_merity_et_al_s_recipe_is_an_option_of_table_1a():
    config = recipe("table_1a/lstm_r3", "recipe/table_1a=merity")
    check_adam(config)
    assert config.optimization.max_epoch == 14
    # Divided by ten once epoch 12 is done; fairseq takes the last rate for all later epochs.
    assert list(config.lr_scheduler.lr) == [1e-3] * 12 + [1e-4]
    names = ("model", "task", "criterion", "dataset")
    merity, paper = (
        OmegaConf.masked_copy(one, names) for one in (config, recipe("table_1a/lstm_r3"))
    )
    assert merity == paper


@pytest.mark.parametrize(
    ("row", "n", "define"),
    [("txl_410", 410, False)]
    + [(f"txl_{n}{'_define' * d}", n, bool(d)) for n in (384, 256, 128, 64) for d in (0, 1)],
)
def test_table_2_at_the_paper_scale_is_dai_et_al_2019(row, n, define):
    config = recipe(f"table_2/{row}")
    check_adam(config)
    model, d = config.model, 410 if n == 410 else 384
    assert config.optimization.max_update == 200_000
    assert config.checkpoint.save_interval_updates == 4000
    assert list(config.lr_scheduler.lr) == [2.5e-4]
    scheduler = config.lr_scheduler
    assert (scheduler._name, scheduler.warmup_updates, scheduler.min_lr) == ("cosine", 0, 0)
    assert (config.task.bptt, config.task.random_bptt) == (150, False)
    assert not config.task.scale_lr_by_length
    assert (model.layers, model.heads, model.head_dim) == (16, 10, 41)
    assert (model.model_dim, model.inner_dim) == (d, 2100 if n == 410 else 1920)
    assert (model.dropout, model.attention_dropout, model.memory_length) == (0.1, 0.0, 150)
    assert model.clamp_length <= 0 and not model.same_length and model.scale_embedding
    assert (model.init_std, model.projection_init_std) == (0.02, 0.01)
    assert (model.map, model.output) == ("projective", "projective")
    assert (model.map_dim, model.projected_dim) == (n, d)
    assert model.input == ("define" if define else "table")
    if define:
        assert (model.depth, model.expand_dim, model.reduce_dim) == (3, 4096, 384)
    assert list(config.run.protocols) == ["long_memory", "training_lengths"]
    published = {"window": 64, "memory_length": 640, "clamp_length": 400, "same_length": True}
    assert config.run.protocols.long_memory == published
    assert config.run.protocols.training_lengths == {"window": 150}


@pytest.mark.parametrize("row", ["transformer", "transformer_define", "transformer_linear"])
def test_table_3_at_the_paper_scale_is_opennmt(row):
    config = compose([f"experiment=table_3/{row}", "scale=paper"])
    assert config.seed == config.common.seed == 3435
    assert config.run.corpus == "wmt14-en-de"
    assert (config.task.source_lang, config.task.target_lang) == ("en", "de")
    assert config.optimizer._name == "define_adam"
    assert (config.optimizer.adam_betas, config.optimizer.adam_eps) == ("(0.9, 0.998)", 1e-9)
    assert (config.optimizer.weight_decay, config.optimization.clip_norm) == (0, 0)
    assert config.optimization.max_update == 200_000
    assert (config.dataset.max_tokens, config.run.tokens_per_update) == (4096, 4096 * 4 * 2)
    assert list(config.optimization.update_freq) == [8]  # on one device
    assert config.criterion._name == "define_translation"
    assert config.criterion.label_smoothing == 0.1
    model = config.model
    assert (model.model_dim, model.inner_dim, model.heads) == (512, 2048, 8)
    assert (model.encoder_layers, model.decoder_layers) == (6, 6)
    assert (model.dropout, model.attention_dropout, model.activation_dropout) == (0.1, 0.1, 0.1)
    assert (model.share, model.pre_norm, model.output_bias) == ("none", True, True)
    assert model.init == "glorot"
    n = 512 if row == "transformer" else 128
    assert (model.map, model.map_dim) == ("standard", n)
    if row == "transformer_define":
        unit = model.input, model.expand_dim, model.reduce_dim, model.depth
        assert unit == ("define", 1024, 512, 3)
    decoding = {"beam": 5, "length_penalty": 1.0, "max_len_b": 100}
    assert config.run.translations == {"beam_5": decoding}


def test_the_rate_of_table_3_is_noam():
    config = compose(["experiment=table_3/transformer", "scale=paper"])
    schedule = rate_schedule(config)
    assert config.lr_scheduler._name == "inverse_sqrt"
    for update in (1, 2, 100, 4000, 7999, 8000, 8001, 50_000, 200_000):
        noam = 2 * 512**-0.5 * min(update**-0.5, update * 8000**-1.5)
        assert schedule.step_update(update - 1) == pytest.approx(noam, rel=1.3e-4)


def test_fairseqs_recipe_is_an_option():
    config = compose(["experiment=table_3/transformer", "scale=paper", "recipe/table_3=fairseq"])
    assert config.run.corpus == "wmt14-en-de-fairseq"
    assert list(config.lr_scheduler.lr) == [5e-4]
    assert (config.lr_scheduler.warmup_updates, config.lr_scheduler.warmup_init_lr) == (4000, 1e-7)
    assert (config.optimizer.adam_betas, config.run.tokens_per_update) == ("(0.9, 0.98)", 32_768)
    assert (config.model.share, config.model.pre_norm) == ("all", False)
    assert not config.model.output_bias
    assert config.run.translations == {"beam_4": {"beam": 4, "length_penalty": 0.6}}


UNIT = {"input", "reduce_dim", "depth", "max_groups", "transformation", "connection"}
UNIT |= {"expand_dim", "unit", "unit_dropout"}
FREE = {
    "table_1a": {"map", "output", "map_dim", "scale_embedding"},
    "table_1c": {"map_dim"},
    "table_2": {"map_dim", "projected_dim", "model_dim", "inner_dim"},
    "table_3": {"map_dim"},
    "table_4a": set(),
    "table_4b": set(),
    "table_5": {"map_dim"},
    "table_6a": set(),
    "table_6b": {"without_reduce"},
}
"""Table -> what its rows differ in beside the unit and the learning rates."""


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("table", TABLES)
def test_the_rows_of_a_table_differ_in_the_input_and_the_learning_rates_alone(table, scale):
    shared = []
    for experiment in (name for name in EXPERIMENTS if name.startswith(f"{table}/")):
        config = compose([f"experiment={experiment}", f"scale={scale}"])
        plain = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
        for section, key in (("optimization", "lr"), ("optimizer", "lr"), ("lr_scheduler", "lr")):
            del plain[section][key]
        del plain["optimization"]["lr_factors"]
        own = plain["optimizer"]
        plain["optimizer"] = {k: v for k, v in own.items() if not k.startswith("lr_factor_")}
        del plain["run"], plain["checkpoint"]["save_dir"]
        free = UNIT | FREE[table]
        plain["model"] = {k: v for k, v in plain["model"].items() if k not in free}
        shared.append(json.dumps(plain, sort_keys=True))
    assert len(set(shared)) == 1
