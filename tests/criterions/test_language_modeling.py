"""The criterion against values computed by hand."""

import math

import pytest
import torch
from fairseq.logging import metrics
from torch import nn

from define.core.language_model import LanguageModelOutput
from define.criterions.language_modeling import LanguageModelingCriterion

V, T, B, N = 7, 5, 3, 4


class Ramp(nn.Module):
    """Even chances for every token; features are all 0.5; raw rises by (t + 1) / 10 in step t."""

    def forward(self, tokens, state, target):
        raw = torch.tensor([0.0, 0.1, 0.3, 0.6, 1.0])[: len(tokens)]
        raw_TBN = raw[:, None, None].expand(len(tokens), B, N)
        features_TBN = torch.full((len(tokens), B, N), 0.5)
        nll = torch.where(target >= 0, math.log(V), 0.0).sum()
        return nll, LanguageModelOutput(features_TBN, raw_TBN, "next")


def sample(steps: int = T) -> dict:
    """All targets but one are scored."""
    target = torch.arange(steps * B).reshape(steps, B) % V
    target[-1, 0] = -1
    return {
        "net_input": {"src_tokens": torch.zeros(steps, B, dtype=torch.long)},
        "target": target,
        "ntokens": steps * B - 1,
        "nsentences": B,
    }


def criterion(training: bool, ar: float = 2.0, tar: float = 3.0) -> LanguageModelingCriterion:
    return LanguageModelingCriterion(task=None, ar=ar, tar=tar).train(training)


def test_loss_and_penalties_in_closed_form():
    scored = T * B - 1
    loss, size, log, state = criterion(training=True).with_state(Ramp(), sample(), None)
    change = (0.1**2 + 0.2**2 + 0.3**2 + 0.4**2) / 4
    assert size == scored
    assert loss.item() / scored == pytest.approx(math.log(V) + 2 * 0.25 + 3 * change, rel=1e-6)
    assert log["nll_loss"].item() / scored == pytest.approx(math.log(V), rel=1e-6)
    assert (log["ntokens"], log["sample_size"], log["nsentences"]) == (scored, scored, B)
    assert state == "next"


def test_no_penalty_in_evaluation():
    loss, size, log, _ = criterion(training=False).with_state(Ramp(), sample(), None)
    assert loss.item() == log["nll_loss"].item() == pytest.approx(size * math.log(V), rel=1e-6)


def test_a_window_of_one_step_has_no_change():
    loss, size, _, _ = criterion(training=True, ar=0.0).with_state(Ramp(), sample(steps=1), None)
    assert loss.item() == pytest.approx(size * math.log(V), rel=1e-6)


def test_forward_is_the_loss_without_a_state():
    with_state = criterion(training=True).with_state(Ramp(), sample(), None)
    loss, size, log = criterion(training=True)(Ramp(), sample())
    assert (loss, size, log) == with_state[:3]


def test_logged_losses_are_base_2_per_scored_token():
    logs = []
    for steps in (2, T):
        _, _, log, _ = criterion(training=True).with_state(Ramp(), sample(steps), None)
        logs.append(log)
    with metrics.aggregate(new_root=True) as aggregated:
        for log in logs:  # batches of different sizes: a mean over tokens, not over batches
            LanguageModelingCriterion.reduce_metrics([log])
    values = aggregated.get_smoothed_values()
    scored = (2 * B - 1) + (T * B - 1)
    assert values["scored_tokens"] == scored
    assert values["nll_loss"] == pytest.approx(math.log2(V), rel=1e-6)
    assert values["loss"] == pytest.approx(
        sum(log["loss"].item() for log in logs) / scored / math.log(2), rel=1e-6
    )
    assert values["ppl"] == pytest.approx(V, rel=1e-6)
