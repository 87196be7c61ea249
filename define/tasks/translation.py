"""fairseq's translation task with an observer and a choice of precision."""

import math
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fairseq import utils
from fairseq.data import FairseqDataset
from fairseq.data.iterators import EpochBatchIterating
from fairseq.logging import metrics
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask

from define.data import prepared
from define.data.parallel import pairs
from define.data.parallel.binarise import read_dictionaries
from define.errors import InputError
from define.tasks.corpus import KnowsCorpus
from define.tasks.observer import Observed, autocast, check_autocast, require_known_world
from define.tasks.options import TranslationOptions

# fairseq requests pinned memory without a GPU, mixes the types of attention masks and calls
# autocast by its old name. Users cannot change any of that.
for _message in ("'pin_memory' argument", "Support for mismatched key_padding_mask"):
    warnings.filterwarnings("ignore", message=_message)
warnings.filterwarnings("ignore", message=r"`torch\.cuda\.amp\.autocast", category=FutureWarning)


@dataclass
class DefineTranslationConfig(TranslationOptions, TranslationConfig):
    pass


@register_task("define_translation", dataclass=DefineTranslationConfig)
class DefineTranslationTask(Observed, KnowsCorpus, TranslationTask):
    """Trains and validates like fairseq's task, but drops no sentence and counts scored tokens."""

    def __init__(self, cfg: DefineTranslationConfig, src_dict, tgt_dict):
        super().__init__(cfg, src_dict, tgt_dict)
        check_autocast(cfg.autocast)
        self._tokens, self._nll, self._epoch = 0, 0.0, 1
        self._iterated: FairseqDataset | None = None

    @classmethod
    def setup_task(cls, cfg: DefineTranslationConfig, **kwargs) -> "DefineTranslationTask":
        task = super().setup_task(cfg, **kwargs)
        task.identity  # noqa: B018 - refuses changed files before training
        return task

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Of the corpus; of its dictionaries alone if fairseq-preprocess made the folder."""
        if self.observer.corpus is not None:
            return self.observer.corpus.identity
        folder = Path(utils.split_paths(self.cfg.data)[0])
        if (folder / prepared.META).is_file():
            return pairs.load(folder).identity
        pieces = read_dictionaries(folder, self.cfg.source_lang, self.cfg.target_lang)
        return prepared.identity(folder.name, {}, pieces)

    def get_batch_iterator(
        self,
        dataset: FairseqDataset,
        *args,
        required_batch_size_multiple: int = 1,
        epoch: int = 1,
        **kwargs,
    ) -> EpochBatchIterating:
        """Like fairseq's, but with the same batches in whichever epoch training resumes.

        Raises:
            InputError: a required multiple other than 1, with which fairseq silently drops the
                last batch (fairseq/data/data_utils.py, batch_by_size).
        """
        if required_batch_size_multiple != 1:
            raise InputError(
                f"dataset.required_batch_size_multiple = {required_batch_size_multiple} makes "
                f"fairseq drop the last sentences, which are the longest; set it to 1 "
                f"(--required-batch-size-multiple 1)"
            )
        self._iterated = dataset
        is_new = dataset not in self.dataset_to_epoch_iter
        # Batches are made once, and the epoch seeds the order of sentences of equal length in them.
        batches = super().get_batch_iterator(dataset, *args, epoch=1, **kwargs)
        if is_new:
            batches.epoch = epoch
        return batches

    def begin_epoch(self, epoch, model) -> None:
        require_known_world()
        super().begin_epoch(epoch, model)
        self._epoch = epoch
        self.observer.begin()

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):
        criterion = self._autocast(criterion)
        loss, sample_size, logging_output = super().train_step(
            sample, model, criterion, optimizer, update_num, ignore_grad
        )
        if not ignore_grad:
            self._tokens += sample["ntokens"]
            self._nll = self._nll + logging_output["nll_loss"]
        return loss, sample_size, logging_output

    def valid_step(self, sample, model, criterion):
        return super().valid_step(sample, model, self._autocast(criterion))

    def _autocast(self, criterion):
        """The criterion in the task's precision; the backward pass uses the same."""

        def loss(model, sample, *args, **kwargs):
            with autocast(self.cfg.autocast, sample["target"].device.type):
                return criterion(model, sample, *args, **kwargs)

        return loss

    def optimizer_step(self, optimizer, model, update_num) -> None:
        super().optimizer_step(optimizer, model, update_num)
        tokens, nll = self._tokens, self._nll
        self._tokens, self._nll = 0, 0.0
        self.observer.updated(update_num + 1, tokens, optimizer.get_lr(), nll)

    def reduce_metrics(self, logging_outputs, criterion) -> None:
        totals = {
            key: sum(float(log.get(key, 0)) for log in logging_outputs)
            for key in ("nll_loss", "ntokens")
        }
        scored = totals["ntokens"]
        if scored:  # before fairseq's call, which rounds to three decimals
            nll = totals["nll_loss"] / scored / math.log(2)
            metrics.log_scalar("nll_loss", nll, scored, round=None)
        super().reduce_metrics(logging_outputs, criterion)
        metrics.log_scalar_sum("scored_tokens", int(scored))

    def post_validate(self, model, stats, agg) -> None:
        # fairseq makes the batches of a validation just before it.
        scored, expected = int(stats["scored_tokens"]), int(self._iterated.tgt_sizes.sum())
        if scored != expected:
            raise RuntimeError(f"validation scored {scored} tokens, but the corpus has {expected}")
        self.observer.validated(self._epoch, dict(stats), False)
