"""The loop of `define train`, and the bare one that `define bench` compares it with."""

from collections.abc import Callable
from pathlib import Path

import fairseq_cli.train
import torch
from fairseq import utils
from torch import nn

from define.bench.harness import Updates, observed_by
from define.core.state import detach
from define.train.observer import RunObserver
from define.train.timing import Measure, timed
from define.train.tracking import Tracker


class Stopwatch(RunObserver):
    """The observer of `define train`, which notes in `times` the ms of each update."""

    def __init__(self, folder: Path, clock: Callable[[], float]):
        speed = {"seconds": 0.0, "ms_per_update": 0.0, "tokens_per_second": 0.0}
        super().__init__(folder / "record.json", {"speed": speed}, 0, 100, Tracker(), quiet=True)
        self.times, self._clock = [], clock

    def begin(self) -> None:
        super().begin()
        self._started = self._clock()

    def updated(self, *update) -> None:
        super().updated(*update)
        now = self._clock()
        self.times.append(1000 * (now - self._started))
        self._started = now


def bare_loop(updates: Updates, block: int, bf16: bool, clock: Callable[[], float]) -> Measure:
    """Measures so many updates by the fewest calls that train the same."""
    trainer, state = updates.trainer, None
    model, optimizer = trainer.model.train(), trainer.optimizer.optimizer
    device = next(model.parameters()).device.type

    def update() -> None:
        nonlocal state
        (batch,) = next(updates.groups)
        batch = utils.move_to_cuda(batch) if trainer.cuda else batch
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            loss, scored, _, state = trainer.criterion.with_state(model, batch, state)
        state = detach(state)
        optimizer.zero_grad()
        (loss / scored).backward()
        nn.utils.clip_grad_norm_(model.parameters(), trainer.cfg.optimization.clip_norm or 1e9)
        optimizer.step()

    measure = timed(update, clock)
    return lambda: [ms for _ in range(block) for ms in measure()]


def train_loop(updates: Updates, block: int, stopwatch: Stopwatch) -> Measure:
    """Measures so many updates of fairseq's own `train`, with the observer of `define train`."""
    trainer = updates.trainer

    def measure() -> list[float]:
        stopwatch.times.clear()
        trainer.cfg.optimization.max_update = trainer.get_num_updates() + block
        batches = trainer.get_train_iterator(epoch=1, load_dataset=False)
        with observed_by(stopwatch):
            fairseq_cli.train.train(trainer.cfg, trainer, trainer.task, batches)
        return list(stopwatch.times)

    return measure
