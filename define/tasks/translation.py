"""fairseq's translation task, observed, in a precision of choice."""

from dataclasses import dataclass, field

from fairseq.logging import metrics
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask

from define.tasks.observer import AUTOCAST_HELP, Observed, autocast, check_autocast


@dataclass
class DefineTranslationConfig(TranslationConfig):
    autocast: str = field(default="none", metadata={"help": AUTOCAST_HELP})


@register_task("define_translation", dataclass=DefineTranslationConfig)
class DefineTranslationTask(Observed, TranslationTask):
    """Trains and validates as fairseq's; counts the tokens that validation scores."""

    def __init__(self, cfg: DefineTranslationConfig, src_dict, tgt_dict):
        super().__init__(cfg, src_dict, tgt_dict)
        check_autocast(cfg.autocast)
        self._tokens, self._epoch = 0, 1

    def begin_epoch(self, epoch, model) -> None:
        super().begin_epoch(epoch, model)
        self._epoch = epoch
        self.observer.begin()

    def train_step(self, sample, model, criterion, *args, **kwargs):
        self._tokens += sample["ntokens"]
        return super().train_step(sample, model, self._autocast(criterion), *args, **kwargs)

    def valid_step(self, sample, model, criterion):
        return super().valid_step(sample, model, self._autocast(criterion))

    def _autocast(self, criterion):
        """The criterion in the task's precision; the backward pass follows by itself."""

        def loss(model, sample, *args, **kwargs):
            with autocast(self.cfg.autocast, sample["target"].device.type):
                return criterion(model, sample, *args, **kwargs)

        return loss

    def optimizer_step(self, optimizer, model, update_num) -> None:
        super().optimizer_step(optimizer, model, update_num)
        tokens, self._tokens = self._tokens, 0
        self.observer.updated(update_num + 1, tokens, optimizer.get_lr())

    def reduce_metrics(self, logging_outputs, criterion) -> None:
        super().reduce_metrics(logging_outputs, criterion)
        scored = sum(int(log.get("ntokens", 0)) for log in logging_outputs)
        metrics.log_scalar_sum("scored_tokens", scored)

    def post_validate(self, model, stats, agg) -> None:
        scored, expected = int(stats["scored_tokens"]), int(self.datasets["valid"].tgt_sizes.sum())
        if scored != expected:
            raise RuntimeError(f"validation scored {scored} tokens, the corpus has {expected}")
        self.observer.validated(self._epoch, dict(stats), False)
