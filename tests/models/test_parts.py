"""Every parameter of a registered model is marked with its part, however it is tied."""

import pytest
import torch
from fairseq.models import MODEL_REGISTRY

from define import plugin
from define.bench.generated import dictionary
from define.core.counting import count_parameters
from define.core.parts import PARTS
from define.core.registry import MODELS
from define.core.transformer import SHARES, Outline
from define.models.transformer import DefineTransformer, DefineTransformerConfig

WIDTH = 16
SMALL = {"map_dim": WIDTH, "expand_dim": 32, "reduce_dim": WIDTH, "max_groups": 4}
CLUSTERS = {"cutoffs": [5, 9], "projected_dim": WIDTH}
SIZES = {
    "define_awd_lstm": {"hidden_dim": 9},
    "define_lstm": {"hidden_dim": 9},
    "define_transformer_xl": {
        **{"model_dim": WIDTH, "inner_dim": 12, "layers": 2, "heads": 2, "head_dim": 4},
    },
}
LAYERS = [
    {"map": "standard", "output": "standard"},
    {"map": "adaptive", "output": "adaptive"},
    {"map": "projective", "output": "projective", "map_dim": 8},
    {"map": "projective", "output": "projective", "map_dim": 8, "tie_tables": False},
    {"map": "projective", "output": "projective", "map_dim": 8, "tie_projections": False},
    {"map": "projective", "output": "projective", "map_dim": 8, "projections": "one"},
    {"map": "projective", "output": "standard", "tie_tables": False, "tie_projections": False},
]


def part_by_name(names: list[str]) -> str:
    """The part of a parameter that has these names, more than one where it is tied."""
    for part, places in (
        ("table", ("embedding.map.", "embed_tokens.map.")),
        ("unit", ("embedding.unit.", "embed_tokens.unit.")),
        ("output", ("core.output.", "decoder.output_projection.", "decoder.project_out_dim.")),
    ):
        if any(place in name for place in places for name in names):
            return part
    return "context"


def check(model, core, embeddings, outputs, parts: set[str]) -> None:
    names: dict[torch.nn.Parameter, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        names.setdefault(p, []).append(name)
    sizes = dict.fromkeys(PARTS, 0)
    for p, own in names.items():
        assert p.param_group == part_by_name(own), own
        sizes[p.param_group] += p.numel()
    assert {part for part, size in sizes.items() if size} == parts
    counted = count_parameters(core, embeddings, outputs)
    assert counted == {
        "define": sizes["unit"],
        "context": sizes["context"],
        "io": sizes["table"] + sizes["output"],
        "total": sum(sizes.values()),
    }


@pytest.mark.parametrize("input", ["table", "linear", "mlp", "define"])
@pytest.mark.parametrize("layers", LAYERS, ids=lambda fields: "-".join(map(str, fields.values())))
@pytest.mark.parametrize("name", MODELS)
def test_language_models(name, layers, input):
    plugin.register()
    config_class, model_class = MODELS[name]
    core = model_class(
        config_class(**SMALL | CLUSTERS | SIZES[name] | layers | {"input": input}), 23
    )
    parts = set(PARTS) - ({"unit"} if input == "table" else set())
    check(MODEL_REGISTRY[name](core), core, [core.embedding], [core.output], parts)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("input", ["table", "linear", "mlp", "define"])
@pytest.mark.parametrize("share", SHARES)
def test_transformer(share, input, bias):
    fields = SMALL | {"map_dim": WIDTH if input == "table" else 8, "input": input, "share": share}
    fields |= {"encoder_layers": 1, "decoder_layers": 2, "inner_dim": 12, "heads": 2}
    config = DefineTransformerConfig(**fields, model_dim=WIDTH, output_bias=bias, pre_norm=bias)
    model = DefineTransformer.from_dictionaries(config, dictionary(23), dictionary(23))
    counts, outlined = (
        count_parameters(built, built.embeddings, built.output_layers)
        for built in (model, Outline(config, 23, 23))
    )
    assert outlined == counts
    # A tied output layer of the table's width has nothing but its bias.
    own = bias or not config.shares_output or input != "table"
    absent = ({"unit"} if input == "table" else set()) | (set() if own else {"output"})
    check(model, model, model.embeddings, model.output_layers, set(PARTS) - absent)
