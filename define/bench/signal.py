"""The signal of a run's input layer before training, and its first update, without a corpus."""

import math
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from typing import Any

import torch
from fairseq.trainer import Trainer
from omegaconf import DictConfig

from define.bench.generated import at_most, is_text
from define.bench.harness import Updates
from define.core.parts import PARTS
from define.core.signal import input_signal, sample_types
from define.train.rules import check_recipe

TYPES = 512
"""Distinct tokens that the input layer is measured with."""
STREAMS, LENGTH, MAX_TOKENS = 4, 32, 256
"""Size of a language model's batch, and of a translation's; the recipe's where that is smaller."""

LEAST_GROUP_FEATURES, LEAST_SKIP_SHARE, LARGEST_FIRST_STEP = 8, 0.01, 0.05
"""Limits of shipped configs; `ACCEPTED` has a reason for each exception."""

WARM_UP = (
    "Adam's first step moves every weight by the whole rate; here the rate grows during a warm-up, "
    "which the figure leaves out."
)
ACCEPTED = {
    "mini/*/first_step.*": WARM_UP,
    "paper/table_3/*/first_step.output": WARM_UP,
    "paper/table_1c/*/first_step.context": (
        "The published recipe: SGD at 30 with gradients clipped to 0.25 takes a first step of norm "
        "7.5, whatever the model."
    ),
    "paper/table_2/*/first_step.output": (
        "The part has a bias of zeros, which Adam moves by the whole rate, and three rows for the "
        "clusters: there is little weight to compare with."
    ),
    "smoke/*/first_step.*": (
        "Scale smoke only shows that everything runs: its parts are tiny and its rates high."
    ),
    "smoke/table_4a/glt*/min_group_features": (
        "Scale smoke only shows that everything runs: e_i has 24 dimensions in 4 groups."
    ),
}
"""Pattern of scale/experiment/rule -> why the config may break the rule."""


def measure(config: DictConfig) -> dict[str, Any]:
    """The fields of `define.core.signal.InputSignal`, and the first update by part.

    The update is that of training, except that the batch is small (`STREAMS`, `LENGTH`,
    `MAX_TOKENS`), so that the paper's models take seconds; that it runs on the CPU; and that its
    rate is the highest of the schedule, since a warm-up makes the first one tiny. Adam moves every
    row of a table that has a gradient by the same amount, so a smaller batch moves fewer rows of a
    table that no output layer shares.

    Args:
        config: from `define.train.compose.compose`; its device, batch size and task are changed.
    Returns:
        also "first_step": part -> norm of the update over norm of the weights, None where the model
        has no such part or the part begins at zero; and "largest_step": part -> the matrix whose
        own ratio is the largest, {"name", "step"}, or None. A translation's input layer is that of
        its source.
    Raises:
        InputError: a config that training would refuse.
    """
    config.common.cpu = True
    if is_text(config):
        config.task.bptt = min(LENGTH, config.task.bptt)
    data = at_most(config, 1, STREAMS, MAX_TOKENS)
    check_recipe(config)
    # For a batch as small as this, more threads cost more than they save.
    torch.set_num_threads(1)
    updates = Updates(config, data)
    trainer = updates.trainer
    embedding = trainer.model.core.embedding if is_text(config) else trainer.model.embeddings[0]
    edges = getattr(embedding.map, "edges", [0, embedding.num_embeddings])
    types = sample_types(edges, TYPES, config.seed, embedding.padding_idx)
    signal = input_signal(embedding, types, config.seed).to_json()
    trainer.optimizer.set_lr(max(config.optimization.lr))
    return signal | _first_step(trainer, next(updates.groups))


def _first_step(trainer: Trainer, batches: list[Mapping[str, Any]]) -> dict[str, Any]:
    parameters = dict(trainer.model.named_parameters())
    before = {name: p.detach().clone() for name, p in parameters.items()}
    norms = {name: p.norm().item() for name, p in before.items()}
    trainer.train_step(batches)
    changes = {name: before[name].sub_(p.detach()).norm().item() for name, p in parameters.items()}
    first_step, largest_step = {}, {}
    for part in PARTS:
        own = [name for name, p in parameters.items() if p.param_group == part]
        norm = math.hypot(*(norms[name] for name in own))
        first_step[part] = math.hypot(*(changes[name] for name in own)) / norm if norm else None
        steps = [
            {"name": name, "step": changes[name] / norms[name]}
            for name in own
            if parameters[name].ndim > 1 and norms[name]
        ]
        largest_step[part] = max(steps, key=lambda step: step["step"], default=None)
    return {"first_step": first_step, "largest_step": largest_step}


def remarks(experiment: str, scale: str, signal: Mapping[str, Any]) -> list[dict[str, str | None]]:
    """The limits above that a config's figures break: "rule", "breach" and "reason".

    The rule is the key of the figure, the breach is a sentence, and the reason says why a shipped
    config may break the rule; it is None without one.
    """
    found = []
    for rule, breach in _breaches(signal):
        key = f"{scale}/{experiment}/{rule}"
        reasons = (reason for pattern, reason in ACCEPTED.items() if fnmatch(key, pattern))
        found.append({"rule": rule, "breach": breach, "reason": next(reasons, None)})
    return found


def _breaches(signal: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    features, share = signal["min_group_features"], signal["skip_share"]
    if features is not None and features < LEAST_GROUP_FEATURES:
        yield (
            "min_group_features",
            f"A group has {features} features, fewer than {LEAST_GROUP_FEATURES}",
        )
    if share is not None and share < LEAST_SKIP_SHARE:
        yield "skip_share", f"e_i's share is {share:.2%}, less than {LEAST_SKIP_SHARE:.0%}"
    for part, step in signal["first_step"].items():
        if step is not None and step > LARGEST_FIRST_STEP:
            yield (
                f"first_step.{part}",
                f"The first step of the part {part!r} is {step:.1%} of its norm, more than "
                f"{LARGEST_FIRST_STEP:.0%}",
            )
