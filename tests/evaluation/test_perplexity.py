"""Perplexity against a token-by-token loop; batches, windows and a folded unit change nothing."""

import math

import pytest
import torch
from torch import nn

from define.core.awd_lstm import AWDLSTM, AWDLSTMConfig
from define.core.language_model import LanguageModelOutput
from define.core.outputs import OutputLayer
from define.data.text import corpora
from define.data.text.prepare import prepare
from define.errors import InputError
from define.evaluation import perplexity
from define.evaluation.perplexity import evaluate
from define.evaluation.protocols import Protocol

SMALL = {"map_dim": 16, "expand_dim": 64, "reduce_dim": 32, "depth": 3, "max_groups": 4}


def make_model(num_types: int, **fields) -> AWDLSTM:
    """A model with weights large enough for its state to matter."""
    torch.manual_seed(0)
    config = AWDLSTMConfig(**{**SMALL, "hidden_dim": 24, "layers": 2, "init_range": 1.0, **fields})
    return AWDLSTM(config, num_types)


@pytest.fixture
def model(corpus) -> AWDLSTM:
    return make_model(corpus.types)


def slow_nll(model, tokens, eos: int) -> float:
    """Mean loss in nats, one token at a time, each the next one's only input."""
    model.eval()
    total, state, previous = 0.0, None, eos
    with torch.no_grad():
        for token in tokens.tolist():
            output = model(torch.tensor([[previous]]), state)
            state, previous = output.state, token
            total -= model.output.log_probs(output.features)[0, 0, token].item()
    return total / len(tokens)


def test_one_stream_is_the_token_by_token_loop(model, corpus):
    tokens = corpus.tokens["valid"]
    score = evaluate(model, tokens, corpus.eos)
    assert score.nll == pytest.approx(slow_nll(model, tokens, corpus.eos), rel=1e-6)
    assert score.ppl == math.exp(score.nll)
    assert score.scored_tokens == len(tokens)


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("window", [1, 13, 1000])
def test_the_window_does_not_matter(window, batch_size, model, corpus):
    tokens = corpus.tokens["valid"]
    expected = evaluate(model, tokens, corpus.eos, batch_size)
    found = evaluate(model, tokens, corpus.eos, batch_size, Protocol(window=window))
    assert found.nll == pytest.approx(expected.nll, rel=1e-6)
    assert found.scored_tokens == expected.scored_tokens == len(tokens)


@pytest.mark.parametrize("batch_size", [2, 8])
def test_streams_that_burn_in_give_what_one_stream_gives(batch_size, model, corpus):
    tokens, model = corpus.tokens["valid"], model.double()
    alone = evaluate(model, tokens, corpus.eos)
    gaps = []
    for burn_in in (0, 20, len(tokens)):
        score = evaluate(model, tokens, corpus.eos, batch_size, Protocol(burn_in=burn_in))
        assert score.scored_tokens == len(tokens)
        gaps.append(abs(score.nll - alone.nll))
    assert gaps[0] > 1e-6
    assert gaps[1] < gaps[0] / 10
    assert gaps[2] < 1e-12


@pytest.mark.parametrize("fields", [{}, {"input": "mlp"}, {"input": "table"}])
def test_a_folded_unit_scores_the_same(fields, corpus):
    model = make_model(corpus.types, **fields).eval()
    plain = evaluate(model, corpus.tokens["valid"], corpus.eos, 4)
    model.embedding.cache()
    folded = evaluate(model, corpus.tokens["valid"], corpus.eos, 4)
    assert model.embedding.cached
    assert folded.nll == pytest.approx(plain.nll, rel=1e-6)


def test_evaluation_leaves_the_model_as_it_was(model, corpus):
    weights = [p.clone() for p in model.parameters()]
    for mode in (True, False):
        model.train(mode)
        first = evaluate(model, corpus.tokens["test"], corpus.eos)
        assert evaluate(model, corpus.tokens["test"], corpus.eos) == first
        assert model.training == mode and model.embedding.training == mode
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), weights, strict=True))


class Even(nn.Module):
    """Even chances for each of `num_types` tokens."""

    def __init__(self, num_types: int):
        super().__init__()
        self.chances = nn.Parameter(torch.zeros(1, num_types))
        self.output = OutputLayer(
            [nn.Parameter(torch.eye(num_types))],
            nn.ParameterDict(),
            [0, num_types],
            bias=False,
        )

    def forward(self, tokens, state):
        features = self.chances.expand(*tokens.shape, -1)
        return LanguageModelOutput(features, features, ())


def test_even_chances_have_the_perplexity_of_their_number(corpus):
    score = evaluate(Even(corpus.types), corpus.tokens["valid"], corpus.eos, 5)
    assert score.ppl == pytest.approx(corpus.types, rel=1e-6)


def test_tokens_that_are_not_scored_are_an_error(model, corpus, monkeypatch):
    lengths = perplexity.bptt_lengths
    monkeypatch.setattr(perplexity, "bptt_lengths", lambda *a, **k: lengths(*a, **k)[:-1])
    with pytest.raises(RuntimeError, match="scored 280 tokens of 329"):
        evaluate(model, corpus.tokens["valid"], corpus.eos)


def test_more_streams_than_tokens_are_refused(model, corpus):
    with pytest.raises(InputError, match="batch size of 400 does not fit a corpus of 329 tokens"):
        evaluate(model, corpus.tokens["valid"], corpus.eos, 400)


def test_penn_treebank_has_the_published_number_of_scored_tokens(ptb_source, tmp_path):
    ptb = prepare("ptb", tmp_path / "ptb", source=ptb_source, quiet=True)
    assert ptb.name == corpora.PTB.name
    score = evaluate(make_model(ptb.types), ptb.tokens["test"], ptb.eos, 64, Protocol(burn_in=20))
    assert score.scored_tokens == 82_430
