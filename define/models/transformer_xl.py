"""Transformer-XL registered with fairseq; the model itself is `define.core.transformer_xl`."""

from dataclasses import dataclass

from fairseq.dataclass import FairseqDataclass
from fairseq.models import register_model

from define.core.transformer_xl import TransformerXLConfig
from define.models.language_model import LanguageModel


@dataclass
class TransformerXLModelConfig(TransformerXLConfig, FairseqDataclass):
    pass


@register_model("define_transformer_xl", dataclass=TransformerXLModelConfig)
class TransformerXLModel(LanguageModel):
    pass
