"""The first update by part against closed forms, and the limits that shipped configs keep."""

import math
from collections.abc import Callable

import pytest
from fairseq.trainer import Trainer
from omegaconf import OmegaConf

from define.bench.generated import generate
from define.bench.harness import Updates
from define.bench.signal import ACCEPTED, WARM_UP, measure, remarks
from define.core.inputs import build_input
from define.core.parts import PARTS
from define.core.registry import MODELS, config_from
from define.core.signal import input_signal, sample_types
from define.models.transformer import DefineTransformerConfig
from define.train.compose import SCALES, compose, configs_folder


@pytest.fixture
def untrained(smoke) -> Callable[..., Trainer]:
    """(experiment, overrides) -> the trainer of its untrained model."""

    def build(experiment: str, *overrides: str) -> Trainer:
        config = smoke(experiment, "common.cpu=true", *overrides)
        return Updates(config, generate(config, 1)).trainer

    return build


SGD = ["optimizer=define_sgd", "optimizer.weight_decay=0", "optimization.lr=[3.0]"]
SGD += ["optimization.clip_norm=0.01"]


def test_a_clipped_step_of_sgd_has_the_rate_times_the_clip_norm(smoke, untrained):
    found = measure(smoke("table_1a/lstm_r3", *SGD))["first_step"]
    norms = dict.fromkeys(PARTS, 0.0)
    for p in untrained("table_1a/lstm_r3").model.parameters():
        norms[p.param_group] = math.hypot(norms[p.param_group], p.norm().item())
    changes = [found[part] * norms[part] for part in PARTS]
    assert min(changes) > 0
    assert math.hypot(*changes) == pytest.approx(3.0 * 0.01, rel=1e-3)


def test_adam_moves_every_weight_by_the_rate(smoke, untrained):
    overrides = ["optimizer.weight_decay=0", "optimization.lr=[1e-3]"]
    found = measure(smoke("table_2/txl_64", *overrides))["largest_step"]["output"]
    assert found["name"] == "core.output.cluster_weight"
    weight = dict(untrained("table_2/txl_64").model.named_parameters())[found["name"]]
    expected = 1e-3 * math.sqrt(weight.numel()) / weight.norm().item()
    assert found["step"] == pytest.approx(expected, rel=0.02)


def test_factors_count_and_the_rate_is_the_highest_of_the_schedule(smoke):
    plain = measure(smoke("table_1a/lstm_r3", *SGD))["first_step"]
    factors = ["optimization.lr_factors.unit=0.25", "optimization.lr_factors.output=0"]
    warm_up = ["optimization.lr=[0.5,3.0]", "lr_scheduler.warmup_updates=50"]
    found = measure(smoke("table_1a/lstm_r3", *SGD, *factors, *warm_up))["first_step"]
    assert found == pytest.approx(plain | {"unit": plain["unit"] / 4, "output": 0.0}, rel=1e-4)


@pytest.mark.parametrize(
    "experiment, absent",
    [
        ("table_1c/awd_lstm", ["unit", "output"]),  # the output's bias begins at zero
        ("table_2/txl_64_define", []),
        ("table_3/transformer_define", []),
    ],
)
def test_parts_without_weights_have_no_step(experiment, absent, smoke):
    found = measure(smoke(experiment))
    assert [part for part in PARTS if found["first_step"][part] is None] == absent
    assert [part for part in PARTS if found["largest_step"][part] is None] == absent
    names = [step["name"] for step in found["largest_step"].values() if step]
    assert not any("bias" in name for name in names)  # matrices alone
    assert (found["min_group_features"] is None) == ("define" not in experiment)


def test_the_input_layer_is_that_of_the_model_before_its_first_step(smoke, untrained):
    config = smoke("table_1c/awd_lstm_define")
    found = measure(config)
    embedding = untrained("table_1c/awd_lstm_define").model.core.embedding
    types = sample_types([0, embedding.num_embeddings], 512, config.seed)
    expected = input_signal(embedding, types, config.seed).to_json()
    assert {key: found[key] for key in expected} == expected


FINE = {
    "min_group_features": 8,
    "skip_share": 0.01,
    "first_step": {"table": 0.05, "unit": None, "context": 0.0, "output": 0.05},
}


def broken(experiment: str, scale: str, signal) -> dict[str, str | None]:
    return {remark["rule"]: remark["reason"] for remark in remarks(experiment, scale, signal)}


def test_limits_hold_up_to_their_values_and_not_beyond():
    for fine in (FINE, FINE | {"min_group_features": None, "skip_share": None}):
        assert broken("table_1a/lstm_r5", "paper", fine) == {}
    beyond = {"min_group_features": 7, "skip_share": 0.0099, "first_step": {"unit": 0.0501}}
    rules = ("min_group_features", "skip_share", "first_step.unit")
    assert broken("table_1a/lstm_r5", "paper", beyond) == dict.fromkeys(rules)
    assert broken("table_1a/lstm_r5", "mini", beyond) == dict.fromkeys(rules) | {rules[2]: WARM_UP}


EXPERIMENTS = sorted(
    f"{path.parent.name}/{path.stem}"
    for path in configs_folder().glob("experiment/*/*.yaml")
    if "run" in OmegaConf.load(path)  # others show another row's run
)
STEPPED = [
    *("table_1a/lstm_r5", "table_1c/awd_lstm_define"),
    *("table_2/txl_64_define", "table_3/transformer_define"),
]
"""One row per recipe, with the largest first step but for its text row."""


def of_input_layer(config) -> dict:
    """The figures of a config's input layer alone, its tables cut to 512 types."""
    section = config.model
    config_class, _ = MODELS.get(section["_name"], (DefineTransformerConfig, None))
    own = config_from(config_class, section)
    own.cutoffs = [100, 200, 300][: len(own.cutoffs)]
    embedding = build_input(own, 512)
    return input_signal(embedding, sample_types([0, 512], 512)).to_json() | {"first_step": {}}


@pytest.mark.slow
def test_shipped_configs_keep_the_limits_or_say_why():
    found = set()
    for scale in SCALES:
        for experiment in EXPERIMENTS:
            config = compose([f"experiment={experiment}", f"scale={scale}"])
            signals = [of_input_layer(config)]
            if experiment in STEPPED:
                signals.append(measure(config))
            for signal in signals:
                for rule, reason in broken(experiment, scale, signal).items():
                    assert reason is not None, f"{experiment} at scale {scale}: {rule}"
                    if reason == WARM_UP:
                        assert config.lr_scheduler.warmup_updates > 0
                        assert config.optimizer._name == "define_adam"
                    found.add(reason)
    assert found == set(ACCEPTED.values())  # no reason is there without need
