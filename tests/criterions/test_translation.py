"""The translation loss and its gradients against fairseq's, and against log-probabilities."""

from argparse import Namespace

import pytest
import torch
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from torch.nn import functional as F

from define.bench.generated import dictionary
from define.core import outputs
from define.core.outputs import smoothed_nll_sums
from define.criterions.translation import TranslationCriterion
from define.models.transformer import DefineTransformer, DefineTransformerConfig

PAD = dictionary(0).pad()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("rows", [4, 192])
def test_sums_and_gradients_are_those_of_log_probabilities(rows, smoothing, bias, monkeypatch):
    monkeypatch.setattr(outputs, "CPU_ROWS", rows)
    generator = torch.Generator().manual_seed(0)
    x, weight, biases = (
        torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in ((3, 5, 7), (11, 7), (11,))
    )
    targets = torch.randint(11, (3, 5), generator=generator)
    targets[1, 2:] = PAD
    own = (x, weight, biases) if bias else (x, weight)
    arguments = x, weight, biases if bias else None, targets, smoothing, PAD

    loss, nll = smoothed_nll_sums(*arguments)
    log_probs = F.log_softmax(F.linear(*own), -1)
    wanted = torch.full_like(log_probs, smoothing / 10)
    wanted.scatter_(2, targets.unsqueeze(2), 1 - smoothing)
    expected = -(wanted * log_probs).sum(2)[targets != PAD].sum()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        nll, F.nll_loss(log_probs[targets != PAD], targets[targets != PAD], reduction="sum")
    )
    torch.testing.assert_close(
        torch.autograd.grad(loss * 3, own), torch.autograd.grad(expected * 3, own)
    )
    with torch.no_grad():
        assert smoothed_nll_sums(*arguments) == (loss, nll)


@pytest.mark.parametrize("share", ["none", "target_output", "all"])
def test_loss_log_and_gradients_are_fairseqs(share):
    torch.manual_seed(3)
    words = dictionary(23)
    config = DefineTransformerConfig(
        **{"input": "table", "map_dim": 8, "model_dim": 8, "inner_dim": 12, "heads": 2},
        **{"encoder_layers": 1, "decoder_layers": 2, "share": share, "output_bias": True},
        dropout=0.0,
    )
    model = DefineTransformer.from_dictionaries(config, words, words).train()
    tokens = torch.randint(4, len(words), (3, 9))
    tokens[1, 6:] = PAD
    sample = {
        "net_input": {
            "src_tokens": tokens,
            "src_lengths": (tokens != PAD).sum(1),
            "prev_output_tokens": tokens[:, :-1],
        },
        "target": tokens[:, 1:].contiguous(),
        "ntokens": int((tokens[:, 1:] != PAD).sum()),
    }

    def outcome(kind) -> tuple:
        model.zero_grad()
        task = Namespace(target_dictionary=words)
        loss, size, log = kind(task, sentence_avg=False, label_smoothing=0.1)(model, sample)
        loss.backward()
        return loss, size, log, {n: p.grad.clone() for n, p in model.named_parameters()}

    ours, theirs = map(outcome, (TranslationCriterion, LabelSmoothedCrossEntropyCriterion))
    torch.testing.assert_close(ours, theirs)
