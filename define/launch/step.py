"""Training updates of a run at its full size, timed: their cost, without a corpus on disk."""

import math
import sys
import time
from itertools import islice
from statistics import mean
from typing import Any

import torch
from fairseq import utils
from fairseq.data.iterators import GroupedIterator
from fairseq.logging import metrics
from fairseq.trainer import Trainer
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from define import plugin
from define.errors import InputError
from define.launch import provenance
from define.launch.compose import fairseq_config
from define.launch.counting import corpus_types, parameters
from define.launch.generated import MATERIALS, Pairs, Text, require_at_least
from define.launch.observer import PeakMemory, scored
from define.launch.rules import check_recipe
from define.launch.run_folder import published_config
from define.results.steps import SCHEMA
from define.tasks.observer import Observed, Observer


def step(
    config: DictConfig, updates: int = 3, warm_up: int = 1, quiet: bool = False, **size: int | None
) -> dict[str, Any]:
    """Takes the first updates of a run, as training does, and measures them.

    What they read is generated, over as many types as the run's corpus has.

    Args:
        config: from `define.launch.compose.compose`; its batch size and task are changed.
        updates: how many are timed.
        warm_up: how many go before them; optimizers make their state in the first one.
        quiet: no progress bar.
        size: in place of the recipe's, where that needs too much memory or time: `streams` of a
            language model, `max_tokens` and `update_freq` of a translation; None leaves it.
    Returns:
        the record of `define.results.steps`, with the loss of every update, warm-up included. Of a
        translation, sentences and tokens of an update are means over those that are timed.
    Raises:
        InputError: an impossible number, a config that training would refuse, or updates that
            fail: out of GPU memory, or a loss that is not finite.
    """
    require_at_least(1, "updates", updates)
    require_at_least(0, "warm_up", warm_up)
    material = _material(config, warm_up + updates, size)
    check_recipe(config)
    counts = parameters(config.model, corpus_types(config.run.corpus))
    torch.set_num_threads(config.threads)
    origin = provenance.collect(material.meta, config.common.cpu, config.threads)
    memory = PeakMemory()
    Observed.observer = memory
    try:
        times, losses, sizes = _train(config, material, warm_up + updates, quiet)
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
        **{key: round(mean(one[key] for one in sizes[warm_up:])) for key in sizes[0]},
        "updates": updates,
        "warm_up": warm_up,
        "ms_per_update": times[warm_up:],
        "loss": losses,
        "peak_memory_mib": memory.mib,
        "provenance": origin,
    }


def _material(config: DictConfig, updates: int, size: dict[str, int | None]) -> Text | Pairs:
    """What the updates read; refuses sizes of the other kind of run."""
    kind = MATERIALS[config.task._name]
    given = {name: value for name, value in size.items() if value is not None}
    for name in given:
        if name not in kind.SIZES:
            raise InputError(
                f"{name} does not cut the updates of this run; take {' or '.join(kind.SIZES)}"
            )
    return kind(config, updates, **given)


def begin(config: DictConfig, material: Text | Pairs) -> tuple[Trainer, GroupedIterator]:
    """fairseq's trainer before its first update, and the batches of each update."""
    plugin.register()
    cfg = OmegaConf.create(fairseq_config(config))
    metrics.reset()
    utils.set_torch_seed(cfg.common.seed)
    task = material.task(cfg.task)
    trainer = Trainer(cfg, task, task.build_model(cfg.model), task.build_criterion(cfg.criterion))
    # Where an update fails, fairseq would save the weights.
    trainer.save_checkpoint = lambda *args, **kwargs: None
    batches = trainer.get_train_iterator(epoch=1, load_dataset=False).next_epoch_itr()
    groups = GroupedIterator(batches, cfg.optimization.update_freq[0])
    trainer.begin_epoch(1)
    return trainer, groups


def _train(
    config: DictConfig, material: Text | Pairs, updates: int, quiet: bool
) -> tuple[list[float], list[float], list[dict[str, int]]]:
    """The first updates of an epoch, as fairseq's own `train` takes them.

    Returns:
        milliseconds, loss in nats per token and counts of each update.
    """
    trainer, groups = begin(config, material)
    times, losses, sizes = [], [], []
    bar = tqdm(
        islice(groups, updates),
        total=updates,
        unit="update",
        disable=quiet,
        leave=False,
        file=sys.stderr,
    )
    for group in bar:
        sizes.append(material.counts(group))
        started = _clock(trainer)
        try:
            log = trainer.train_step(group)
        except (FloatingPointError, OverflowError) as error:
            raise InputError(
                f"update {len(sizes)} has diverged ({error}); take a smaller optimization.lr"
            ) from error
        times.append(1000 * (_clock(trainer) - started))
        if log is None:
            raise InputError(f"the updates need more memory than the GPU has; {material.remedy}")
        losses.append(scored(float(log["nll_loss"]))["nll"])
        if not math.isfinite(losses[-1]):
            raise InputError(
                f"the loss of update {len(losses)} is {losses[-1]}; take a smaller optimization.lr"
            )
        bar.set_postfix_str(f"{times[-1]:,.0f} ms, loss {losses[-1]:.3f}")
    return times, losses, sizes


def _clock(trainer: Trainer) -> float:
    """Seconds; the GPU has done what it was told before."""
    if trainer.cuda:
        torch.cuda.synchronize()
    return time.perf_counter()
