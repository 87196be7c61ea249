"""NT-ASGD in a run: when it switches, what it averages; training continues from raw weights."""

import json
import math

import pytest
import torch

from define.core.nt_asgd import NTASGD

EPOCHS = 10


class Steps:
    """What each optimizer step saw and left.

    Learning rate, weights at which the gradients were taken, gradients, weights after the step.
    """

    def __init__(self):
        self.lr, self.seen, self.gradients, self.weights = [], [], [], []


@pytest.fixture
def steps(monkeypatch) -> Steps:
    """Records the optimizer steps of the next training."""
    steps, step = Steps(), NTASGD.step

    def recorded(self, closure=None):
        parameters = self.param_groups[0]["params"]
        steps.lr.append(self.param_groups[0]["lr"])
        steps.seen.append([p.detach().clone() for p in parameters])
        steps.gradients.append([p.grad.clone() for p in parameters])
        step(self, closure)
        steps.weights.append([p.detach().clone() for p in parameters])

    monkeypatch.setattr(NTASGD, "step", recorded)
    return steps


def switch_by_definition(losses: list[float], nonmono: int) -> int:
    """The number of validations after which averaging begins."""
    for count in range(1, len(losses) + 1):
        older = losses[: count - 1][:-nonmono] if nonmono else losses[: count - 1]
        if older and losses[count - 1] > min(older):
            return count
    raise AssertionError("the losses never rise")


@pytest.mark.parametrize("nonmono", [0, 1, 3])
def test_switch_average_and_raw_iterates(nonmono, train, steps, workplace, checkpoint_of):
    folder = workplace / "run"
    overrides = [f"optimizer.nonmono={nonmono}", f"optimization.max_epoch={EPOCHS}", "run.dir=run"]
    assert train("optimization.lr=[40.0]", *overrides) == 0
    epochs = json.loads((folder / "record.json").read_text(encoding="utf-8"))["epochs"]

    switch = switch_by_definition([epoch["valid"]["nll"] for epoch in epochs], nonmono)
    assert nonmono < switch < EPOCHS - 1
    assert [epoch["averaged"] for epoch in epochs] == [e > switch for e in range(1, EPOCHS + 1)]

    checkpoint = checkpoint_of(folder)
    optimizer, names = checkpoint["last_optimizer_state"], list(checkpoint["model"])
    assert optimizer["history"] == pytest.approx([e["valid"]["nll"] / math.log(2) for e in epochs])
    # As in torch.optim.ASGD, the mean leaves out the first step after the switch.
    first = epochs[switch - 1]["updates"] + 1
    averaged = steps.weights[first:]
    assert optimizer["averaged_steps"] == len(averaged) + 1
    saved = {value.data_ptr(): value for value in checkpoint["model"].values()}.values()
    assert len(saved) == len(names) - 1 == len(averaged[0]), "the table is tied, saved twice"
    for index, value in enumerate(saved):
        mean = torch.stack([weights[index].double() for weights in averaged]).mean(0)
        torch.testing.assert_close(value.double(), mean, rtol=1e-5, atol=1e-6)
        assert torch.equal(optimizer["state"][index]["other"], averaged[-1][index])

    decay = 1.2e-6
    for before, seen, gradients, lr, after in zip(
        steps.weights[:-1],
        steps.seen[1:],
        steps.gradients[1:],
        steps.lr[1:],
        steps.weights[1:],
        strict=True,
    ):
        for p, at, g, q in zip(before, seen, gradients, after, strict=True):
            assert torch.equal(at, p), "training continues from the raw weights"
            torch.testing.assert_close(q, p - lr * (g + decay * p), rtol=1e-5, atol=1e-6)


def test_validation_after_the_switch_is_of_the_averages(finished, corpus, checkpoint_of):
    from define.evaluation.checkpoints import build
    from define.evaluation.perplexity import evaluate

    checkpoint = checkpoint_of(finished)
    epoch = json.loads((finished / "record.json").read_text(encoding="utf-8"))["epochs"][-1]
    optimizer = checkpoint["last_optimizer_state"]
    assert epoch["averaged"] and optimizer["swapped"]
    score = evaluate(build(checkpoint, corpus.types), corpus.tokens["valid"], corpus.eos, 4)
    assert score.nll == pytest.approx(epoch["valid"]["nll"], rel=1e-6)
    raw = dict(checkpoint["model"])
    tied = ("core.embedding.map.weight", "core.output.tables.0")
    parameters = [name for name in raw if name != tied[1]]
    for name, state in zip(parameters, optimizer["state"].values(), strict=True):
        raw[name] = state["other"]
    raw[tied[1]] = raw[tied[0]]
    score = evaluate(
        build(checkpoint | {"model": raw}, corpus.types), corpus.tokens["valid"], corpus.eos, 4
    )
    assert score.nll != pytest.approx(epoch["valid"]["nll"], rel=1e-4)
