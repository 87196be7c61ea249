"""Every parameter's gradient in bfloat16 autocast against float32, for every model and input."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from define.bench.generated import dictionary
from define.core.registry import MODELS
from define.models.transformer import DefineTransformer, DefineTransformerConfig

BOUND = 0.03
"""On the norm of the difference, relative to the gradient's. Products of bfloat16 leave up to 2 %;
sums in bfloat16 over these positions make 4 to 46 %."""
V, T, B = 2000, 50, 40
UNIT = {"input": "define", "expand_dim": 64, "depth": 3, "max_groups": 4, "width_multiple": 8}
INPUTS = {
    "table": {"input": "table"},
    "linear": {"input": "linear"},
    "mlp": {"input": "mlp", "expand_dim": 64},
    "released": UNIT,
    "text": UNIT | {"unit": "text"},
    "ours": UNIT | {"unit": "ours"},
}
NO_DROPOUT = {
    f"{where}dropout": 0.0
    for where in (
        *("", "attention_", "activation_", "unit_"),
        *("output_", "hidden_", "input_", "word_", "weight_"),
    )
}
SIZES = {"map": "standard", "output": "standard", "map_dim": 32, "reduce_dim": 32, "layers": 2}
SIZES |= {"hidden_dim": 48, "model_dim": 32, "inner_dim": 64, "heads": 2, "head_dim": 16}
SIZES |= {"encoder_layers": 2, "decoder_layers": 2}


def text(first: int = 0) -> torch.Tensor:
    """(T + 1, B) types from `first` on, as Zipf's law has them: some at hundreds of positions."""
    weights = 1 / torch.arange(1, V - first + 1)
    return first + torch.multinomial(weights, (T + 1) * B, replacement=True).view(T + 1, B)


def config(config_class: type, input: str, **fields):
    values = SIZES | NO_DROPOUT | INPUTS[input] | fields
    return config_class(**{k: v for k, v in values.items() if hasattr(config_class, k)})


def without_relu(model: nn.Module) -> nn.Module:
    """With GELU instead: where rounding changes the sign of what a ReLU reads, a whole term of the
    gradient comes or goes, which hides what rounding does elsewhere."""
    for module in model.modules():
        if hasattr(module, "activation_fn"):
            module.activation_fn = F.gelu
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.GELU())
    return model


def gradients(model: nn.Module, loss, autocast: bool) -> dict[str, torch.Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = loss()
    return dict(zip(names, torch.autograd.grad(value, parameters), strict=True))


def require_close(model: nn.Module, loss) -> None:
    exact, rounded = (gradients(model, loss, autocast) for autocast in (False, True))
    errors = {
        name: float((rounded[name] - exact[name]).norm() / exact[name].norm())
        for name in exact
        # The same for all keys, this bias has no effect on the softmax: its gradient is noise.
        if not name.endswith("k_proj.bias")
    }
    assert any(errors.values())
    assert {name: error for name, error in errors.items() if not error < BOUND} == {}


@pytest.mark.parametrize("input", INPUTS)
@pytest.mark.parametrize("name", MODELS)
def test_language_models(name, input):
    config_class, model_class = MODELS[name]
    model = without_relu(model_class(config(config_class, input), V))
    tokens = text()
    require_close(model, lambda: model.output.nll_sum(model(tokens[:-1]).features, tokens[1:]))


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("input", INPUTS)
def test_the_translation_transformer(input, pre_norm):
    words = dictionary(V)
    fields = config(DefineTransformerConfig, input, pre_norm=pre_norm)
    model = without_relu(DefineTransformer.from_dictionaries(fields, words, words))
    source, target = text(words.nspecial).t(), text(words.nspecial).t()
    source[::3, :5] = words.pad()
    lengths = (source != words.pad()).sum(1)

    def loss() -> torch.Tensor:
        log_p = model.get_normalized_probs(model(source, lengths, target[:, :-1]), log_probs=True)
        return F.nll_loss(log_p.flatten(0, 1), target[:, 1:].flatten())

    require_close(model, loss)
