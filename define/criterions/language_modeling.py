"""Language-model loss with AWD-LSTM's activation regularisation, registered with fairseq."""

import math
from dataclasses import dataclass

from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics

from define.criterions.options import LanguageModelingCriterionOptions, require_penalties


@dataclass
class LanguageModelingCriterionConfig(LanguageModelingCriterionOptions, FairseqDataclass):
    pass


@register_criterion("define_language_modeling", dataclass=LanguageModelingCriterionConfig)
class LanguageModelingCriterion(FairseqCriterion):
    """Sum of the token losses in nats, plus (tokens scored) * (ar * AR + tar * TAR).

    fairseq divides the gradient by the tokens scored, so the penalties become means, as in
    awd-lstm-lm (main.py). Logged losses are in base 2, as everywhere in fairseq.
    """

    def __init__(self, task, ar: float = 0.0, tar: float = 0.0):
        super().__init__(task)
        require_penalties(ar, tar)
        self.ar, self.tar = ar, tar

    def forward(self, model, sample, reduce: bool = True):
        loss, sample_size, logging_output, _ = self.with_state(model, sample, None)
        return loss, sample_size, logging_output

    def with_state(self, model, sample, state):
        """Like `forward`, but takes and returns the state of continuing streams."""
        nll, output = model(sample["net_input"]["src_tokens"], state, sample["target"])
        scored = sample["ntokens"]
        loss = nll
        if self.training and self.ar:
            loss = loss + scored * self.ar * output.features.float().pow(2).mean()
        if self.training and self.tar and len(output.raw) > 1:
            change = output.raw[1:].float() - output.raw[:-1].float()
            loss = loss + scored * self.tar * change.pow(2).mean()
        logging_output = {
            "loss": loss.detach(),
            "nll_loss": nll.detach(),
            "ntokens": scored,
            "nsentences": sample["nsentences"],
            "sample_size": scored,
        }
        return loss, scored, logging_output, output.state

    @classmethod
    def reduce_metrics(cls, logging_outputs) -> None:
        """Logs base-2 losses per scored token, and the perplexity without the penalties."""
        totals = {
            key: sum(float(log.get(key, 0)) for log in logging_outputs)
            for key in ("loss", "nll_loss", "ntokens")
        }
        scored = totals["ntokens"]
        for key in ("loss", "nll_loss"):
            metrics.log_scalar(key, totals[key] / scored / math.log(2), scored)
        metrics.log_scalar_sum("scored_tokens", scored)
        metrics.log_derived("ppl", lambda meters: 2 ** meters["nll_loss"].avg)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return True
