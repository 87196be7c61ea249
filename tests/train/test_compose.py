"""Overrides as Hydra reads them, and the factors of the parts on their way to the optimizer."""

from dataclasses import fields

import pytest
import torch
from fairseq.dataclass.configs import OptimizationConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from define.core.parts import PARTS
from define.errors import InputError
from define.optim.adam import DefineAdam, DefineAdamConfig
from define.train.compose import PartFactors, compose, fairseq_config, override
from define.train.run_folder import published_config


@pytest.mark.parametrize(
    "path",
    ["runs/search/x+1", "/a b/c,d=e/[x](y){z}:q", "/it's", '/a"b', "/a\\b", "/a\\'b", "/~c$d%é"],
)
def test_any_path_comes_through_hydra_s_grammar(path):
    parsed = OverridesParser.create().parse_override(override("run.dir", path))
    assert (parsed.key_or_group, parsed.value()) == ("run.dir", path)


TXL = ["experiment=table_2/txl_64", "scale=smoke"]


@pytest.mark.parametrize(
    "betas",
    ['__import__("pathlib").Path("run").touch()', "x", "(2,3)", "(0.9,)", "0.9", "[0.9,nan]"],
)
def test_a_text_is_never_run_as_code(betas, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sentence = "optimizer.adam_betas = .* must be two numbers from 0 to below 1"
    with pytest.raises(InputError, match=sentence):
        compose([*TXL, override("optimizer.adam_betas", betas)])
    config = OmegaConf.structured(DefineAdamConfig(adam_betas=betas, lr=[0.1]))
    with pytest.raises(InputError, match=sentence):
        DefineAdam(config, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["table", "row", "corpus"])
@pytest.mark.parametrize("name", ["..", "../x", "/x", "a/b", "a b", ".x"])
def test_names_that_are_folders_are_plain(key, name):
    with pytest.raises(InputError, match=f"run.{key} = '{name}' must be a plain name"):
        compose([*TXL, override(f"run.{key}", name)])


@pytest.mark.parametrize("betas", ["'(0.9, 0.98)'", "[0.9,0.98]"])
def test_both_forms_of_betas_are_taken(betas):
    compose([*TXL, f"optimizer.adam_betas={betas}"])


UNIT = "optimization.lr_factors.unit"


def test_every_part_has_its_keys():
    assert tuple(f.name for f in fields(PartFactors)) == PARTS


@pytest.mark.parametrize(
    "experiment", ["table_1c/awd_lstm", "table_1a/lstm_r2", "table_3/transformer"]
)
def test_factors_reach_the_optimizer(experiment):
    overrides = [f"{UNIT}=0.06", "optimization.weight_decay_factors.table=0"]
    config = compose([f"experiment={experiment}", "scale=smoke", *overrides])
    for name in ("lr", "weight_decay"):
        for part in PARTS:
            expected = {"lr_unit": 0.06, "weight_decay_table": 0.0}.get(f"{name}_{part}", 1.0)
            assert config.optimization[f"{name}_factors"][part] == expected
            assert config.optimizer[f"{name}_factor_{part}"] == expected
    sections = fairseq_config(config)
    assert sections["optimization"].keys() == {f.name for f in fields(OptimizationConfig)}
    assert sections["optimizer"]["lr_factor_unit"] == 0.06


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ([f"{UNIT}=-0.5"], f"{UNIT} = -0.5 must be a finite number of at least 0"),
        ([f"{UNIT}=inf"], f"{UNIT} = inf must be a finite number of at least 0"),
        ([f"{UNIT}=nan"], f"{UNIT} = nan must be a finite number of at least 0"),
        (
            ["optimization.weight_decay_factors.table=-1"],
            "optimization.weight_decay_factors.table = -1.0 must be a finite number of at least 0",
        ),
        (
            ["optimization.lr_factors.lstm=1"],
            "config: optimization.lr_factors.lstm is unknown; `define train --dry-run --full`",
        ),
        (
            ["+optimization.lr_factors.lstm=1"],
            "config: optimization.lr_factors.lstm is unknown; `define train --dry-run --full`",
        ),
        ([f"{UNIT}=fast"], f"config: Error merging override {UNIT}=fast"),
        (
            ["optimizer.lr_factor_unit=0.5"],
            f"optimizer.lr_factor_unit = 0.5 follows from {UNIT}; set that instead",
        ),
        (
            ["optimizer=adam", f"{UNIT}=0.5"],
            f"{UNIT} = 0.5 has no effect on optimizer = adam; take define_adam, define_sgd or "
            f"define_nt_asgd",
        ),
    ],
)
def test_bad_factors_are_one_sentence(overrides, sentence):
    with pytest.raises(InputError) as caught:
        compose([*TXL, *overrides])
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_fairseqs_own_optimizers_train_without_factors():
    assert compose([*TXL, "optimizer=adam"]).optimizer._name == "adam"


@pytest.mark.parametrize(
    "experiment, scale, cpu_bf16, gpu_bf16, expected",
    [
        ("table_1a/lstm_r3", "mini", True, None, "none"),
        ("table_1c/awd_lstm", "mini", True, None, "none"),
        ("table_3/transformer", "mini", True, None, "none"),
        ("table_3/transformer", "paper", True, None, "bf16"),
        ("table_2/txl_64", "mini", True, None, "bf16"),
        ("table_2/txl_64", "mini", False, None, "none"),
        ("table_2/txl_64", "mini", False, True, "none"),  # common.cpu is true
        ("table_2/txl_64", "paper", True, False, "none"),
        ("table_3/transformer", "paper", False, True, "bf16"),
    ],
)
def test_auto_is_what_is_faster_and_the_record_says_which(
    experiment, scale, cpu_bf16, gpu_bf16, expected, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu_bf16 is not None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: gpu_bf16)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: cpu_bf16)
    config = compose([f"experiment={experiment}", f"scale={scale}", "task.autocast=auto"])
    assert published_config(config)["task"]["autocast"] == expected
