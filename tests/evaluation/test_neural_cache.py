"""The neural cache against equations 3 to 5 of Grave et al. 2017b in loops, in float64."""

import math

import numpy as np
import pytest
import torch

from define.core.awd_lstm import AWDLSTM, LSTMConfig
from define.core.transformer_xl import TransformerXL, TransformerXLConfig
from define.errors import InputError
from define.evaluation import neural_cache
from define.evaluation.neural_cache import LAMBDAS, THETAS, NeuralCache, evaluate
from define.evaluation.protocols import Protocol

TYPES, EOS = 13, 2
TOKENS = np.random.default_rng(4).integers(TYPES, size=97).astype(np.int32)
SIZES = {"map": "standard", "output": "standard", "map_dim": 6, "input": "table"}


def lstm() -> AWDLSTM:
    torch.manual_seed(2)
    config = LSTMConfig(**SIZES, hidden_dim=5, layers=2, init_range=2.0)
    return AWDLSTM(config, TYPES).double()


def transformer() -> TransformerXL:
    torch.manual_seed(2)
    sizes = {"projected_dim": 6, "model_dim": 6, "inner_dim": 7, "heads": 2, "head_dim": 3}
    config = TransformerXLConfig(**SIZES, **sizes, layers=2, memory_length=5, init_std=0.5)
    return TransformerXL(config, TYPES).double()


@torch.no_grad()
def slow_nll(model, tokens, cache: NeuralCache, windows: int) -> float:
    """Mean loss of one stream; the mixture is written out over the whole vocabulary."""
    model.eval()
    inputs = [EOS, *tokens[:-1].tolist()]
    features, log_probs, state = [], [], None
    for start in range(0, len(inputs), windows):
        output = model(torch.tensor(inputs[start : start + windows])[:, None], state)
        state = output.state
        features += list(output.raw[:, 0])
        log_probs += list(model.output.log_probs(output.features)[:, 0])
    total = 0.0
    for t, target in enumerate(tokens.tolist()):
        p = log_probs[t].exp()
        sums = [0.0] * TYPES
        for i in range(max(t - cache.window, 0), t):
            sums[tokens[i]] += math.exp(cache.theta * float(features[t] @ features[i]))
        if t > 0:
            in_cache = torch.tensor(sums, dtype=torch.float64) / sum(sums)
            p = (1 - cache.weight) * p + cache.weight * in_cache
        assert p.sum().item() == pytest.approx(1, rel=1e-12)
        total -= math.log(p[target])
    return total / len(tokens)


CACHES = [
    NeuralCache(window, theta, weight)
    for window, theta, weight in (
        (1, 0.5, 0.3),
        (6, 0.0, 0.2),
        (7, 1.3, 0.9),
        (8, 0.4, 0.0),
        (30, 0.7, 0.1),
        (1000, 0.7, 0.1),
    )
]


@pytest.mark.parametrize("cache", CACHES)
def test_one_stream_is_the_loop(cache):
    expected = slow_nll(lstm(), TOKENS, cache, windows=20)
    for window in (1, 7, 1000):
        found = evaluate(lstm(), TOKENS, EOS, [cache], protocol=Protocol(window))[cache]
        assert found.nll == pytest.approx(expected, rel=1e-12)
        assert found.scored_tokens == len(TOKENS)


@pytest.mark.parametrize("cache", CACHES)
def test_streams_side_by_side_are_one_stream(cache):
    expected = slow_nll(transformer(), TOKENS, cache, windows=4)
    for batch_size in (2, 5):
        found = evaluate(transformer(), TOKENS, EOS, [cache], batch_size, Protocol(window=4))
        assert found[cache].nll == pytest.approx(expected, rel=1e-12)


def test_a_burn_in_that_does_not_fill_the_cache_is_too_little():
    cache, model = NeuralCache(12, 0.7, 0.4), transformer()
    assert neural_cache.protocol_with_cache(model, Protocol(4), 12).burn_in == 2 * 8 + 12
    assert neural_cache.protocol_with_cache(model, Protocol(4), 9).burn_in == 2 * 8 + 12
    less = Protocol(4, burn_in=16)
    gaps = [
        evaluate(model, TOKENS, EOS, [cache], 3, protocol)[cache].nll
        - evaluate(model, TOKENS, EOS, [cache], 1, protocol)[cache].nll
        for protocol in (less, Protocol(4))
    ]
    assert abs(gaps[0]) > 1e-6
    assert abs(gaps[1]) < 1e-12


def test_streams_do_not_read_each_others_caches():
    cache, half = NeuralCache(9, 0.6, 0.5), len(TOKENS) // 2
    batched = evaluate(lstm(), TOKENS[: 2 * half], EOS, [cache], 2, Protocol(5, burn_in=0))[cache]

    def stream(tokens, first):
        return evaluate(lstm(), tokens, first, [cache], 1, Protocol(5))[cache].nll

    alone = stream(TOKENS[:half], EOS) + stream(TOKENS[half : 2 * half], TOKENS[half - 1])
    assert batched.nll == pytest.approx(alone / 2, rel=1e-12)


def test_a_grid_in_one_pass_is_one_pass_for_each():
    caches = [NeuralCache(11, theta, weight) for theta in THETAS[::4] for weight in LAMBDAS[::5]]
    scores = evaluate(lstm(), TOKENS, EOS, caches)
    assert list(scores) == caches
    for cache in caches:
        assert scores[cache] == evaluate(lstm(), TOKENS, EOS, [cache])[cache]


def test_large_features_do_not_overflow():
    model, cache = lstm(), NeuralCache(50, 1e6, 0.3)
    assert math.isfinite(evaluate(model, TOKENS, EOS, [cache])[cache].nll)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ((0, 1.0, 0.1), "window = 0"),
        ((5, -0.1, 0.1), "theta = -0.1"),
        ((5, math.nan, 0.1), "theta = nan"),
        ((5, 1.0, 1.0), r"lambda = 1.0 must lie in \[0, 1\)"),
        ((5, 1.0, -0.1), "lambda = -0.1"),
    ],
)
def test_bad_settings_are_named(settings, named):
    with pytest.raises(InputError, match=named):
        NeuralCache(*settings)


def test_sliding_windows_carry_no_cache():
    with pytest.raises(InputError, match="independent"):
        evaluate(lstm(), TOKENS, EOS, [NeuralCache(5, 1.0, 0.1)], 1, Protocol(context=4))
