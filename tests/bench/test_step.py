"""Measured updates: the updates that training would take, on a generated text."""

import math

import pytest
import torch

from define.bench import harness as module
from define.bench.generated import dictionary, generated_corpus
from define.bench.step import step
from define.core.registry import build_model, config_from
from define.core.state import detach
from define.data.text import python_docs
from define.errors import InputError
from define.models.transformer import DefineTransformer, DefineTransformerConfig
from define.tasks.language_modeling import StreamLanguageModelingTask
from define.tasks.translation import DefineTranslationTask
from define.train.counting import corpus_types
from define.train.observer import PeakMemory

SEED, BPTT, STREAMS, UPDATES = 5, 20, 3, 4
"""Smoke scale has 10 streams of 20 tokens."""


def by_hand(config, tokens: torch.Tensor, lr: float, clip: float) -> list[float]:
    """The loss of each update of SGD, in nats per token, over the plain model."""
    columns = tokens.view(STREAMS, UPDATES * BPTT).T
    before = tokens.roll(1).view(STREAMS, UPDATES * BPTT).T.clone()
    before[0, 0] = 0  # <eos>
    torch.manual_seed(SEED)
    model = build_model(config.model, python_docs.TYPES).train()
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
        with torch.no_grad():
            for p in model.parameters():
                p -= lr * p.grad
        state = detach(output.state)
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("row", ["lstm_r1", "lstm_r3"])
def test_the_updates_are_those_of_training(row, smoke):
    config = smoke(f"table_1a/{row}", f"seed={SEED}")
    record = step(config, UPDATES - 1, 1, quiet=True, streams=STREAMS)
    count = UPDATES * STREAMS * BPTT
    tokens = generated_corpus(python_docs.TYPES, count, SEED).tokens["train"]
    expected = by_hand(config, torch.from_numpy(tokens).long(), lr=5.0, clip=0.25)
    assert record["loss"] == pytest.approx(expected, rel=1e-5)
    assert len(set(expected)) == UPDATES


def test_the_record_says_what_was_measured(place, smoke):
    config = smoke("table_1c/awd_lstm_define")
    streams, bptt = config.dataset.batch_size, config.task.bptt
    record = step(config, 2, 1, quiet=True, streams=streams - 1)
    expected = {"table": "1c", "row": "awd_lstm_define", "updates": 2, "warm_up": 1, "bptt": bptt}
    expected |= {"streams": streams - 1, "paper_streams": streams}
    expected |= {"tokens_per_update": (streams - 1) * bptt}
    assert {key: record[key] for key in expected} == expected
    assert (len(record["ms_per_update"]), len(record["loss"])) == (2, 3)
    assert record["config"]["dataset"]["batch_size"] == streams - 1
    with torch.device("meta"):
        model = build_model(config.model, python_docs.TYPES)
    assert record["parameters"]["total"] == sum(p.numel() for p in model.parameters())
    data = {"name": "zipf", "sha256": {}, "tokens": {}, "types": python_docs.TYPES}
    assert record["provenance"]["data"] == data
    assert record["provenance"]["finished"] >= record["provenance"]["started"]
    assert list(place.iterdir()) == []


def test_all_streams_of_the_recipe_and_windows_of_one_length_by_default(monkeypatch, smoke):
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


def test_the_warm_up_is_not_timed(monkeypatch, smoke):
    clock = iter([0.0, 60.0, 100.0, 101.0, 200.0, 200.5])
    monkeypatch.setattr(module, "device_clock", lambda cuda, name: clock.__next__)
    record = step(smoke("table_1a/lstm_r2"), 2, 1, quiet=True, streams=2)
    assert record["ms_per_update"] == [1000.0, 500.0]


def test_a_batch_of_a_language_model_is_an_update(smoke):
    record = step(smoke("table_1a/lstm_r2", "optimization.update_freq=[3]"), 2, 0, quiet=True)
    assert record["config"]["optimization"]["update_freq"] == [1]
    assert len(record["loss"]) == 2 and record["tokens_per_update"] == 200


def test_updates_that_diverge_leave_nothing(place, smoke):
    config = smoke("table_1c/awd_lstm", "optimization.lr=[1e38]", "optimization.clip_norm=0")
    with pytest.raises(InputError, match="update 2 "):
        step(config, quiet=True)
    assert list(place.iterdir()) == []


def test_a_loss_that_is_not_finite_is_no_measurement(monkeypatch, smoke):
    monkeypatch.setattr(module.Trainer, "train_step", lambda self, samples: {"nll_loss": math.nan})
    with pytest.raises(InputError, match="the loss of update 1 is nan"):
        step(smoke("table_1a/lstm_r2"), quiet=True)
    monkeypatch.setattr(module.Trainer, "train_step", lambda self, samples: None)
    with pytest.raises(InputError, match="more memory than the GPU has"):
        step(smoke("table_1a/lstm_r2"), quiet=True)


