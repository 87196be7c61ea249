"""fairseq's Transformer over our input layers: against fairseq's own, references, closed forms."""

import math
import warnings
from argparse import Namespace
from dataclasses import replace

import pytest
import slow_reference as reference
import torch
from fairseq import options
from fairseq.data import LanguagePairDataset
from fairseq.dataclass.configs import GenerationConfig
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.models.transformer import TransformerConfig, TransformerModelBase
from fairseq.models.transformer.transformer_config import DecoderConfig, EncDecBaseConfig
from fairseq.sequence_generator import SequenceGenerator
from omegaconf import OmegaConf
from torch import nn

from define import plugin
from define.bench.generated import dictionary
from define.core.counting import count_parameters
from define.core.transformer import SHARES
from define.errors import InputError
from define.models.transformer import (
    ARCHITECTURES,
    DefineTransformer,
    DefineTransformerConfig,
)
from define.train.compose import compose

SOURCE, TARGET = dictionary(23), dictionary(19)
PAD, EOS = SOURCE.pad(), SOURCE.eos()
UNIT = {"map_dim": 8, "expand_dim": 20, "reduce_dim": 15, "max_groups": 4, "width_multiple": 1}
STACKS = {"model_dim": 15, "inner_dim": 11, "heads": 3, "encoder_layers": 2, "decoder_layers": 3}
SMALL = DefineTransformerConfig(**UNIT, **STACKS, unit_dropout=0.0, dropout=0.0)
CLUSTERS = {"map": "adaptive", "cutoffs": [7, 12]}
INPUTS = {
    "table": {"input": "table", "map_dim": 15},
    "linear": {"input": "linear"},
    "mlp": {"input": "mlp"},
    "define": {},
    "adaptive table": {**CLUSTERS, "input": "table", "map_dim": 15, "cluster_factor": 3},
    "adaptive define": {**CLUSTERS, "cluster_factor": 2},
    "projective define": {"map": "projective", "map_dim": 6, "projected_dim": 8, "cutoffs": [9]},
}
COMBINATIONS = [
    pytest.param({**fields, "share": share}, id=f"{name}-{share}")
    for name, fields in INPUTS.items()
    for share in SHARES
    if share in ("none", "source_target") or "map" not in fields
]


def joined(config: DefineTransformerConfig) -> tuple:
    """Dictionaries of source and target; one for both where the config needs that."""
    return (SOURCE, SOURCE) if config.shares_input else (SOURCE, TARGET)


def build(dtype=torch.float64, **fields) -> DefineTransformer:
    """A small model; every parameter is moved, so that no initial zero or one hides an error."""
    config = replace(SMALL, **fields)
    model = DefineTransformer.from_dictionaries(config, *joined(config)).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
        for embedding in model.embeddings:
            if config.map == "standard":
                embedding.map.weight[PAD] = 0  # as fairseq begins
    return model


def sentences(types: int, lengths: list[int]) -> list[torch.Tensor]:
    """Sentences in which all types come up, and the last of each is </s>."""
    ids = torch.arange(4, types).repeat(9)[torch.randperm(9 * (types - 4))]
    parts = torch.cat([torch.arange(4, types), ids])[: sum(lengths)].split(lengths)
    return [torch.cat([part, torch.tensor([EOS])]) for part in parts]


def sample(model: DefineTransformer) -> dict:
    """A batch with padding: on the left of the source, on the right of the target."""
    types = [len(stack.dictionary) for stack in (model.encoder, model.decoder)]
    lengths = [9, 4, 7, 1], [5, 8, 2, 7]
    source, target = (sentences(*arguments) for arguments in zip(types, lengths, strict=True))
    data = LanguagePairDataset(
        *(source, [len(s) for s in source], model.encoder.dictionary),
        *(target, [len(t) for t in target], model.decoder.dictionary),
    )
    return data.collater([data[i] for i in range(len(data))])


def logits(model: DefineTransformer, batch: dict) -> torch.Tensor:
    return model(**batch["net_input"])[0]


