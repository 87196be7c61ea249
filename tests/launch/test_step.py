"""Measured updates: the updates that training would take, on a generated text."""

import math
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from define.core.registry import build_model
from define.core.state import detach
from define.data import python_docs, zipf
from define.errors import InputError
from define.launch import step as module
from define.launch.compose import compose
from define.launch.step import PeakMemory, generated_corpus, step
from define.results.steps import read
from define.tasks.language_modeling import StreamLanguageModelingTask
from define.tasks.observer import Observed, Observer

SEED, BPTT, STREAMS, UPDATES = 5, 20, 3, 4
"""Smoke scale has 10 streams of 20 tokens."""


@pytest.fixture(autouse=True)
def no_data(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in; there is no corpus anywhere."""
    monkeypatch.setenv("DEFINE_DATA", str(tmp_path / "nowhere"))
    monkeypatch.delenv("DEFINE_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def smoke(experiment: str, *overrides: str):
    return compose([f"experiment={experiment}", "scale=smoke", "threads=1", *overrides])


def by_hand(config, tokens: torch.Tensor, lr: float, clip: float) -> list[float]:
    """The loss of each update of Adam, in nats per token, over the plain model."""
    columns = tokens.view(STREAMS, UPDATES * BPTT).T
    before = tokens.roll(1).view(STREAMS, UPDATES * BPTT).T.clone()
    before[0, 0] = 0  # <eos>
    torch.manual_seed(SEED)
    model = build_model(config.model, python_docs.TYPES).train()
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in model.parameters()]
    state, losses = None, []
    for update in range(UPDATES):
        torch.manual_seed(SEED + update)
        window = slice(update * BPTT, (update + 1) * BPTT)
        output = model(before[window], state)
        log_probs = model.output.log_probs(output.features)
        loss = -log_probs.gather(-1, columns[window, :, None]).mean()
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        correction = math.sqrt(1 - 0.999 ** (update + 1)) / (1 - 0.9 ** (update + 1))
        with torch.no_grad():
            for p, (m, v) in zip(model.parameters(), moments, strict=True):
                m += 0.1 * (p.grad - m)
                v += 0.001 * (p.grad**2 - v)
                p -= lr * correction * m / (v.sqrt() + 1e-8)
        state = detach(output.state)
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("row", ["lstm_r1", "lstm_r3"])
def test_the_updates_are_those_of_training(row):
    config = smoke(f"table_1a/{row}", f"seed={SEED}")
    record = step(config, UPDATES - 1, 1, STREAMS, quiet=True)
    count = UPDATES * STREAMS * BPTT
    tokens = generated_corpus(python_docs.TYPES, count, SEED).tokens["train"]
    expected = by_hand(config, torch.from_numpy(tokens).long(), lr=1e-2, clip=0.25)
    assert record["loss"] == pytest.approx(expected, rel=1e-5)
    assert len(set(expected)) == UPDATES


@pytest.mark.parametrize("experiment", ["table_1c/awd_lstm_define", "table_2/txl_64_define"])
def test_the_record_says_what_was_measured(experiment, no_data):
    config = smoke(experiment)
    streams, bptt = config.dataset.batch_size, config.task.bptt
    record = step(config, 2, 1, streams - 1, quiet=True)
    assert f"table_{record['table']}/{record['row']}" == experiment
    assert (record["streams"], record["paper_streams"]) == (streams - 1, streams)
    assert (record["bptt"], record["tokens_per_update"]) == (bptt, (streams - 1) * bptt)
    assert (record["updates"], record["warm_up"]) == (2, 1)
    assert (len(record["ms_per_update"]), len(record["loss"])) == (2, 3)
    assert all(0 < loss < 2 * math.log(python_docs.TYPES) for loss in record["loss"])
    assert record["config"]["dataset"]["batch_size"] == streams - 1
    with torch.device("meta"):
        model = build_model(config.model, python_docs.TYPES)
    assert record["parameters"]["total"] == sum(p.numel() for p in model.parameters())
    data = {"name": "zipf", "sha256": {}, "tokens": {}, "types": python_docs.TYPES}
    assert record["provenance"]["data"] == data
    assert record["provenance"]["finished"] >= record["provenance"]["started"]
    assert list(no_data.iterdir()) == []
    assert type(Observed.observer) is Observer


def test_all_streams_of_the_recipe_and_windows_of_one_length_by_default(monkeypatch):
    shapes, train_step = [], StreamLanguageModelingTask.train_step

    def recorded(self, sample, *args, **kwargs):
        shapes.append(tuple(sample["target"].shape))
        return train_step(self, sample, *args, **kwargs)

    monkeypatch.setattr(StreamLanguageModelingTask, "train_step", recorded)
    config = smoke("table_1a/lstm_r2")
    assert config.task.random_bptt and config.task.train_tokens
    record = step(config, quiet=True)
    assert shapes == [(20, 10)] * 4
    assert (record["updates"], record["warm_up"]) == (3, 1)
    assert record["streams"] == record["paper_streams"] == 10


def test_the_warm_up_is_not_timed(monkeypatch):
    clock = iter([0.0, 60.0, 100.0, 101.0, 200.0, 200.5])
    monkeypatch.setattr(module, "_clock", lambda trainer: next(clock))
    record = step(smoke("table_1a/lstm_r2"), 2, 1, 2, quiet=True)
    assert record["ms_per_update"] == [1000.0, 500.0]


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


def test_the_generated_text_follows_the_law_and_the_seed():
    types, count = 50, 200_000
    corpus = generated_corpus(types, count, seed=3)
    tokens = corpus.tokens["train"]
    assert corpus.types == types and corpus.eos == 0
    assert len(tokens) == count and tokens.min() >= 0 and tokens.max() < types
    found = np.bincount(tokens, minlength=types) / count
    law = zipf.share(np.arange(1, types + 1), types)
    assert np.abs(found - law).max() < 5 * np.sqrt(law.max() / count)
    again, other = (generated_corpus(types, 100, seed).tokens["train"] for seed in (3, 4))
    assert np.array_equal(again, generated_corpus(types, 100, 3).tokens["train"])
    assert not np.array_equal(again, other)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"updates": 0}, "updates = 0 must be at least 1"),
        ({"warm_up": -1}, "warm_up = -1 must be at least 0"),
        ({"streams": 0}, "streams = 0 must lie between 1 and the recipe's 10"),
        ({"streams": 11}, "streams = 11 must lie between 1 and the recipe's 10"),
    ],
)
def test_impossible_numbers_are_refused(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        step(smoke("table_1a/lstm_r2"), **arguments)


def test_one_stream_and_one_update_are_enough():
    config = smoke("table_1a/lstm_r2", "task.bptt=2")
    record = step(config, 1, 0, 1, quiet=True)
    assert record["tokens_per_update"] == 2 and len(record["loss"]) == 1


def test_a_recipe_that_training_refuses_is_refused():
    with pytest.raises(InputError, match="bf16"):
        step(smoke("table_1a/lstm_r2", "common.bf16=true"))


def test_updates_that_diverge_leave_nothing(no_data):
    config = smoke("table_1c/awd_lstm", "optimization.lr=[1e38]", "optimization.clip_norm=0")
    with pytest.raises(InputError, match="update 2 "):
        step(config, quiet=True)
    assert list(no_data.iterdir()) == []
    assert type(Observed.observer) is Observer


def test_a_loss_that_is_not_finite_is_no_measurement(monkeypatch):
    monkeypatch.setattr(module.Trainer, "train_step", lambda self, samples: {"nll_loss": math.nan})
    with pytest.raises(InputError, match="the loss of update 1 is nan"):
        step(smoke("table_1a/lstm_r2"), quiet=True)
    monkeypatch.setattr(module.Trainer, "train_step", lambda self, samples: None)
    with pytest.raises(InputError, match="more memory than the GPU has"):
        step(smoke("table_1a/lstm_r2"), quiet=True)


def test_results_read_what_is_measured(no_data):
    from define.files import write_json

    record = step(smoke("table_2/txl_64"), 1, 1, 2, quiet=True)
    write_json("step.json", record)
    found = read("step.json")
    assert (found.table, found.row, found.streams) == ("2", "txl_64", 2)
    assert found.median_ms == record["ms_per_update"][0]
