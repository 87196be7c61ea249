"""fairseq's Transformer (Vaswani et al. 2017) with our input layers before both stacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.dataclass import FairseqDataclass
from fairseq.models import BaseFairseqModel, register_model, register_model_architecture
from fairseq.models.transformer import TransformerConfig as FairseqTransformerConfig
from fairseq.models.transformer import (
    TransformerDecoderBase,
    TransformerEncoderBase,
    TransformerModelBase,
)
from fairseq.models.transformer.transformer_config import DecoderConfig, EncDecBaseConfig
from torch import Tensor, nn

from define.core.embedding import DefineEmbedding
from define.core.inputs import build_input
from define.core.outputs import smoothed_nll_sums
from define.core.parts import mark_parts
from define.core.registry import config_from
from define.core.transformer import TransformerConfig, check


@dataclass
class DefineTransformerConfig(TransformerConfig, FairseqDataclass):
    def transformer_config(self) -> FairseqTransformerConfig:
        """fairseq's own config; our input layers do their own scaling."""
        stack = {
            "embed_dim": self.model_dim,
            "ffn_embed_dim": self.inner_dim,
            "attention_heads": self.heads,
            "normalize_before": self.pre_norm,
        }
        return FairseqTransformerConfig(
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            activation_dropout=self.activation_dropout,
            # The defaults are class objects, which all configs would share.
            encoder=EncDecBaseConfig(layers=self.encoder_layers, **stack),
            decoder=DecoderConfig(
                layers=self.decoder_layers,
                input_dim=self.model_dim,
                output_dim=self.output_dim,
                **stack,
            ),
            max_source_positions=self.max_source_positions,
            max_target_positions=self.max_target_positions,
            no_scale_embedding=True,
        )


def build_embedding(config: DefineTransformerConfig, dictionary: Dictionary) -> DefineEmbedding:
    """Builds the input layer of one language; a standard table is drawn from N(0, 1 / n).

    Raises:
        InputError: dimensions that contradict each other.
    """
    embedding = build_input(config, len(dictionary))
    embedding.padding_idx = dictionary.pad()
    if config.map == "standard":
        nn.init.normal_(embedding.map.weight, std=config.map_dim**-0.5)
    return embedding


@torch.no_grad()
def set_glorot_values(model: nn.Module) -> None:
    """Draws every matrix Xavier-uniformly, including tables and output layer; a tied one once.

    Source: OpenNMT-py of 2019, onmt/model_builder.py (build_base_model with param_init 0 and
    param_init_glorot, as in config/config-transformer-base-4GPU.yml). It draws every parameter of
    more than one dimension; biases and LayerNorm keep their values. A group linear layer is drawn
    group by group, as in the unit. The padding's row is drawn too, as in the source, but
    `DefineEmbedding` returns zero for padding.
    """
    for parameter in model.parameters():
        if parameter.dim() > 1:
            for matrix in parameter if parameter.dim() > 2 else [parameter]:
                nn.init.xavier_uniform_(matrix)


@register_model("define_transformer", dataclass=DefineTransformerConfig)
class DefineTransformer(TransformerModelBase):
    """fairseq's Transformer with other input layers and more ways to share the output layer.

    Generation reads the input layers from tables (`DefineEmbedding.cache`) unless `cfg.cache` is
    off.
    """

    @classmethod
    def add_args(cls, parser) -> None:
        """Adds the options of our config instead of those of TransformerModelBase."""
        BaseFairseqModel.add_args.__func__(cls, parser)

    @classmethod
    def build_model(cls, cfg, task) -> "DefineTransformer":
        return cls.from_dictionaries(
            config_from(DefineTransformerConfig, cfg),
            task.source_dictionary,
            task.target_dictionary,
        )

    @classmethod
    def from_dictionaries(
        cls, config: DefineTransformerConfig, source: Dictionary, target: Dictionary
    ) -> "DefineTransformer":
        """Builds the model for two vocabularies.

        Raises:
            InputError: an invalid value, or different vocabularies with a shared table.
        """
        check(config, source, target)
        inputs = build_embedding(config, source)
        outputs = inputs if config.shares_input else build_embedding(config, target)
        fairseq_config = config.transformer_config()
        projection = nn.Linear(
            fairseq_config.decoder.output_dim, len(target), bias=config.output_bias
        )
        nn.init.normal_(projection.weight, std=projection.in_features**-0.5)
        if config.output_bias:
            nn.init.zeros_(projection.bias)
        if config.shares_output:
            projection.weight = outputs.map.weight
        model = cls(
            fairseq_config,
            TransformerEncoderBase(fairseq_config, source, inputs),
            TransformerDecoderBase(fairseq_config, target, outputs, output_projection=projection),
        )
        model.cache = config.cache
        if config.init == "glorot":
            set_glorot_values(model)
        mark_parts(model, model.embeddings, model.output_layers)
        return model

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        prev_output_tokens: Tensor,
        target: Tensor | None = None,
        smoothing: float = 0.0,
        **options: Any,
    ):
        """As fairseq's, or with targets the two sums of `smoothed_nll_sums`, without its logits."""
        inputs = src_tokens, src_lengths, prev_output_tokens
        if target is None:
            return super().forward(*inputs, **options)
        features, _ = super().forward(*inputs, features_only=True, **options)
        output = self.decoder.output_projection
        ignored = self.decoder.padding_idx
        return smoothed_nll_sums(features, output.weight, output.bias, target, smoothing, ignored)

    @property
    def embeddings(self) -> list[DefineEmbedding]:
        """The input layers of encoder and decoder; one if they share it."""
        return list(dict.fromkeys([self.encoder.embed_tokens, self.decoder.embed_tokens]))

    @property
    def output_layers(self) -> list[nn.Module]:
        """The layers between the decoder's stack and the probabilities."""
        decoder = self.decoder
        return [m for m in (decoder.project_out_dim, decoder.output_projection) if m is not None]

    def prepare_for_inference_(self, cfg) -> None:
        super().prepare_for_inference_(cfg)
        if self.cache:
            for embedding in self.embeddings:
                embedding.cache()


_TINY = {
    "map_dim": 32,
    "expand_dim": 256,
    "reduce_dim": 128,
    "width_multiple": 8,
    "model_dim": 128,
    "inner_dim": 256,
    "heads": 4,
    "encoder_layers": 4,
    "decoder_layers": 4,
    "pre_norm": True,
    "output_bias": True,
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "define_transformer_plain": {"input": "table", "map_dim": 512},
    "define_transformer_tiny": _TINY,
    "define_transformer_tiny_plain": {**_TINY, "input": "table", "map_dim": 128},
}
"""Further names for fairseq's --arch -> differences from the defaults of define_transformer: the
sizes of Table 3's plain row, and of its DeFINE and plain rows at mini scale. Options override
them."""


def _register_architecture(name: str, values: Mapping[str, Any]) -> None:
    @register_model_architecture("define_transformer", name)
    def set_defaults(args) -> None:
        for key, value in values.items():
            setattr(args, key, getattr(args, key, value))


for _name, _values in ARCHITECTURES.items():
    _register_architecture(_name, _values)
