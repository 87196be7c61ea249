"""Each protocol against a loop over one stream, in float64: batches change nothing but rounding."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from define.core.awd_lstm import AWDLSTM, LSTMConfig
from define.core.outputs import IGNORED
from define.core.transformer_xl import Lengths, TransformerXL, TransformerXLConfig
from define.errors import InputError
from define.evaluation import perplexity, protocols
from define.evaluation.perplexity import evaluate
from define.evaluation.protocols import Protocol

TYPES, EOS = 23, 2
TOKENS = np.random.default_rng(0).integers(TYPES, size=131).astype(np.int32)
LAYERS = 3
SIZES = {"map": "standard", "output": "standard", "map_dim": 8}


def transformer(**fields) -> TransformerXL:
    """Three layers with weights large enough for far places to matter."""
    torch.manual_seed(1)
    sizes = {"projected_dim": 8, "model_dim": 8, "inner_dim": 12, "heads": 2, "head_dim": 4}
    lengths = {"memory_length": 5, "layers": LAYERS, "init_std": 0.8}
    return TransformerXL(TransformerXLConfig(**SIZES, **sizes, **lengths, **fields), TYPES).double()


def lstm() -> AWDLSTM:
    torch.manual_seed(1)
    config = LSTMConfig(**SIZES, input="table", hidden_dim=6, layers=2, init_range=1.0)
    return AWDLSTM(config, TYPES).double()


MODELS = {"transformer": transformer, "lstm": lstm}


def slow_carried(model, window: int) -> float:
    """Mean loss over one stream, the state carried from window to window."""
    model.eval()
    inputs, total, state = [EOS, *TOKENS[:-1].tolist()], 0.0, None
    for start in range(0, len(TOKENS), window):
        output = model(torch.tensor(inputs[start : start + window])[:, None], state)
        state = output.state
        log_probs = model.output.log_probs(output.features)[:, 0]
        for i, row in enumerate(log_probs):
            total -= row[TOKENS[start + i]].item()
    return total / len(TOKENS)


def slow_sliding(model, window: int, context: int) -> float:
    """Mean loss, one forward pass per token, over what its window lets it see."""
    model.eval()
    inputs, total = [EOS, *TOKENS[:-1].tolist()], 0.0
    for place, token in enumerate(TOKENS.tolist()):
        first = max(place // window * window - context, 0)
        output = model(torch.tensor(inputs[first : place + 1])[:, None], None)
        total -= model.output.log_probs(output.features[-1])[0, token].item()
    return total / len(TOKENS)


PROTOCOLS = {
    "training lengths": Protocol(window=4),
    "longer windows than memory": Protocol(window=9),
    "long memory": Protocol(window=4, memory_length=11, clamp_length=6, same_length=True),
    "no memory": Protocol(window=6, memory_length=0),
}


@pytest.mark.parametrize("name", PROTOCOLS)
@torch.no_grad()
def test_streams_side_by_side_are_one_stream(name):
    protocol, model = PROTOCOLS[name], transformer()
    found = [evaluate(model, TOKENS, EOS, size, protocol) for size in (1, 2, 5, 14)]
    model.lengths = protocol.lengths_of(model)
    expected = slow_carried(model, protocol.window)
    assert [score.nll for score in found] == pytest.approx([expected] * 4, rel=1e-12)
    assert {score.scored_tokens for score in found} == {len(TOKENS)}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_one_window_less_of_burn_in_is_too_little(name):
    protocol, model = PROTOCOLS[name], transformer()
    alone = evaluate(model, TOKENS, EOS, 1, protocol)
    enough = protocol.burn_in_of(model)
    if name == "no memory":
        assert enough == 0
        return
    less = replace(protocol, burn_in=enough - protocol.window)
    if protocol.same_length:  # sees less: the burn-in has a place to spare for each layer
        less = replace(protocol, burn_in=LAYERS * (protocol.memory_length - 1) - protocol.window)
    gap = abs(evaluate(model, TOKENS, EOS, 2, less).nll - alone.nll)
    assert gap > 1e-9
    assert abs(evaluate(model, TOKENS, EOS, 2, protocol).nll - alone.nll) < 1e-12


@pytest.mark.parametrize("name", MODELS)
def test_the_burn_in_is_the_reach_of_a_gradient(name):
    """The farthest place before a window that the last token's loss depends on."""
    if name == "lstm":
        assert Protocol().burn_in_of(lstm()) == 0
        assert Protocol(burn_in=5).burn_in_of(lstm()) == 5
        return
    model = transformer().eval()
    for protocol in (PROTOCOLS["training lengths"], PROTOCOLS["longer windows than memory"]):
        window, model.lengths = protocol.window, protocol.lengths_of(model)
        places = 8 * window
        reached = []
        with torch.no_grad():
            base = last_window(model, window, [3] * places)
            for place in range(places):
                changed = [3] * places
                changed[place] = 7
                reached.append(not torch.equal(last_window(model, window, changed), base))
        before = places - window - reached.index(True)
        # The window in which the farthest place stands is the first of the burn-in.
        assert protocol.burn_in_of(model) == math.ceil(before / window) * window


def last_window(model, window: int, inputs: list[int]) -> torch.Tensor:
    state = None
    for start in range(0, len(inputs), window):
        output = model(torch.tensor(inputs[start : start + window])[:, None], state)
        state = output.state
    return output.features


