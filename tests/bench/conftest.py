"""An empty folder without any corpus, and small runs."""

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from define.tasks.observer import Observed, Observer
from define.train.compose import compose


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """The working folder; there is no corpus anywhere, and nothing must be left behind."""
    monkeypatch.setenv("DEFINE_DATA", str(tmp_path / "nowhere"))
    monkeypatch.delenv("DEFINE_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert type(Observed.observer) is Observer


@pytest.fixture
def smoke() -> Callable[..., DictConfig]:
    """(experiment, overrides) -> its config at scale smoke."""
    return lambda experiment, *overrides: compose(
        [f"experiment={experiment}", "scale=smoke", "threads=1", *overrides]
    )
