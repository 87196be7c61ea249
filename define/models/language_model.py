"""The fairseq wrapper that all registered language models share; models are in `define.core`."""

from fairseq.models import BaseFairseqModel
from torch import Tensor, nn

from define.core.language_model import LanguageModelOutput
from define.core.parts import mark_parts
from define.core.registry import build_model
from define.core.state import State


class LanguageModel(BaseFairseqModel):
    """Tokens and targets (T, B) and the state before them -> (summed nll in nats, output).

    The model computes the loss itself, so the logits never leave the output layer. Without targets
    the loss is None.
    """

    def __init__(self, core: nn.Module):
        super().__init__()
        self.core = core
        mark_parts(core, [core.embedding], [core.output])

    @classmethod
    def build_model(cls, cfg, task) -> "LanguageModel":
        return cls(build_model(cfg, task.num_types))

    def forward(
        self, src_tokens: Tensor, state: State | None = None, target: Tensor | None = None
    ) -> tuple[Tensor | None, LanguageModelOutput]:
        output = self.core(src_tokens, state)
        nll = None if target is None else self.core.output.nll_sum(output.features, target)
        return nll, output

    def max_positions(self) -> None:
        """None: a stream has no maximum length."""
        return None
