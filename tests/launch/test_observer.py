"""What the launcher hears of training: memory."""

import resource

import pytest
import torch

from define.launch.observer import PeakMemory


def test_peak_memory_is_the_process_s_or_the_gpu_s(monkeypatch):
    memory = PeakMemory()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    memory.updated(1, 10, 0.5)
    assert memory.mib == pytest.approx(resident, rel=0.01)
    peaks = iter([3 * 2**30, 5 * 2**30, 4 * 2**30])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: next(peaks))
    for update in (1, 2, 3):
        memory.updated(update, 10, 0.5)
    assert memory.mib == 5 * 1024
