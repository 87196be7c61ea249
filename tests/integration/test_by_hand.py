"""A whole run against the same training written out over the plain model."""

import json
import math

import pytest
import torch
from torch.nn import functional as F

from define.core.nt_asgd import NTASGD
from define.core.registry import build_model
from define.data.text.streams import bptt_lengths
from define.runs import journal
from define.train.compose import compose

SEED, EPOCHS, STREAMS, VALID_STREAMS, TOKENS, BPTT = 3, 2, 8, 4, 1213, 20
LR, CLIP, DECAY, AR, TAR = 10.0, 0.25, 1.2e-6, 2.0, 1.0
PARTS = {"embedding.map": "table", "embedding.unit": "unit", "lstm": "context", "output": "output"}
FACTORS = {"table": (2.0, 0.0), "unit": (0.06, 1e4), "context": (0.5, 1.0), "output": (1.0, 1e5)}
"""Part -> factors on its learning rate and on its weight decay, which is tiny."""
OVERRIDES = [f"seed={SEED}", f"optimization.max_epoch={EPOCHS}", "optimizer.nonmono=5"]


def columns(tokens: list[int], eos: int, streams: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets (T, B); where a stream has ended, <eos> and -1."""
    edges = [i * len(tokens) // streams for i in range(streams + 1)]
    steps = max(edges[i + 1] - edges[i] for i in range(streams))
    inputs, targets = torch.full((steps, streams), eos), torch.full((steps, streams), -1)
    for column in range(streams):
        for row, position in enumerate(range(edges[column], edges[column + 1])):
            inputs[row, column] = tokens[position - 1] if position else eos
            targets[row, column] = tokens[position]
    return inputs, targets


def run(model, inputs, targets, state) -> tuple:
    """Mean loss in nats of a window, its tokens, and the model's output."""
    output = model(inputs, state)
    logits = F.linear(output.features, model.embedding.map.weight, model.output.bias).flatten(0, 1)
    scored = int((targets >= 0).sum())
    nll = F.cross_entropy(logits, targets.reshape(-1), ignore_index=-1, reduction="sum") / scored
    return nll, scored, output


def train_by_hand(model, corpus, factors) -> list[tuple[float, float]]:
    """Trains `model` in place; returns (train nll, valid nll) of each epoch, nats per token."""
    eos = corpus.eos
    scaled = [
        (p, *next(factors[part] for prefix, part in PARTS.items() if name.startswith(prefix)))
        for name, p in model.named_parameters()
    ]
    train = columns(corpus.tokens["train"][:TOKENS].tolist(), eos, STREAMS)
    valid = columns(corpus.tokens["valid"].tolist(), eos, VALID_STREAMS)
    losses, update = [], 0
    for epoch in range(1, EPOCHS + 1):
        total, start, state = 0.0, 0, None
        model.train()
        for length in bptt_lengths(len(train[0]), BPTT, seed=SEED, epoch=epoch, random=True):
            torch.manual_seed(SEED + update)
            window = slice(start, start + length)
            nll, scored, output = run(model, train[0][window], train[1][window], state)
            loss = nll + AR * output.features.pow(2).mean()
            if length > 1:
                loss = loss + TAR * (output.raw[1:] - output.raw[:-1]).pow(2).mean()
            model.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            with torch.no_grad():
                for p, rate, decay in scaled:
                    p -= LR * rate * length / BPTT * (p.grad + DECAY * decay * p)
            state = tuple((h.detach(), c.detach()) for h, c in output.state)
            total += nll.item() * scored
            start, update = start + length, update + 1
        model.eval()
        with torch.no_grad():
            losses.append((total / TOKENS, run(model, *valid, None)[0].item()))
    return losses


@pytest.mark.parametrize("factors", [dict.fromkeys(FACTORS, (1.0, 1.0)), FACTORS])
def test_training_is_what_the_recipe_says(factors, train, workplace, corpus, checkpoint_of):
    by_part = {
        key: {part: pair[index] for part, pair in factors.items()}
        for index, key in enumerate(("lr_factors", "weight_decay_factors"))
    }
    overrides = [
        f"optimization.{key}.{part}={factor}"
        for key, own in by_part.items()
        for part, factor in own.items()
    ]
    assert train(*OVERRIDES, *overrides, "run.dir=run") == 0
    config = compose(["experiment=table_1c/awd_lstm_define", "scale=smoke"])
    torch.manual_seed(SEED)
    model = build_model(config.model, corpus.types)
    expected = train_by_hand(model, corpus, factors)
    record = json.loads((workplace / "run" / "record.json").read_text(encoding="utf-8"))
    found = [(epoch["train"]["nll"], epoch["valid"]["nll"]) for epoch in record["epochs"]]
    for pair in zip(found, expected, strict=True):
        assert pair[0] == pytest.approx(pair[1], rel=1e-5)
    started = journal.read(workplace / "run" / journal.FILE_NAME)[0]
    assert {key: started[key] for key in by_part} == by_part
    assert {key: record["config"]["optimization"][key] for key in by_part} == by_part
    trained = checkpoint_of(workplace / "run")["model"]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(trained[f"core.{name}"], value, rtol=1e-4, atol=1e-5)


def test_the_learning_rate_of_each_step_is_scaled_by_its_length(train, monkeypatch, corpus):
    used, step = [], NTASGD.step

    def recorded(self, closure=None):
        used.append(self.param_groups[0]["lr"])
        return step(self, closure)

    monkeypatch.setattr(NTASGD, "step", recorded)
    assert train(*OVERRIDES, "run.dir=run") == 0
    steps = math.ceil(TOKENS / STREAMS)
    lengths = [
        length
        for epoch in range(1, EPOCHS + 1)
        for length in bptt_lengths(steps, BPTT, seed=SEED, epoch=epoch, random=True)
    ]
    assert len(set(lengths)) > 3
    assert used == pytest.approx([LR * length / BPTT for length in lengths])
    used.clear()
    assert train(*OVERRIDES, "task.scale_lr_by_length=false", "run.dir=other") == 0
    assert used == [LR] * len(lengths)
