"""Training updates of a run at its full size, timed: their cost, without a corpus on disk."""

import math
from collections.abc import Callable
from typing import Any

import torch
from fairseq import utils
from fairseq.data.iterators import GroupedIterator
from fairseq.logging import metrics
from fairseq.tasks import FairseqTask
from omegaconf import DictConfig, OmegaConf
from torch import nn

from define import plugin
from define.analysis.steps import SCHEMA
from define.bench.generated import MATERIALS, Pairs, Text, require_at_least
from define.errors import InputError
from define.runs import provenance
from define.tasks.observer import Observed, Observer
from define.train.compose import fairseq_config
from define.train.counting import corpus_types, parameters
from define.train.observer import PeakMemory, scored
from define.train.rules import check_recipe
from define.train.run_folder import published_config
from define.train.timing import alternate, device_clock
from define.train.trainer import Trainer


class Updates:
    """The first updates of a run, as fairseq's own `train` takes them; a call measures the next.

    Args:
        config: from `define.train.compose.compose`, cut to the size of `material`.
        material: what the updates read.
        clock: name of the clock, as in `define.train.timing.CLOCKS`.
        build: makes the model from the task; the config's own by default.
    Attributes:
        trainer, groups: fairseq's trainer, and the batches of each update to come.
        losses, tokens: of each update, in nats per token, and what it scored.
    """

    def __init__(
        self,
        config: DictConfig,
        material: Text | Pairs,
        clock: str = "wall",
        build: Callable[[FairseqTask], nn.Module] | None = None,
    ):
        plugin.register()
        cfg = OmegaConf.create(fairseq_config(config))
        metrics.reset()
        utils.set_torch_seed(cfg.common.seed)
        task = material.task(cfg.task)
        model = build(task) if build else task.build_model(cfg.model)
        self.trainer = trainer = Trainer(cfg, task, model, task.build_criterion(cfg.criterion))
        # Where an update fails, fairseq would save the weights.
        trainer.save_checkpoint = lambda *args, **kwargs: None
        batches = trainer.get_train_iterator(epoch=1, load_dataset=False).next_epoch_itr()
        self.groups = GroupedIterator(batches, cfg.optimization.update_freq[0])
        trainer.begin_epoch(1)
        self.losses: list[float] = []
        self.tokens: list[int] = []
        self._material, self._clock = material, device_clock(trainer.cuda, clock)

    def __call__(self) -> list[float]:
        """Milliseconds of one more update.

        Raises:
            InputError: it fails: out of GPU memory, or a loss that is not finite.
        """
        group = next(self.groups)
        self.tokens.append(sum(batch["ntokens"] for batch in group))
        number, started = len(self.tokens), self._clock()
        try:
            log = self.trainer.train_step(group)
        except (FloatingPointError, OverflowError) as error:
            raise InputError(
                f"update {number} has diverged ({error}); take a smaller optimization.lr"
            ) from error
        elapsed = self._clock() - started
        if log is None:
            remedy = self._material.remedy
            raise InputError(f"the updates need more memory than the GPU has; {remedy}")
        self.losses.append(scored(float(log["nll_loss"]))["nll"])
        if not math.isfinite(self.losses[-1]):
            raise InputError(
                f"the loss of update {number} is {self.losses[-1]}; take a smaller optimization.lr"
            )
        return [1000 * elapsed]


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
        the record of `define.analysis.steps`, with the loss of every update, warm-up included.
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
    memory = PeakMemory()
    Observed.observer = memory
    try:
        taken = Updates(config, material)
        times = alternate({"update": taken}, updates, warm_up, None if quiet else "updates")[
            "update"
        ]
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
