"""The harness of `define bench`, `define step` and `define params --signal`: real updates."""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from fairseq import utils
from fairseq.data.iterators import GroupedIterator
from fairseq.logging import metrics
from fairseq.tasks import FairseqTask
from omegaconf import DictConfig, OmegaConf
from torch import nn

from define import plugin
from define.bench.generated import Generated, at_most, meta
from define.errors import InputError
from define.runs import provenance
from define.runs.benchmarks import SCHEMA
from define.runs.environment import allocator
from define.tasks.observer import Observed, Observer
from define.train.compose import compose, fairseq_config
from define.train.timing import Measure, alternate, device_clock, load_average, timed
from define.train.trainer import Trainer

STREAMS, LENGTH, TYPES = 60, 70, 33_278
"""Size of a batch of text, and types as WikiText-2 has them."""
QUICK_STREAMS, QUICK_TOKENS = 2, 256
BUSY = 0.5
"""CPU cores that other processes may use before a machine counts as busy."""

Watch = TypeVar("Watch", bound=Observer)


class Updates:
    """The first updates of a run, as fairseq's own `train` takes them; a call measures the next.

    Args:
        config: from `define.train.compose.compose`, cut to the size of `data`.
        data: what the updates read.
        clock: a key of `define.train.timing.CLOCKS`.
        build: makes the model from the task; the config's own by default.
    Attributes:
        trainer, groups: fairseq's trainer, and the batches of each update to come.
        losses, tokens: of each update, in nats per token, and how many tokens it scored.
    """

    def __init__(
        self,
        config: DictConfig,
        data: Generated,
        clock: str = "wall",
        build: Callable[[FairseqTask], nn.Module] | None = None,
    ):
        plugin.register()
        cfg = OmegaConf.create(fairseq_config(config))
        metrics.reset()
        utils.set_torch_seed(cfg.common.seed)
        task = data.task(cfg.task)
        model = build(task) if build else task.build_model(cfg.model)
        self.trainer = trainer = Trainer(cfg, task, model, task.build_criterion(cfg.criterion))
        # When an update fails, fairseq would save the weights.
        trainer.save_checkpoint = lambda *args, **kwargs: None
        batches = trainer.get_train_iterator(epoch=1, load_dataset=False).next_epoch_itr()
        self.groups = GroupedIterator(batches, cfg.optimization.update_freq[0])
        trainer.begin_epoch(1)
        self.losses: list[float] = []
        self.tokens: list[int] = []
        self._remedy, self._clock = data.remedy, device_clock(trainer.cuda, clock)

    def __call__(self) -> list[float]:
        """Milliseconds of the next update.

        Raises:
            InputError: it runs out of GPU memory, or its loss is not finite.
        """
        group = next(self.groups)
        self.tokens.append(sum(batch["ntokens"] for batch in group))
        update, started = f"update {len(self.tokens)}", self._clock()
        try:
            log = self.trainer.train_step(group)
        except (FloatingPointError, OverflowError) as error:
            raise InputError(
                f"{update} has diverged ({error}); use a smaller optimization.lr"
            ) from error
        elapsed = self._clock() - started
        if log is None:
            raise InputError(f"the updates need more memory than the GPU has; {self._remedy}")
        self.losses.append(float(log["nll_loss"]) * math.log(2))  # fairseq logs bits
        if not math.isfinite(self.losses[-1]):
            raise InputError(
                f"the loss of {update} is {self.losses[-1]}; use a smaller optimization.lr"
            )
        return [1000 * elapsed]


@contextmanager
def observed_by(observer: Watch) -> Iterator[Watch]:
    """Tasks report to this observer inside the block."""
    Observed.observer = observer
    try:
        yield observer
    finally:
        Observed.observer = Observer()


