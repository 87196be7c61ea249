"""What both language models must do: keep streams apart, carry state, tie tables, check configs."""

import copy
import io
import warnings
from dataclasses import replace

import pytest
import torch
from small_sizes import SMALL, SMALL_TXL, in_segments

from define.core.awd_lstm import AWDLSTM, AWDLSTMConfig
from define.core.transformer_xl import Lengths, TransformerXL, TransformerXLConfig
from define.errors import InputError

V, T, B = 23, 7, 3
CONFIGS = {
    AWDLSTM: AWDLSTMConfig(**SMALL, hidden_dim=9),
    TransformerXL: TransformerXLConfig(**SMALL_TXL),
}
LSTM_DROPOUTS = [f"{name}_dropout" for name in ("output", "hidden", "input", "word", "weight")]
OFF = {
    AWDLSTM: dict.fromkeys([*LSTM_DROPOUTS, "unit_dropout"], 0.0),
    TransformerXL: {"dropout": 0.0},
}


@pytest.fixture(params=CONFIGS, ids=lambda kind: kind.__name__)
def kind(request) -> type:
    return request.param


@pytest.fixture
def make(kind):
    """Fields of the config -> a small model in float64."""
    return lambda **fields: kind(replace(CONFIGS[kind], **fields), V).double()


def tokens_of(length: int = T) -> torch.Tensor:
    return torch.randint(V, (length, B))


def test_streams_do_not_see_each_other(make):
    model = make().eval()
    tokens = tokens_of(12)
    with torch.no_grad():
        together = in_segments(model, tokens, 5)
        alone = [in_segments(model, tokens[:, b : b + 1], 5) for b in range(B)]
    torch.testing.assert_close(together, torch.cat(alone, dim=1))


@pytest.mark.parametrize(
    "kind, fields", [(AWDLSTM, {}), *((TransformerXL, {"memory_length": n}) for n in (0, 3, 12))]
)
def test_no_state_is_the_zero_state_and_a_pass_leaves_nothing_behind(kind, fields, make):
    model = make(**fields).eval()
    tokens = tokens_of()
    attributes = {name: set(vars(module)) for name, module in model.named_modules()}
    values = {name: value.clone() for name, value in model.state_dict().items()}
    output = model(tokens)
    assert torch.equal(output.features, model(tokens, model.zero_state(B)).features)
    assert attributes == {name: set(vars(module)) for name, module in model.named_modules()}
    for name, value in model.state_dict().items():
        assert torch.equal(value, values[name])


def test_evaluate_then_train(kind, make):
    model = make(**({"attention_dropout": 0.1} if kind is TransformerXL else {}))
    tokens, state = tokens_of(), make().eval()(tokens_of()).state
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            with torch.no_grad():
                first, second = (model.eval()(tokens, state).features for _ in range(2))
            assert torch.equal(first, second)
            model.train().zero_grad()
            passes = [model(tokens, state) for _ in range(2)]
            assert not torch.allclose(passes[0].features, passes[1].features)
            model.output.nll(passes[0].features, tokens).sum().backward(retain_graph=True)
            assert all((p.grad != 0).any() for p in model.parameters())
            torch.optim.SGD(model.parameters(), lr=0.1).step()


def test_dropouts_of_zero_train_as_they_evaluate(kind, make):
    model, tokens = make(**OFF[kind]), tokens_of()
    assert torch.equal(model.train()(tokens).features, model.eval()(tokens).features)


def reload(model):
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = type(model)(model.config, V).double()
    other.load_state_dict(torch.load(file, weights_only=True))
    return other


@pytest.mark.parametrize(
    "change",
    [lambda m: m, copy.deepcopy, reload, torch.nn.Module.float, torch.nn.Module.half],
    ids=["built", "deepcopy", "load_state_dict", "float", "half"],
)
def test_the_softmax_is_tied_to_the_table_by_identity(make, change):
    model = change(make())
    assert model.output.tables[0] is model.embedding.map.weight
    names = [name for name, _ in model.named_parameters()]
    assert "embedding.map.weight" in names and "output.tables.0" not in names


def below_one(*names: str) -> list[tuple[dict, list[str]]]:
    return [({name: p}, [f"{name} = {p}", "below 1"]) for name in names for p in (1.0, -0.1)]


def at_least_one(*names: str) -> list[tuple[dict, list[str]]]:
    return [({name: 0}, [f"{name} = 0", "at least 1"]) for name in names]


BAD = {
    AWDLSTM: [
        *at_least_one("hidden_dim", "layers"),
        *below_one(*LSTM_DROPOUTS),
        ({"unit_dropout": 1.0}, ["dropout = 1.0", "below 1"]),
        ({"input": "mlp", "unit_dropout": 1.0}, ["dropout = 1.0", "below 1"]),
        ({"input": "nothing"}, ["input = 'nothing'"]),
    ],
    TransformerXL: [
        *at_least_one("model_dim", "inner_dim", "layers", "heads", "head_dim"),
        *below_one("dropout", "attention_dropout"),
        ({"attention": "flash"}, ["attention = 'flash'", "auto, fused, plain"]),
        ({"map_dim": 13, "model_dim": 13}, ["model_dim = 13", "even"]),
        ({"map_dim": 14}, ["has 14 dimensions", "model_dim = 12"]),
        ({"memory_length": -1}, ["memory_length = -1", "negative"]),
        ({"memory_length": 0, "same_length": True}, ["memory_length = 0", "at least 1"]),
    ],
}


@pytest.mark.parametrize(
    "model, fields, words", [(model, *case) for model, cases in BAD.items() for case in cases]
)
def test_impossible_configs_are_refused(model, fields, words):
    with pytest.raises(InputError) as caught:
        model(replace(CONFIGS[model], **fields), V)
    for word in words:
        assert word in str(caught.value)


def test_impossible_lengths_are_refused_later_too():
    with pytest.raises(InputError, match="same_length"):
        replace(Lengths(4, same_length=True), memory=0)
