"""The translation model's config, and an outline of it for counts.

The model itself is fairseq's Transformer with our input layers: `define.models.transformer`.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from define.core.embedding import DefineEmbedding
from define.core.inputs import InputConfig, build_input, option
from define.core.unit import require_choice
from define.errors import InputError

SHARES = ("none", "source_target", "target_output", "all")
INITS = ("fairseq", "glorot")


@dataclass
class TransformerConfig(InputConfig):
    """Defaults: the base model of Vaswani et al. with the unit of Table 3's DeFINE row."""

    expand_dim: int = option(1024, "k, width of the last layer of the expansion")
    reduce_dim: int = option(512, "m, dimension of e_o; equals model_dim")
    depth: int = option(3, "N, layers of the expansion")
    max_groups: int = option(4, "g_max, the most groups of a layer")
    scale_embedding: bool = option(True, "multiply e_i by the root of its dimension")
    model_dim: int = option(512, "width of both stacks")
    inner_dim: int = option(2048, "width inside the feed-forward layers")
    heads: int = option(8, "attention heads")
    encoder_layers: int = option(6, "layers of the encoder")
    decoder_layers: int = option(6, "layers of the decoder")
    dropout: float = option(0.1, "after the input layers and every sub-layer")
    attention_dropout: float = option(0.0, "of the attention's weights")
    activation_dropout: float = option(0.0, "inside the feed-forward layers")
    pre_norm: bool = option(False, "LayerNorm before each sub-layer, and one after each stack")
    output_bias: bool = option(False, "biases of the output layer")
    share: str = option(
        "none",
        "what shares one table: none, source_target (the whole input layer), target_output (a "
        "linear map takes the decoder's output to n where that is not model_dim), all",
    )
    max_source_positions: int = option(1024, "longest source sentence, in tokens")
    max_target_positions: int = option(1024, "longest target sentence, in tokens")
    cache: bool = option(True, "fold the input layers into tables for generation")
    init: str = option("fairseq", "initial values: fairseq, or glorot (OpenNMT-py's)")

    @property
    def shares_output(self) -> bool:
        """Whether the output layer reads the table of the decoder's input layer."""
        return self.share in ("target_output", "all")

    @property
    def shares_input(self) -> bool:
        """Whether encoder and decoder have one input layer."""
        return self.share in ("source_target", "all")

    @property
    def output_dim(self) -> int:
        """What the output layer reads, projected to it where that is not model_dim."""
        return self.map_dim if self.shares_output else self.model_dim


def check(config: TransformerConfig, source: Any, target: Any) -> None:
    """Refuses what fairseq would refuse late, or take silently.

    Args:
        source, target: the vocabularies, or their sizes; equal if the languages have one.

    Raises:
        InputError: a value that breaks a rule.
    """
    require_choice("share", config.share, SHARES)
    require_choice("init", config.init, INITS)
    for name in (
        *("inner_dim", "heads", "encoder_layers", "decoder_layers"),
        *("max_source_positions", "max_target_positions"),
    ):
        if getattr(config, name) < 1:
            raise InputError(f"{name} = {getattr(config, name)} must be at least 1")
    for name in ("dropout", "attention_dropout", "activation_dropout"):
        if not 0 <= getattr(config, name) < 1:
            raise InputError(f"{name} = {getattr(config, name)} must lie in [0, 1)")
    if config.input_dim != config.model_dim:
        raise InputError(
            f"the input layer gives {config.input_dim} dimensions, but model_dim = "
            f"{config.model_dim}; make reduce_dim (for a table alone: map_dim) equal to it"
        )
    if config.model_dim % config.heads:
        raise InputError(
            f"model_dim = {config.model_dim} must be a multiple of heads = {config.heads}"
        )
    if config.shares_output and config.map != "standard":
        raise InputError(
            f"share = {config.share} needs one table for all types, but map = {config.map}; take "
            f"map=standard or another share"
        )
    if config.shares_input and source != target:
        raise InputError(
            f"share = {config.share} needs one dictionary for both languages; prepare a corpus "
            f"with a joined one, or take share=none"
        )


class Outline(nn.Module):
    """The parameters of the translation model, under its names where they are ours.

    torch's layers have as many as fairseq's: four projections with biases per attention (three of
    them in one matrix), two per feed-forward layer, a LayerNorm per sub-layer.

    Args:
        source_types, target_types: V of either side, special symbols included.
    Raises:
        InputError: a value that breaks a rule.
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
            layers[0].weight = target.map.weight
        if config.output_dim != config.model_dim:
            layers.insert(0, nn.Linear(config.model_dim, config.output_dim, bias=False))
        self.decoder.output_layers = nn.ModuleList(layers)

    @property
    def embeddings(self) -> list[DefineEmbedding]:
        """The input layers, of encoder and decoder; one if they share it."""
        return list(dict.fromkeys([self.encoder.embed_tokens, self.decoder.embed_tokens]))

    @property
    def output_layers(self) -> list[nn.Module]:
        """What stands between the decoder's stack and the probabilities."""
        return list(self.decoder.output_layers)