@dataclass(frozen=True)
class Bench:
    """The options of `define bench`; a part uses its own value where one is None.

    Attributes:
        quick: fewer rounds and cases, and small batches.
        streams: the most streams per batch.
        threads: of every process.
        clock: a key of `define.train.timing.CLOCKS`.
        quiet: no progress bar.
    """

    quick: bool = False
    rounds: int | None = None
    scale: str | None = None
    streams: int | None = None
    threads: int = 1
    clock: str = "wall"
    quiet: bool = False

    @property
    def device(self) -> str:
        return "cuda" if torch.cuda.is_available() else "cpu"

    def timed(self, call: Callable[[], Any]) -> Measure:
        return timed(call, device_clock(self.device == "cuda", self.clock))

    def turns(self, rounds: int) -> int:
        """The number of rounds of a part whose own number is `rounds`."""
        return self.rounds or (min(2, rounds) if self.quick else rounds)

    def group(
        self, title: str, cases: Mapping[str, Measure], rounds: int, warm_up: int = 1, **facts
    ) -> dict[str, Any]:
        """A group of the record: cases measured in turn; ratios are to the first of them."""
        values = alternate(cases, self.turns(rounds), warm_up, None if self.quiet else title)
        tokens = {
            name: round(np.mean(case.tokens))
            for name, case in cases.items()
            if isinstance(case, Updates)
        }
        plain = {"unit": "ms", "axis": None, "table": None, "scale": None}
        tokens = tokens if len(tokens) == len(cases) else {}
        return {"title": title, **plain, "tokens": tokens, **facts, "values": values}

    def config(self, experiment: str, scale: str, *overrides: str) -> DictConfig:
        overrides = f"experiment={experiment}", f"scale={scale}", *overrides
        config = compose([*overrides, f"threads={self.threads}"])
        config.common.cpu = self.device == "cpu"
        return config

    def data(self, config: DictConfig, updates: int) -> Generated:
        """What so many updates read: at most `streams`, or a batch of sentence pairs each."""
        streams = self.streams or (QUICK_STREAMS if self.quick else config.dataset.batch_size)
        max_tokens = QUICK_TOKENS if self.quick else config.dataset.max_tokens
        return at_most(config, updates, streams, max_tokens)

    def updates(self, config: DictConfig, number: int, **options) -> Updates:
        return Updates(config, self.data(config, number), self.clock, **options)


def used_cores(seconds: float = 1.0) -> float:
    """CPU cores in use while this process sleeps; 0 where /proc/stat is missing.

    A load average would still contain the work of the previous minutes.
    """

    def ticks() -> np.ndarray:
        """Of all cores: in all, and idle or waiting for a disk."""
        with open("/proc/stat", encoding="ascii") as stream:
            ticks = [int(word) for word in stream.readline().split()[1:9]]
        return np.array([sum(ticks), ticks[3] + ticks[4]])

    try:
        before = ticks()
        time.sleep(seconds)
        total, idle = ticks() - before
    except OSError:
        return 0.0
    return os.cpu_count() * (1 - idle / total)


def busy(start: float, end: float) -> str | None:
    """A warning if other processes used more than `BUSY` cores at the start or the end."""
    if max(start, end) <= BUSY:
        return None
    return (
        f"The machine was busy: other processes used {start:.1f} CPU cores at the start and "
        f"{end:.1f} at the end (bound {BUSY}). Do not rely on the times."
    )


Part = Callable[[Bench], Iterator[dict[str, Any]]]
"""Measures one group of the record after the other."""


def run(
    parts: Mapping[str, Part], bench: Bench, save: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Measures the parts, in order.

    Args:
        save: is called with the record so far after every group.
    Returns:
        the record of `define.runs.benchmarks`.
    Raises:
        InputError: a config that cannot be composed at the scale asked for, or updates that fail.
    """
    torch.set_num_threads(bench.threads)
    load, used = load_average(), used_cores()
    record = {
        "schema": SCHEMA,
        "quick": bench.quick,
        "clock": bench.clock,
        "cores": os.cpu_count(),
        "allocator": allocator(),
        "load_average": {"start": load, "end": load},
        "busy": busy(used, 0.0),
        "groups": [],
        "provenance": provenance.collect(meta(TYPES), bench.device == "cpu", bench.threads),
    }
    for name, part in parts.items():
        for group in part(bench):
            record["groups"].append({"part": name, **group})
            record["load_average"]["end"] = load_average()
            record["busy"] = busy(used, used_cores())
            record["provenance"]["finished"] = provenance.now()
            if save:
                save(record)
    return record