def test_a_given_burn_in_is_rounded_up_to_whole_windows():
    assert Protocol(window=4, burn_in=5).burn_in_of(transformer()) == 8
    assert Protocol(window=4, burn_in=0).burn_in_of(transformer()) == 0


@pytest.mark.parametrize(
    ("name", "window", "context"),
    [("transformer", 5, 0), ("transformer", 7, 9), ("lstm", 1, 6), ("lstm", 200, 3)],
)
@torch.no_grad()
def test_sliding_windows_are_the_loop_over_tokens(name, window, context):
    model = MODELS[name]()
    protocol = Protocol(window=window, context=context)
    found = [evaluate(model, TOKENS, EOS, size, protocol).nll for size in (1, 4, 1000)]
    if name == "transformer":
        model.lengths = Lengths(memory=0)
    assert found == pytest.approx([slow_sliding(model, window, context)] * 3, rel=1e-12)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_the_model_is_as_it_was(training, fails, monkeypatch):
    model = transformer(same_length=True).train(training)
    own = model.lengths
    seen = []

    def forward(self, *arguments):
        seen.append(self.lengths)
        if fails:
            raise KeyboardInterrupt
        return original(self, *arguments)

    original = TransformerXL.forward
    monkeypatch.setattr(TransformerXL, "forward", forward)
    protocol = Protocol(window=50, memory_length=60, clamp_length=7)
    try:
        evaluate(model, TOKENS, EOS, 1, protocol)
    except KeyboardInterrupt:
        assert fails
    assert set(seen) == {Lengths(60, 7, True)}
    assert model.lengths is own
    assert model.training == training and model.layers[0].training == training


def test_windows_that_are_not_scored_are_an_error(monkeypatch):
    batch = perplexity.SlidingWindows.batch

    def forgetful(self, index):
        inputs, targets = batch(self, index)
        return inputs, np.where(index == 2, IGNORED, targets)

    monkeypatch.setattr(perplexity.SlidingWindows, "batch", forgetful)
    with pytest.raises(RuntimeError, match="scored 121 tokens of 131"):
        evaluate(lstm(), TOKENS, EOS, 2, Protocol(5, context=1))


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("lstm", {"window": 70, "burn_in": 0}),
        (
            "transformer",
            {
                "window": 70,
                "memory_length": 5,
                "same_length": False,
                "clamp_length": None,
                "burn_in": 210,
            },
        ),
    ],
)
def test_settings_say_what_was_done(model, settings):
    model = MODELS[model]()
    assert Protocol().settings_of(model) == settings
    sliding = Protocol(window=3, context=4).settings_of(model)
    assert sliding == {"window": 3, "context": 4} | (
        {"clamp_length": None} if "clamp_length" in settings else {}
    )


def test_protocols_of_a_config():
    section = {"long": {"window": 64, "memory_length": 640, "same_length": True}, "carried": None}
    found = protocols.parse(section)
    assert list(found) == ["long", "carried"]
    assert found["long"] == Protocol(64, memory_length=640, same_length=True)
    assert found["carried"] == Protocol(window=70)
    assert protocols.parse({}) == {"carried": Protocol()}


def test_the_published_lengths():
    assert protocols.built_in("long_memory", 150) == Protocol(64, 640, 400, True)
    assert protocols.built_in("training_lengths", 150) == Protocol(window=150)


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"windows": 3}, "run.protocols.x.windows is unknown; take some of window, memory_length"),
        ({"window": 0}, "run.protocols.x: protocol: window = 0 must be at least 1"),
        ({"window": None}, "window = None must be a whole number"),
        ({"window": 7.0}, "window = 7.0 must be a whole number"),
        ({"memory_length": -1}, "memory_length = -1 must be at least 0"),
        ({"context": -1}, "context = -1 must be at least 0"),
        ({"burn_in": -1}, "burn_in = -1 must be at least 0"),
        ({"burn_in": True}, "burn_in = True must be a whole number"),
        ({"same_length": 1}, "same_length = 1 must be true or false"),
        ({"context": 5, "burn_in": 0}, "burn_in is for a state that is carried"),
        ({"context": 5, "memory_length": 5}, "memory_length is for a state that is carried"),
        ("long", "must be settings"),
    ],
)
def test_bad_protocols_are_named(section, named):
    with pytest.raises(InputError) as error:
        protocols.parse({"x": section})
    assert named in str(error.value)


def test_what_does_not_fit_the_model_is_named():
    for name, value in (("memory_length", 3), ("clamp_length", 3), ("same_length", True)):
        for context in (None, 4):
            if context is None or name == "clamp_length":
                protocol = Protocol(context=context, **{name: value})
                with pytest.raises(InputError, match=f"{name} = {value} is for Transformer-XL"):
                    evaluate(lstm(), TOKENS, EOS, 1, protocol)
    with pytest.raises(InputError, match="must be at least 1 with same_length"):
        evaluate(transformer(), TOKENS, EOS, 1, Protocol(memory_length=0, same_length=True))
    with pytest.raises(InputError, match="cut at multiples of 60; choose one from 1 to 3"):
        evaluate(transformer(), TOKENS, EOS, 4, Protocol(window=60))
