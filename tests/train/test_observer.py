"""What the launcher hears of training: memory, losses between two lines of the journal."""

import math
import resource

import pytest
import torch

from define.train.observer import Interval, PeakMemory


def test_peak_memory_is_the_process_s_or_the_gpu_s(monkeypatch):
    memory = PeakMemory()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    memory.updated(1, 10, 0.5, 7.0)
    assert memory.mib == pytest.approx(resident, rel=0.01)
    peaks = iter([3 * 2**30, 5 * 2**30, 4 * 2**30])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: next(peaks))
    for update in (1, 2, 3):
        memory.updated(update, 10, 0.5, 7.0)
    assert memory.mib == 5 * 1024


def test_an_interval_is_the_mean_over_its_tokens():
    interval = Interval()
    interval.add(4, 10, 0.5, torch.tensor(30.0), 0.25)
    interval.add(5, 30, 0.25, torch.tensor(50.0), 0.5)
    assert interval.event() == {
        "event": "trained",
        "updates": 5,
        "train": {"nll": 2.0, "ppl": math.exp(2)},
        "lr": 0.25,
        "tokens": 40,
        "seconds": 0.75,
    }


@pytest.mark.parametrize("nll", [float("nan"), float("inf"), 8000.0])
def test_a_loss_without_a_perplexity_is_a_divergence(nll):
    interval = Interval()
    interval.add(7, 10, 0.5, torch.tensor(nll), 0.25)
    with pytest.raises(FloatingPointError, match="the training loss at update 7 is"):
        interval.event()
