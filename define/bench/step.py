"""Training updates of a run at its full size, timed: their cost, without a corpus on disk."""

from typing import Any

import torch
from omegaconf import DictConfig

from define.bench.generated import MATERIALS, GeneratedPairs, GeneratedText, require_at_least
from define.bench.harness import Updates
from define.errors import InputError
from define.runs import provenance
from define.runs.steps import SCHEMA
from define.tasks.observer import Observed, Observer
from define.train.counting import corpus_types, parameters
from define.train.observer import PeakMemory
from define.train.rules import check_recipe
from define.train.run_folder import published_config
from define.train.timing import alternate


def step(
    config: DictConfig, updates: int = 3, warm_up: int = 1, quiet: bool = False, **size: int | None
) -> dict[str, Any]:
    """Takes the first updates of a run, as training does, and measures them.

    What they read is generated, over as many types as the run's corpus has.

    Args:
        config: from `define.train.compose.compose`; its batch size and task are changed.
        updates: how many are timed.
        warm_up: how many go before them; optimizers make their state in the first one.
        quiet: no progress bar.
        size: in place of the recipe's, where that needs too much memory or time: `streams` of a
            language model, `max_tokens` and `update_freq` of a translation; None leaves it.
    Returns:
        the record of `define.runs.steps`, with the loss of every update, warm-up included.
    Raises:
        InputError: an impossible number, a config that training would refuse, or updates that fail.
    """
    require_at_least(1, "updates", updates)
    require_at_least(0, "warm_up", warm_up)
    material = _material(config, warm_up + updates, size)
    check_recipe(config)
    counts = parameters(config.model, corpus_types(config.run.corpus))
    torch.set_num_threads(config.threads)
    origin = provenance.collect(material.meta, config.common.cpu, config.threads)
    Observed.observer = memory = PeakMemory()
    try:
        taken = Updates(config, material)
        times = alternate({"ms": taken}, updates, warm_up, None if quiet else "updates")["ms"]
    finally:
        Observed.observer = Observer()
    origin["finished"] = provenance.now()
    return {
        "schema": SCHEMA,
        "table": config.run.table,
        "row": config.run.row,
        "config": published_config(config),
        "parameters": counts,
        **material.fields,
        "updates": updates,
        "warm_up": warm_up,
        "ms_per_update": times,
        "loss": taken.losses,
        "peak_memory_mib": memory.mib,
        "provenance": origin,
    }


def _material(
    config: DictConfig, updates: int, size: dict[str, int | None]
) -> GeneratedText | GeneratedPairs:
    """What the updates read; refuses sizes of the other kind of run."""
    kind = MATERIALS[config.task._name]
    given = {name: value for name, value in size.items() if value is not None}
    for name in given:
        if name not in kind.SIZES:
            raise InputError(
                f"{name} does not cut the updates of this run; take {' or '.join(kind.SIZES)}"
            )
    return kind(config, updates, **given)