MAX_TOKENS, UPDATE_FREQ = 64, 3
"""Smoke scale has one batch of 512 tokens a side."""
OFF = [f"seed={SEED}", "model.dropout=0", "model.unit_dropout=0"]


@pytest.fixture
def heard(monkeypatch) -> tuple[list[dict], list[float]]:
    """The batches of the following updates, and the learning rate of each update."""
    batches, rates = [], []
    train_step, updated = DefineTranslationTask.train_step, PeakMemory.updated

    def trained(self, sample, *args, **kwargs):
        batches.append(sample)
        return train_step(self, sample, *args, **kwargs)

    def noted(self, update, tokens, lr, nll):
        rates.append(lr)
        return updated(self, update, tokens, lr, nll)

    monkeypatch.setattr(DefineTranslationTask, "train_step", trained)
    monkeypatch.setattr(PeakMemory, "updated", noted)
    return batches, rates


@pytest.mark.parametrize("row", ["transformer", "transformer_define"])
def test_the_updates_of_a_translation_are_those_of_training(row, heard, smoke):
    batches, rates = heard
    config = smoke(f"table_3/{row}", *OFF)
    record = step(config, 2, 1, quiet=True, max_tokens=MAX_TOKENS, update_freq=UPDATE_FREQ)
    assert len(batches) == 3 * UPDATE_FREQ and len(rates) == 3
    torch.manual_seed(SEED)
    section = config_from(DefineTransformerConfig, config.model)
    model = DefineTransformer.from_dictionaries(
        section, *map(dictionary, corpus_types("grammar"))
    ).train()
    adam = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98), eps=1e-8)
    losses, smoothing = [], config.criterion.label_smoothing
    assert smoothing > 0
    for update, lr in enumerate(rates):
        group = batches[update * UPDATE_FREQ : (update + 1) * UPDATE_FREQ]
        nll, smooth, tokens = 0.0, 0.0, 0
        for batch in group:
            logits, _ = model(**batch["net_input"])
            log_probs = logits.log_softmax(-1)[batch["target"] != 1]  # <pad>
            words = batch["target"][batch["target"] != 1]
            nll = nll - log_probs.gather(1, words.unsqueeze(1)).sum()
            smooth = smooth - log_probs.sum() / (log_probs.size(1) - 1)
            tokens += len(words)
        # fairseq spreads the smoothing over all types but the right one.
        spread = smoothing / (log_probs.size(1) - 1)
        weighted = (1 - smoothing - spread) * nll + smoothing * smooth
        adam.zero_grad()
        (weighted / tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimization.clip_norm)
        adam.param_groups[0]["lr"] = lr
        adam.step()
        losses.append(nll.item() / tokens)
    assert record["loss"] == pytest.approx(losses, rel=1e-5)
    assert len(set(losses)) == 3


def test_the_record_of_a_translation_says_what_was_measured(heard, place, smoke):
    batches, _ = heard
    config = smoke("table_3/transformer_define", *OFF)
    record = step(config, 2, 1, quiet=True, max_tokens=MAX_TOKENS, update_freq=UPDATE_FREQ)
    assert (record["table"], record["row"]) == ("3", "transformer_define")
    assert (record["max_tokens"], record["update_freq"]) == (MAX_TOKENS, UPDATE_FREQ)
    assert record["tokens_per_update"] == MAX_TOKENS * UPDATE_FREQ
    assert record["paper_tokens_per_update"] == 512
    assert record["config"]["run"]["tokens_per_update"] == MAX_TOKENS * UPDATE_FREQ
    assert record["config"]["dataset"]["max_tokens"] == MAX_TOKENS
    for batch in batches:
        sides = batch["net_input"]["src_tokens"], batch["target"]
        assert max(side.numel() for side in sides) <= MAX_TOKENS
    source, target = corpus_types("grammar")
    data = {"name": "zipf-pairs", "sha256": {}, "tokens": {}, "types": target}
    assert record["provenance"]["data"] == data | {"source_types": source}
    assert list(place.iterdir()) == []


def test_the_recipe_s_batches_by_default_and_one_update_is_enough(heard, smoke):
    config = smoke("table_3/transformer", *OFF, "dataset.max_tokens=128")
    record = step(config, 1, 0, quiet=True)
    assert (record["max_tokens"], record["update_freq"]) == (128, 4)
    assert record["tokens_per_update"] == record["paper_tokens_per_update"] == 512
    assert len(record["loss"]) == 1 and len(heard[0]) == 4


@pytest.mark.parametrize("max_tokens", [2, 5])
def test_a_sentence_is_never_longer_than_a_batch(max_tokens, heard, smoke):
    step(smoke("table_3/transformer", *OFF), 2, 0, quiet=True, max_tokens=max_tokens)
    assert max(batch["target"].numel() for batch in heard[0]) <= max_tokens
