"""AWD-LSTM and LSTM registered with fairseq; the model itself is `define.core.awd_lstm`."""

from dataclasses import dataclass

from fairseq.dataclass import FairseqDataclass
from fairseq.models import register_model

from define.core.awd_lstm import AWDLSTMConfig, LSTMConfig
from define.models.language_model import LanguageModel


@dataclass
class AWDLSTMModelConfig(AWDLSTMConfig, FairseqDataclass):
    pass


@register_model("define_awd_lstm", dataclass=AWDLSTMModelConfig)
class AWDLSTMModel(LanguageModel):
    pass


@dataclass
class LSTMModelConfig(LSTMConfig, FairseqDataclass):
    pass


@register_model("define_lstm", dataclass=LSTMModelConfig)
class LSTMModel(LanguageModel):
    pass
