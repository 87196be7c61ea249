"""Language modelling on contiguous streams, registered with fairseq."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from fairseq import distributed_utils
from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask, register_task

from define.core.state import State, detach, map_state
from define.criterions.language_modeling import LanguageModelingCriterion
from define.data.text import corpora
from define.data.text.streams import Streams
from define.errors import InputError
from define.optim import adam, sgd  # noqa: F401 - `--user-dir` imports only models and tasks
from define.optim.nt_asgd import FairseqNTASGD
from define.tasks.batches import StreamBatches, TokenDataset
from define.tasks.corpus import KnowsCorpus
from define.tasks.observer import Observed, autocast, require_known_world
from define.tasks.options import (
    LanguageModelingOptions,
    check,
    require_streams,
    window_lengths,
)


@dataclass
class LanguageModelingTaskConfig(LanguageModelingOptions, FairseqDataclass):
    pass


@register_task("define_language_modeling", dataclass=LanguageModelingTaskConfig)
class StreamLanguageModelingTask(Observed, KnowsCorpus, FairseqTask):
    """Carries the streams' state from batch to batch; resets it between splits and epochs.

    Each worker reads `dataset.batch_size` streams, its own columns of one global layout, in windows
    of the same lengths.

    Args:
        corpus: the corpus to read; default: the launcher's, else the one prepared in `cfg.data`.
    """

    def __init__(self, cfg: LanguageModelingTaskConfig, corpus: corpora.Corpus | None = None):
        super().__init__(cfg)
        check(cfg)
        self.corpus = corpus or self.observer.corpus or corpora.load(cfg.data)
        self._state: dict[str, State | None] = defaultdict(lambda: None)
        self._all_columns: State | None = None
        self._restored: State | None = None
        self._lengths: list[int] = []
        self._tokens, self._nll = 0, 0.0
        self._optimizer: FairseqNTASGD | None = None
        self._awaiting_validation = False
        self._train_batches: StreamBatches | None = None

    @property
    def num_types(self) -> int:
        """V, including end-of-sentence, without padding."""
        return self.corpus.types

    @property
    def identity(self) -> dict[str, Any]:
        return self.corpus.identity

    def load_dataset(self, split: str, combine: bool = False, **kwargs) -> None:
        tokens = self.corpus.tokens[split]
        if split == "train" and self.cfg.train_tokens:
            tokens = tokens[: self.cfg.train_tokens]
        self.datasets[split] = TokenDataset(tokens, split)

    def get_batch_iterator(
        self, dataset, max_sentences=None, seed=1, num_shards=1, shard_id=0, epoch=1, **kwargs
    ) -> StreamBatches:
        require_streams(max_sentences)
        cfg, train = self.cfg, dataset.split == "train"
        total = max_sentences * num_shards
        streams = Streams(dataset.tokens, self.corpus.eos, total, shard_id, num_shards)

        def lengths(epoch: int) -> list[int]:
            return window_lengths(cfg, streams.steps, train, seed, epoch)

        batches = StreamBatches(streams, lengths, total, epoch)
        if train:
            self._train_batches = batches
        return batches

    def build_criterion(self, cfg):
        criterion = super().build_criterion(cfg)
        if not isinstance(criterion, LanguageModelingCriterion):
            raise InputError(
                f"criterion {type(criterion).__name__} carries no state between batches; "
                f"use --criterion define_language_modeling"
            )
        return criterion

    def begin_epoch(self, epoch, model) -> None:
        require_known_world()
        self.observer.begin()

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):
        self._note_optimizer(optimizer)
        if self._restored is not None:
            self._state["train"], self._restored = own_columns(self._restored, sample), None
        loss, sample_size, logging_output = self._step("train", sample, model, criterion)
        optimizer.backward(loss * 0 if ignore_grad else loss)
        self._lengths.append(sample["length"])
        self._tokens += sample["ntokens"]
        self._nll = self._nll + logging_output["nll_loss"]
        return loss, sample_size, logging_output

    def valid_step(self, sample, model, criterion):
        model.eval()
        with torch.no_grad():
            return self._step("valid", sample, model, criterion)

    def _step(self, split, sample, model, criterion):
        state = None if sample["first"] else self._state[split]
        device = sample["target"].device.type
        with autocast(self.cfg.autocast, device):
            loss, sample_size, logging_output, state = criterion.with_state(model, sample, state)
        self._state[split] = detach(state)
        return loss, sample_size, logging_output

    def optimizer_step(self, optimizer, model, update_num) -> None:
        lr, lengths, self._lengths = optimizer.get_lr(), self._lengths, []
        if self.cfg.scale_lr_by_length:
            optimizer.set_lr(lr * sum(lengths) / len(lengths) / self.cfg.bptt)
        optimizer.step()
        optimizer.set_lr(lr)
        tokens, nll = self._tokens, self._nll
        self._tokens, self._nll = 0, 0.0
        self.observer.updated(update_num + 1, tokens, lr, nll)

    def _note_optimizer(self, optimizer) -> None:
        """Restores the raw weights for training; validation uses the averaged ones."""
        if isinstance(getattr(optimizer, "fp32_optimizer", None), FairseqNTASGD):
            raise InputError(
                "define_nt_asgd averages float32 weights, but common.fp16 or common.bf16 is true; "
                "set both to false and use task.autocast=bf16"
            )
        if isinstance(optimizer, FairseqNTASGD):
            self._optimizer = optimizer
            optimizer.optimizer.use_raw()

    def begin_valid_epoch(self, epoch, model) -> None:
        if self._optimizer is not None:
            self._optimizer.optimizer.use_averages()
        self._all_columns = gather(self._state["train"])
        self._awaiting_validation = True

    def post_validate(self, model, stats, agg) -> None:
        if not self._awaiting_validation:
            return
        self._awaiting_validation = False
        scored, expected = int(stats["scored_tokens"]), len(self.datasets["valid"])
        if scored != expected:
            raise RuntimeError(f"validation scored {scored} tokens, but the corpus has {expected}")
        averaged, batches = False, self._train_batches
        if self._optimizer is not None:
            averaged = self._optimizer.optimizer.swapped
            if batches.end_of_epoch():  # a mid-epoch save must not change when averaging starts
                self._optimizer.observe_validation(stats["loss"])
        self.observer.validated(batches.epoch, dict(stats), averaged)

    def get_checkpoint_dict(self) -> dict:
        """The state of all workers' streams at the validation before each save."""
        ((name, saved),) = super().get_checkpoint_dict().items()
        return {name: {**saved, "state": self._all_columns}}

    def set_checkpoint_dict(self, saved: dict) -> None:
        super().set_checkpoint_dict(saved)
        self._restored = saved["state"]


def gather(state: State | None) -> State | None:
    """All workers' columns, concatenated along B (dimension 1), on the CPU."""
    if state is None:
        return None
    if not torch.distributed.is_initialized():
        return map_state(torch.Tensor.cpu, state)
    group = distributed_utils.get_data_parallel_group()

    def columns(own: torch.Tensor) -> torch.Tensor:
        return torch.cat(distributed_utils.all_gather(own.contiguous(), group), dim=1).cpu()

    return map_state(columns, state)


def own_columns(state: State, sample: dict) -> State:
    """This worker's part of a gathered state, on the device of the sample."""
    own, rank = sample["nsentences"], 0
    if torch.distributed.is_initialized():
        rank = distributed_utils.get_data_parallel_rank()
    columns = slice(rank * own, (rank + 1) * own)
    device = sample["target"].device
    return map_state(lambda part: part[:, columns].contiguous().to(device), state)
