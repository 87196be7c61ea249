"""Label-smoothed loss of a translation model, without N x V logits, registered with fairseq."""

from dataclasses import dataclass

from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.dataclass import FairseqDataclass

from define.criterions.options import TranslationCriterionOptions, require_smoothing


@dataclass
class TranslationCriterionConfig(TranslationCriterionOptions, FairseqDataclass):
    pass


@register_criterion("define_translation", dataclass=TranslationCriterionConfig)
class TranslationCriterion(LabelSmoothedCrossEntropyCriterion):
    """fairseq's label_smoothed_cross_entropy; the model (a define_transformer) computes it."""

    def __init__(self, task, sentence_avg: bool, label_smoothing: float):
        require_smoothing(label_smoothing)
        super().__init__(task, sentence_avg, label_smoothing)

    def forward(self, model, sample, reduce: bool = True):
        target = sample["target"]
        loss, nll = model(**sample["net_input"], target=target, smoothing=self.eps)
        sample_size = target.size(0) if self.sentence_avg else sample["ntokens"]
        logging_output = {
            "loss": loss.detach(),
            "nll_loss": nll,
            "ntokens": sample["ntokens"],
            "nsentences": target.size(0),
            "sample_size": sample_size,
        }
        return loss, sample_size, logging_output
