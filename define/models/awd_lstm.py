"""AWD-LSTM registered with fairseq; the model itself is `define.core.awd_lstm`."""

from dataclasses import dataclass, fields

from fairseq.dataclass import FairseqDataclass
from fairseq.models import BaseFairseqModel, register_model

from define.core.awd_lstm import AWDLSTM, AWDLSTMConfig, AWDLSTMOutput, State


@dataclass
class AWDLSTMModelConfig(AWDLSTMConfig, FairseqDataclass):
    pass


@register_model("define_awd_lstm", dataclass=AWDLSTMModelConfig)
class AWDLSTMModel(BaseFairseqModel):
    """tokens (T, B) and the state before them -> (logits (T, B, V), AWDLSTMOutput)."""

    def __init__(self, core: AWDLSTM):
        super().__init__()
        self.core = core

    @classmethod
    def build_model(cls, cfg: AWDLSTMModelConfig, task) -> "AWDLSTMModel":
        names = [f.name for f in fields(AWDLSTMConfig)]
        config = AWDLSTMConfig(**{name: getattr(cfg, name) for name in names})
        return cls(AWDLSTM(config, task.num_types))

    def forward(self, src_tokens, state: State | None = None) -> tuple:
        output: AWDLSTMOutput = self.core(src_tokens, state)
        return self.core.logits(output.features), output

    def max_positions(self) -> None:
        """Streams have no longest length."""
        return None
