"""The harness of `define bench` and `define step`: real updates, cases in turn, and the record."""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fairseq import utils
from fairseq.data.iterators import GroupedIterator
from fairseq.logging import metrics
from fairseq.tasks import FairseqTask
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from define import plugin
from define.bench.generated import MATERIALS, GeneratedPairs, GeneratedText
from define.data.text import corpora, zipf
from define.errors import InputError
from define.runs import paths, provenance
from define.runs.benchmarks import SCHEMA
from define.runs.environment import allocator
from define.train.compose import compose, fairseq_config
from define.train.observer import scored
from define.train.timing import Measure, alternate, device_clock, load_average, timed
from define.train.trainer import Trainer

STREAMS, LENGTH = 60, 70
"""Of a batch of text."""
SEED = 1
BUSY = 0.5
"""CPU cores that other processes may use before a machine counts as busy."""


class Updates:
    """The first updates of a run, as fairseq's own `train` takes them; a call measures the next.

    Args:
        config: from `define.train.compose.compose`, cut to the size of `material`.
        material: what the updates read.
        clock: a key of `define.train.timing.CLOCKS`.
        build: makes the model from the task; the config's own by default.
    Attributes:
        trainer, groups: fairseq's trainer, and the batches of each update to come.
        losses, tokens: of each update, in nats per token, and how many tokens it scored.
    """

    def __init__(
        self,
        config: DictConfig,
        material: GeneratedText | GeneratedPairs,
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


@dataclass(frozen=True)
class Bench:
    """The options of `define bench`; None leaves a part its own value.

    Attributes:
        quick: fewer rounds and cases, and small batches.
        streams: at most so many of a batch.
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
        """How many rounds a part takes that by itself would take `rounds`."""
        return self.rounds or (min(2, rounds) if self.quick else rounds)

    def group(
        self, title: str, cases: Mapping[str, Measure], rounds: int, warm_up: int = 1, **facts
    ) -> dict[str, Any]:
        """A group of the record: cases measured in turn; ratios are to the first of them."""
        values = alternate(cases, self.turns(rounds), warm_up, None if self.quiet else title)
        plain = {"unit": "ms", "axis": None, "table": None, "scale": None, "tokens": {}}
        return {"title": title, **plain, **facts, "values": values}

    def config(self, experiment: str, scale: str, *overrides: str) -> DictConfig:
        overrides = f"experiment={experiment}", f"scale={scale}", *overrides
        config = compose([*overrides, f"threads={self.threads}"])
        config.common.cpu = self.device == "cpu"
        return config

    def material(self, config: DictConfig, updates: int) -> GeneratedText | GeneratedPairs:
        """What so many updates read: at most `streams`, or one batch of pairs each."""
        if MATERIALS[config.task._name] is GeneratedText:
            streams = self.streams or (2 if self.quick else config.dataset.batch_size)
            return GeneratedText(config, updates, min(streams, config.dataset.batch_size))
        most = config.dataset.max_tokens
        return GeneratedPairs(config, updates, min(256, most) if self.quick else most, 1)

    def updates(self, config: DictConfig, number: int, **options) -> Updates:
        return Updates(config, self.material(config, number), self.clock, **options)


def natural_text() -> tuple[Tensor, dict[str, Any]]:
    """Tokens (LENGTH, STREAMS) of WikiText-2 if it is prepared, else of Zipf's law; its `meta`."""
    try:
        corpus = corpora.load(paths.data() / "wikitext-2")
    except InputError:
        types = corpora.get_spec("wikitext-2").types
        meta = {"name": "zipf", "sha256": {}, "tokens": {}, "types": types}
        return zipf_tokens(types, LENGTH, STREAMS), meta
    tokens = corpus.tokens["train"]
    columns = tokens[: len(tokens) // STREAMS * STREAMS].reshape(STREAMS, -1)[:, :LENGTH]
    return torch.from_numpy(columns.astype(np.int64)).T.contiguous(), corpus.meta


def zipf_tokens(types: int, *shape: int) -> Tensor:
    ranks = zipf.draw(np.random.default_rng(SEED), types, int(np.prod(shape)))
    return torch.from_numpy(ranks - 1).view(shape)


def used_cores(seconds: float = 1.0) -> float | None:
    """How many CPU cores are at work while this process sleeps; None where Linux does not tell.

    A load average would still hold the work of the minutes before.
    """

    def read() -> tuple[int, int]:
        """Ticks of all cores: in all, and idle (waiting for a disk included)."""
        with open("/proc/stat", encoding="ascii") as stream:
            ticks = [int(word) for word in stream.readline().split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]

    try:
        before = read()
        time.sleep(seconds)
        total, idle = (b - a for a, b in zip(before, read(), strict=True))
    except OSError:
        return None
    return os.cpu_count() * (1 - idle / total)


def busy(start: float | None, end: float | None) -> str | None:
    """A sentence if other processes used more than `BUSY` cores, as `used_cores` has them."""
    if max(start or 0.0, end or 0.0) <= BUSY:
        return None
    return (
        f"The machine was busy: other processes used {start or 0:.1f} CPU cores at the start and "
        f"{end or 0:.1f} at the end (bound {BUSY}). Do not rely on the times."
    )


Part = Callable[[Bench], Iterator[dict[str, Any]]]
"""Measures one group of the record after the other."""


def run(
    parts: Mapping[str, Part], bench: Bench, save: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Measures the parts, in order.

    Args:
        save: is given the record so far after every group.
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
        "busy": busy(used, None),
        "groups": [],
        "provenance": provenance.collect(natural_text()[1], bench.device == "cpu", bench.threads),
    }
    for name, part in parts.items():
        for group in part(bench):
            record["groups"].append({"part": name, **group})
            record["load_average"]["end"] = load_average()
            record["busy"] = busy(used, used_cores())
            record["provenance"]["finished"] = provenance.now()
            save(record)
    return record
