"""The translation model's config, and its parameters for counting without fairseq.

The model itself is fairseq's Transformer with our input layers, in `define.models.transformer`.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from define.core.inputs import InputConfig, build_input, option
from define.core.outputs import tables
from define.core.unit import require_choice, require_probability
from define.errors import InputError

SHARES = ("none", "source_target", "target_output", "all")
INITS = ("fairseq", "glorot")


@dataclass
class TransformerConfig(InputConfig):
    """Defaults to the base model of Vaswani et al. with the unit of Table 3's DeFINE row."""

    expand_dim: int = option(1024, "k, width of the last layer of the expansion")
    reduce_dim: int = option(512, "m, dimension of e_o; equals model_dim")
    depth: int = option(3, "N, layers of the expansion")
    max_groups: int = option(4, "g_max, largest number of groups in a layer")
    scale_embedding: bool = option(True, "multiply e_i by the square root of its dimension")
    model_dim: int = option(512, "width of both stacks")
    inner_dim: int = option(2048, "width inside the feed-forward layers")
    heads: int = option(8, "attention heads")
    encoder_layers: int = option(6, "layers of the encoder")
    decoder_layers: int = option(6, "layers of the decoder")
    dropout: float = option(0.1, "dropout after the input layers and every sub-layer")
    attention_dropout: float = option(0.0, "dropout of the attention weights")
    activation_dropout: float = option(0.0, "dropout inside the feed-forward layers")
    pre_norm: bool = option(False, "LayerNorm before each sub-layer and after each stack")
    output_bias: bool = option(False, "give the output layer a bias")
    share: str = option(
        "none",
        "layers that share one table: none, source_target (the whole input layer), target_output "
        "(a linear map projects the decoder's output to n if that is not model_dim), all",
    )
    max_source_positions: int = option(1024, "longest source sentence, in tokens")
    max_target_positions: int = option(1024, "longest target sentence, in tokens")
    cache: bool = option(True, "fold the input layers into tables for generation")
    init: str = option("fairseq", "initialisation: fairseq or glorot (OpenNMT-py's)")

    @property
    def shares_output(self) -> bool:
        """Whether the output layer shares the table of the decoder's input layer."""
        return self.share in ("target_output", "all")

    @property
    def shares_input(self) -> bool:
        """Whether encoder and decoder share one input layer."""
        return self.share in ("source_target", "all")

    @property
    def output_dim(self) -> int:
        """Width of the output layer's input."""
        return self.map_dim if self.shares_output else self.model_dim


def check(config: TransformerConfig, source: Any, target: Any) -> None:
    """Checks values that fairseq checks late or not at all.

    Args:
        source, target: the vocabularies or their sizes; equal if the languages share one.

    Raises:
        InputError: an invalid value.
    """
    require_choice("model.share", config.share, SHARES)
    require_choice("model.init", config.init, INITS)
    for name in (
        *("inner_dim", "heads", "encoder_layers", "decoder_layers"),
        *("max_source_positions", "max_target_positions"),
    ):
        if getattr(config, name) < 1:
            raise InputError(f"model.{name} = {getattr(config, name)} must be at least 1")
    for name in ("dropout", "attention_dropout", "activation_dropout"):
        require_probability(f"model.{name}", getattr(config, name))
    if config.input_dim != config.model_dim:
        raise InputError(
            f"the input layer's output has {config.input_dim} dimensions, but model.model_dim = "
            f"{config.model_dim}; set model.reduce_dim (without a unit: model.map_dim) to the same"
        )
    if config.model_dim % config.heads:
        raise InputError(
            f"model.model_dim = {config.model_dim} must be a multiple of model.heads = "
            f"{config.heads}"
        )
    if config.shares_output and config.map != "standard":
        raise InputError(
            f"model.share = {config.share} needs one table for all types, but model.map = "
            f"{config.map}; set model.map=standard or another model.share"
        )
    if config.shares_input and source != target:
        raise InputError(
            f"model.share = {config.share} needs one dictionary for both languages; prepare a "
            f"corpus with a joined one, or set model.share=none"
        )


class Outline(nn.Module):
    """A module with the translation model's parameters, for counting.

    torch's layers have the same number as fairseq's: four projections with biases per attention
    (three of them in one matrix), two per feed-forward layer, a LayerNorm per sub-layer.

    Args:
        source_types, target_types: V of each side, including special symbols.
    Raises:
        InputError: an invalid value.
    """

    def __init__(self, config: TransformerConfig, source_types: int, target_types: int):
        check(config, source_types, target_types)
        super().__init__()
        source = build_input(config, source_types)
        target = source if config.shares_input else build_input(config, target_types)
        sizes = config.model_dim, config.heads, config.inner_dim
        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.encoder.embed_tokens, self.decoder.embed_tokens = source, target
        self.encoder.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(*sizes) for _ in range(config.encoder_layers)
        )
        self.decoder.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(*sizes) for _ in range(config.decoder_layers)
        )
        if config.pre_norm:
            self.encoder.layer_norm = nn.LayerNorm(config.model_dim)
            self.decoder.layer_norm = nn.LayerNorm(config.model_dim)
        layers = [nn.Linear(config.output_dim, target_types, bias=config.output_bias)]
        if config.shares_output:
            layers[0].weight = next(iter(tables(target.map)))
        if config.output_dim != config.model_dim:
            layers.insert(0, nn.Linear(config.model_dim, config.output_dim, bias=False))
        self.decoder.output_layers = nn.ModuleList(layers)
        self.embeddings = list(dict.fromkeys([source, target]))
        """The input layers of encoder and decoder; one if they share it."""
        self.output_layers: list[nn.Module] = list(layers)
        """The layers between the decoder's stack and the probabilities."""