def gradients(model: nn.Module, output: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of a sum with weights of every output; tied parameters under one name."""
    torch.manual_seed(1)
    (output * torch.randn_like(output)).sum().backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


# Against fairseq's own model.


def fairseqs(config: DefineTransformerConfig) -> TransformerModelBase:
    """What fairseq builds for a model that has plain tables for input layers."""
    stack = {
        "embed_dim": config.model_dim,
        "ffn_embed_dim": config.inner_dim,
        "attention_heads": config.heads,
        "normalize_before": config.pre_norm,
    }
    own = TransformerConfig(
        dropout=0.0,
        encoder=EncDecBaseConfig(layers=config.encoder_layers, **stack),
        decoder=DecoderConfig(layers=config.decoder_layers, **stack),
        share_decoder_input_output_embed=config.share == "target_output",
        share_all_embeddings=config.share == "all",
    )
    source, target = joined(config)
    task = Namespace(source_dictionary=source, target_dictionary=target)
    return TransformerModelBase.build_model(own, task).double()


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("share", ["none", "target_output", "all"])
def test_with_plain_tables_it_is_fairseqs(share, pre_norm):
    config = replace(SMALL, **INPUTS["table"], share=share, pre_norm=pre_norm)
    model = build(**INPUTS["table"], share=share, pre_norm=pre_norm)
    theirs = fairseqs(config)
    names = {name: name.replace(".map.", ".") for name in model.state_dict()}
    theirs.load_state_dict({names[k]: v for k, v in model.state_dict().items()})
    batch = sample(model)
    ours, expected = logits(model, batch), logits(theirs, batch)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    found = {names[k]: v for k, v in gradients(model, ours).items()}
    torch.testing.assert_close(found, gradients(theirs, expected), rtol=1e-12, atol=1e-12)
    assert count(model)["total"] == sum(p.numel() for p in theirs.parameters())


def test_a_model_changes_no_config_of_another():
    before = replace(SMALL).transformer_config()
    fairseqs_own = TransformerConfig()
    replace(SMALL, encoder_layers=5, decoder_layers=7, pre_norm=True).transformer_config()
    assert (before.encoder.layers, before.decoder.layers) == (2, 3)
    assert (fairseqs_own.encoder.layers, fairseqs_own.decoder.layers) == (6, 6)
    assert not fairseqs_own.encoder.normalize_before


# Input layers.


def unit_of(embedding, token: int) -> torch.Tensor:
    """e_o of a token by the slow reference; zero for padding."""
    if token == PAD:
        return torch.zeros(SMALL.model_dim, dtype=torch.float64)
    e_i = embedding.map.weight[token] * math.sqrt(SMALL.map_dim)
    parameters = reference.under(embedding.state_dict(), "unit.")
    form = "released", "hgt", "mixer", SMALL.depth, SMALL.max_groups, "gelu", "layer"
    return reference.define_unit(e_i, parameters, *form)


@pytest.mark.parametrize("share", SHARES)
def test_both_stacks_read_the_unit(share):
    model = build(share=share)
    inputs = sample(model)["net_input"]
    _, states = model(**inputs)
    encoded = model.encoder(inputs["src_tokens"], return_all_hiddens=True)
    for stack, tokens, first in (
        (model.encoder, inputs["src_tokens"], encoded["encoder_states"][0]),
        (model.decoder, inputs["prev_output_tokens"], states["inner_states"][0]),
    ):
        assert (tokens == PAD).any()
        e_o = torch.stack(
            [torch.stack([unit_of(stack.embed_tokens, t) for t in row]) for row in tokens.tolist()]
        )
        torch.testing.assert_close(stack.embed_tokens(tokens), e_o, rtol=1e-12, atol=1e-12)
        expected = e_o + stack.embed_positions(tokens)
        torch.testing.assert_close(first.transpose(0, 1), expected, rtol=1e-12, atol=1e-12)
    same = model.encoder.embed_tokens is model.decoder.embed_tokens
    assert same == (share in ("source_target", "all"))


@pytest.mark.parametrize("fields", INPUTS.values(), ids=INPUTS)
def test_padding_is_zero_and_learns_nothing(fields):
    model = build(**fields)
    batch = sample(model)
    output = logits(model, batch)
    gradients(model, output[batch["target"] != PAD])
    for embedding in model.embeddings:
        assert embedding(torch.tensor([PAD, 5])).ne(0).any(-1).tolist() == [False, True]
        tables = [embedding.map.weight] if fields.get("map") is None else embedding.map.tables
        assert tables[0].grad[PAD].eq(0).all()
        assert tables[0].grad[5].ne(0).all()


@pytest.mark.parametrize("fields", COMBINATIONS)
def test_every_parameter_learns(fields):
    model = build(**fields, output_bias=True)
    for name, gradient in gradients(model, logits(model, sample(model))).items():
        assert gradient is not None and gradient.isfinite().all(), name
        # A bias of all keys moves all scores of a query alike.
        assert gradient.abs().max() > 1e-6 or name.endswith("k_proj.bias"), name


# What is shared, and how many parameters there are.


def count(model: DefineTransformer) -> dict[str, int]:
    return count_parameters(model, model.embeddings, model.output_layers)


@pytest.mark.parametrize("map_dim", [8, 15])
@pytest.mark.parametrize("share", SHARES)
def test_what_is_one_object(share, map_dim):
    model = build(input="linear", share=share, map_dim=map_dim)
    encoder, decoder = model.encoder.embed_tokens, model.decoder.embed_tokens
    output, projection = model.decoder.output_projection, model.decoder.project_out_dim
    assert (encoder is decoder) == (share in ("source_target", "all"))
    assert (encoder.unit is decoder.unit) == (encoder.map is decoder.map) == (encoder is decoder)
    assert (output.weight is decoder.map.weight) == (share in ("target_output", "all"))
    projects = share in ("target_output", "all") and map_dim != SMALL.model_dim
    assert (projection is not None) == projects
    assert model.embeddings == ([encoder] if encoder is decoder else [encoder, decoder])
    if projects:
        assert projection.weight.shape == (map_dim, SMALL.model_dim) and projection.bias is None
        assert model.output_layers == [projection, output]


@pytest.mark.parametrize("share", ["target_output", "all"])
def test_the_output_layer_projects_to_n_and_reads_the_table(share):
    model = build(share=share, output_bias=True)
    inputs = sample(model)["net_input"]
    features = model(**inputs)[1]["inner_states"][-1].transpose(0, 1)
    table, bias = model.decoder.embed_tokens.map.weight, model.decoder.output_projection.bias
    expected = features @ model.decoder.project_out_dim.weight.T @ table.T + bias
    torch.testing.assert_close(model(**inputs)[0], expected, rtol=1e-12, atol=1e-12)


TYPES, N_ROW, K, M, LAYERS, INNER = 31_000, 128, 1024, 512, 6, 2048


def paper(**fields) -> dict[str, int]:
    """Parameters by part of a model of the paper's size, V = 31,000 in both languages."""
    with torch.device("meta"):
        types = dictionary(TYPES)
        return count(
            DefineTransformer.from_dictionaries(DefineTransformerConfig(**fields), types, types)
        )


def layers_by_hand(attentions: int) -> int:
    """One layer of a stack: attentions with biases, feed-forward, a norm for each."""
    feed_forward = M * INNER + INNER + INNER * M + M
    return attentions * 4 * (M * M + M) + feed_forward + (attentions + 1) * 2 * M


def unit_by_hand() -> int:
    """The dense layer, three group layers and the output; those after the first read e_i too."""
    groups = reference.groups_of_layers("hgt", N=3, g_max=128, released=True)
    widths = [*reference.widths_of_layers(N_ROW, K, groups[:-1], multiple=8), M]
    layers = [(N_ROW, N_ROW, 1), (N_ROW, widths[0], groups[0])]
    for width, out, g in zip(widths, [*widths[1:], M], [*groups[1:], 1], strict=True):
        layers.append((N_ROW + width, out, g))
    # Products, biases, and a scale and a shift that groups share.
    return sum(n_in * out // g + out + 2 * out // g for n_in, out, g in layers)


CONTEXT = LAYERS * (layers_by_hand(attentions=1) + layers_by_hand(attentions=2))
TABLE, NARROW = TYPES * M, TYPES * N_ROW


@pytest.mark.parametrize(
    ("fields", "define", "io"),
    [
        ({"input": "table", "map_dim": M}, 0, 3 * TABLE),
        ({"input": "table", "map_dim": M, "share": "source_target"}, 0, 2 * TABLE),
        ({"input": "table", "map_dim": M, "share": "target_output"}, 0, 2 * TABLE),
        ({"input": "table", "map_dim": M, "share": "all"}, 0, TABLE),
        ({}, 2 * unit_by_hand(), 2 * NARROW + TABLE),
        ({"share": "source_target"}, unit_by_hand(), NARROW + TABLE),
        ({"share": "target_output"}, 2 * unit_by_hand(), 2 * NARROW + M * N_ROW),
        ({"share": "all"}, unit_by_hand(), NARROW + M * N_ROW),
        ({"input": "linear"}, 2 * N_ROW * M, 2 * NARROW + TABLE),
        ({"input": "mlp"}, 2 * (N_ROW * K + K * M), 2 * NARROW + TABLE),
    ],
)
def test_parameters_at_the_papers_size(fields, define, io):
    assert CONTEXT == 44_138_496
    expected = {"define": define, "context": CONTEXT, "io": io, "total": define + CONTEXT + io}
    assert paper(**fields) == expected
    norms = 2 * 2 * M  # one after each stack
    expected |= {"context": CONTEXT + norms, "total": expected["total"] + norms}
    assert paper(**fields, pre_norm=True) == expected
    expected |= {"io": io + TYPES, "total": expected["total"] + TYPES}
    assert paper(**fields, pre_norm=True, output_bias=True) == expected


# Initial values.


@pytest.mark.parametrize("share", SHARES)
def test_initial_values(share):
    types = dictionary(3_000)
    layers = {"encoder_layers": 1, "decoder_layers": 1}
    config = DefineTransformerConfig(**layers, share=share, output_bias=True)
    model = DefineTransformer.from_dictionaries(config, types, types)
    for embedding in model.embeddings:
        assert embedding.map.weight.std().item() == pytest.approx(N_ROW**-0.5, rel=0.02)
        assert abs(embedding.map.weight.mean().item()) < 0.001
    output = model.decoder.output_projection
    assert output.bias.eq(0).all()
    assert output.weight.std().item() == pytest.approx(output.in_features**-0.5, rel=0.02)
    assert output.in_features == (N_ROW if config.shares_output else M)


@pytest.mark.parametrize("share", SHARES)
def test_glorot_draws_every_matrix_and_nothing_else(share):
    config = replace(SMALL, share=share, init="glorot", output_bias=True)
    torch.manual_seed(1)
    model = DefineTransformer.from_dictionaries(config, *joined(config))
    torch.manual_seed(1)
    fairseqs_own = DefineTransformer.from_dictionaries(
        replace(config, init="fairseq"), *joined(config)
    )
    before, groups = dict(fairseqs_own.named_parameters()), set()
    assert [name for name, _ in model.named_parameters()] == list(before)  # ties are the same
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            assert torch.equal(parameter, before[name]), name
            continue
        matrices = parameter.detach() if parameter.dim() == 3 else parameter.detach()[None]
        groups.add(len(matrices))
        bound = math.sqrt(6 / sum(matrices.shape[1:]))
        for matrix in matrices:
            draws = matrix.numel()
            # The largest of so many draws is smaller but once in e^10 times.
            assert bound * (1 - 10 / draws) < matrix.abs().max() <= bound, name
            # Five standard errors of a uniform distribution's deviation.
            error = 5 * math.sqrt(0.2 / draws)
            assert matrix.std().item() == pytest.approx(bound / math.sqrt(3), rel=error), name
        assert not torch.equal(parameter, before[name]), name
    assert groups == {1, 2, 4}
    for embedding in model.embeddings:
        assert embedding(torch.tensor([PAD])).eq(0).all()


@pytest.mark.parametrize(
    ("fields", "std"),
    [
        ({"input": "table", "map_dim": M}, 1.0),
        ({"input": "linear"}, math.sqrt(N_ROW * 2 / (N_ROW + M))),  # Xavier's variance, n times
        ({"input": "define"}, 0.63),  # measured; the output has a norm and an activation
    ],
)
def test_every_input_layer_begins_at_the_scale_of_plain_tables(fields, std):
    """The stacks add positions of a deviation of about 0.7 to e_o."""
    types = dictionary(3_000)
    config = DefineTransformerConfig(encoder_layers=1, decoder_layers=1, **fields)
    model = DefineTransformer.from_dictionaries(config, types, types)
    for embedding in model.embeddings:
        e_o = embedding(torch.arange(4, len(types)))
        assert e_o.std().item() == pytest.approx(std, rel=0.05)


# The fold.


def prepared(model: DefineTransformer) -> DefineTransformer:
    """As fairseq-generate prepares it."""
    model.prepare_for_inference_(Namespace(generation=GenerationConfig(beam=3)))
    return model


@pytest.mark.parametrize("fields", COMBINATIONS)
def test_the_fold_changes_no_output(fields):
    model = build(**fields).eval()
    batch = sample(model)
    with torch.no_grad():
        expected = logits(model, batch)
        assert not any(embedding.cached for embedding in model.embeddings)
        folded = logits(prepared(model), batch)
    assert all(embedding.cached for embedding in model.embeddings)
    torch.testing.assert_close(folded, expected, rtol=1e-12, atol=1e-12)


def test_the_fold_is_read_and_dropped_by_training():
    assert not any(embedding.cached for embedding in prepared(build(cache=False)).embeddings)
    model = prepared(build())
    for embedding in model.embeddings:
        calls = []
        embedding.unit.register_forward_hook(lambda *_: calls.append(1))  # noqa: B023
        embedding(torch.tensor([4, 5]))
        assert not calls
        embedding.train()
        embedding(torch.tensor([4, 5]))
        assert calls and not embedding.cached
    with pytest.raises(RuntimeError, match="cannot train after"):  # fairseq's own rule
        model.train()


@pytest.mark.parametrize("cache", [False, True])
def test_incremental_decoding_is_full_decoding(cache):
    model = prepared(build(cache=cache))
    inputs = sample(model)["net_input"]
    longest = inputs["prev_output_tokens"].ne(PAD).all(1).nonzero()[0]
    tokens = inputs["prev_output_tokens"][longest]
    with torch.no_grad():
        encoded = model.encoder(inputs["src_tokens"][longest])
        expected, _ = model.decoder(tokens, encoder_out=encoded)
        state, steps = {}, []
        for end in range(1, tokens.shape[1] + 1):
            step, _ = model.decoder(tokens[:, :end], encoded, incremental_state=state)
            steps.append(step)
    assert all(step.shape == (1, 1, len(TARGET)) for step in steps)
    # Step by step, fairseq's attention takes its softmax in float32.
    torch.testing.assert_close(torch.cat(steps, 1), expected, rtol=0, atol=2e-6)


def learn(model: DefineTransformer, batch: dict, updates: int) -> list[float]:
    """Trains on one batch; returns the losses per token."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(updates):
        loss = nn.functional.cross_entropy(
            logits(model, batch).flatten(0, 1), batch["target"].flatten(), ignore_index=PAD
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def hypotheses(model: DefineTransformer, batch: dict) -> tuple[list[list[int]], list[float]]:
    """Ids, and scores, of all beams of all sentences."""
    found = SequenceGenerator([model], TARGET, beam_size=3, max_len_b=9).generate([model], batch)
    beams = [beam for own in found for beam in own]
    return [beam["tokens"].tolist() for beam in beams], [beam["score"].item() for beam in beams]


@pytest.mark.parametrize("updates", [0, 60], ids=["untrained", "trained"])
def test_hypotheses_with_and_without_the_fold_are_the_same(updates):
    config = replace(SMALL, output_bias=True)
    model = DefineTransformer.from_dictionaries(config, SOURCE, TARGET)
    batch = sample(model)
    losses = learn(model, batch, updates)
    twin = DefineTransformer.from_dictionaries(replace(config, cache=False), SOURCE, TARGET)
    twin.load_state_dict(model.state_dict())
    found, expected = (hypotheses(prepared(m), batch) for m in (model, twin))
    assert model.embeddings[0].cached and not twin.embeddings[0].cached
    assert found[0] == expected[0]
    assert found[1] == pytest.approx(expected[1], abs=1e-5)
    if updates:
        assert losses[-1] < losses[0] / 5
        assert len(set(map(tuple, found[0][::3]))) == 4, "it must tell the sentences apart"


# Names for fairseq's command line.


def parsed(*words: str) -> dict:
    """The model section of `fairseq-train`'s config."""
    plugin.register()
    parser = options.get_training_parser()
    arguments = options.parse_args_and_arch(parser, input_args=["data", *words])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Hydra on how fairseq calls it
        return OmegaConf.to_container(convert_namespace_to_omegaconf(arguments).model)


DEFAULTS = vars(DefineTransformerConfig())
RECIPE = {"init", "dropout", "attention_dropout", "activation_dropout", "pre_norm", "output_bias"}


@pytest.mark.parametrize("name", ["define_transformer", *ARCHITECTURES])
def test_every_architecture_has_its_own_values_and_the_defaults_and_options_override_them(name):
    expected = DEFAULTS | ARCHITECTURES.get(name, {}) | {"_name": name}
    assert parsed("--arch", name) == expected
    words = "--map-dim 16 --input linear --heads 2 --pre-norm --share all".split()
    given = {"map_dim": 16, "input": "linear", "heads": 2, "pre_norm": True, "share": "all"}
    assert parsed("--arch", name, *words) == expected | given


@pytest.mark.parametrize(
    ("name", "row", "scale"),
    [
        ("define_transformer", "transformer_define", "paper"),  # but for OpenNMT-py's recipe
        ("define_transformer_plain", "transformer", "paper"),
        ("define_transformer_tiny", "transformer_define", "mini"),
        ("define_transformer_tiny_plain", "transformer", "mini"),
    ],
)
def test_architectures_have_the_sizes_of_table_3(name, row, scale):
    section = compose([f"experiment=table_3/{row}", f"scale={scale}"]).model
    sizes = set(DEFAULTS) - {"_name"} - (RECIPE if scale == "paper" else set())
    if section.input == "table":
        sizes -= {"expand_dim", "reduce_dim", "depth", "max_groups", "width_multiple"}
    found = parsed("--arch", name)
    assert {key: found[key] for key in sizes} == {key: section[key] for key in sizes}


# Errors.


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"init": "xavier"}, "init = 'xavier' is unknown; take one of fairseq, glorot"),
        ({"share": "some"}, "share = 'some' is unknown; take one of none, source_target, "),
        ({"inner_dim": 0}, "inner_dim = 0 must be at least 1"),
        ({"heads": 0}, "heads = 0 must be at least 1"),
        ({"encoder_layers": 0}, "encoder_layers = 0 must be at least 1"),
        ({"decoder_layers": -1}, "decoder_layers = -1 must be at least 1"),
        ({"max_source_positions": 0}, "max_source_positions = 0 must be at least 1"),
        ({"dropout": 1.0}, r"model.dropout = 1.0 must be at least 0 and below 1"),
        ({"attention_dropout": -0.1}, r"attention_dropout = -0.1 must be at least 0"),
        ({"reduce_dim": 16}, "has 16 dimensions, but model.model_dim = 15; set model.reduce_dim"),
        ({"input": "table"}, "output has 8 dimensions, but model.model_dim = 15; set .* model.map"),
        ({"heads": 4}, "model_dim = 15 must be a multiple of model.heads = 4"),
        ({"share": "all", **CLUSTERS}, "all needs one table .* model.map = adaptive; set .*map=st"),
        ({"input": "gru"}, "input = 'gru'"),
        ({"unit": "text", "max_groups": 3}, "n. = 8 cannot be split into 3"),
    ],
)
def test_bad_values_are_named_with_the_rule_and_the_way_out(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        DefineTransformer.from_dictionaries(replace(SMALL, **fields), SOURCE, SOURCE)


@pytest.mark.parametrize("share", ["source_target", "all"])
def test_one_table_for_two_vocabularies_is_refused(share):
    sentence = f"share = {share} needs one dictionary for both languages; prepare a corpus with a"
    with pytest.raises(InputError, match=sentence):
        DefineTransformer.from_dictionaries(replace(SMALL, share=share), SOURCE, TARGET)
