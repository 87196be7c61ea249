"""Training updates of a run at its full size, timed: their cost, without a corpus on disk."""

from typing import Any

import torch
from omegaconf import DictConfig

from define.bench.generated import generate, require_at_least
from define.bench.harness import Updates, observed_by
from define.runs import provenance
from define.runs.steps import SCHEMA
from define.train.counting import corpus_types, parameters
from define.train.observer import PeakMemory
from define.train.rules import check_recipe
from define.train.run_folder import published_config
from define.train.timing import alternate


def step(
    config: DictConfig, updates: int = 3, warm_up: int = 1, quiet: bool = False, **size: int | None
) -> dict[str, Any]:
    """Takes the first updates of a run, as training does, and measures them.

    Args:
        config: from `define.train.compose.compose`; its batch size and task are changed.
        updates: how many are timed.
        warm_up: how many precede them; optimizers allocate their state in the first.
        quiet: no progress bar.
        size: see `define.bench.generated.generate`; for recipes that take too much memory or time.
    Returns:
        the record of `define.runs.steps`, with the loss of every update, warm-up included.
    Raises:
        InputError: a number out of range, a config that training would refuse, or failed updates.
    """
    require_at_least(1, "updates", updates)
    require_at_least(0, "warm_up", warm_up)
    data = generate(config, warm_up + updates, **size)
    check_recipe(config)
    counts = parameters(config.model, corpus_types(config.run.corpus))
    torch.set_num_threads(config.threads)
    origin = provenance.collect(data.meta, config.common.cpu, config.threads)
    with observed_by(PeakMemory()) as memory:
        taken = Updates(config, data)
        times = alternate({"ms": taken}, updates, warm_up, None if quiet else "updates")["ms"]
    origin["finished"] = provenance.now()
    return {
        "schema": SCHEMA,
        "table": config.run.table,
        "row": config.run.row,
        "config": published_config(config),
        "parameters": counts,
        **data.fields,
        "updates": updates,
        "warm_up": warm_up,
        "ms_per_update": times,
        "loss": taken.losses,
        "peak_memory_mib": memory.mib,
        "provenance": origin,
    }
