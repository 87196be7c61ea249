"""Training updates of a run at its full size, timed: their cost, without a corpus on disk."""

import math
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq import tasks, utils
from fairseq.logging import metrics
from fairseq.trainer import Trainer
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from define.data import zipf
from define.data.corpora import Corpus
from define.data.vocabulary import EOS, Vocabulary
from define.errors import InputError
from define.launch import provenance
from define.launch.compose import fairseq_config
from define.launch.counting import corpus_types, parameters
from define.launch.observer import scored
from define.launch.run_folder import published_config
from define.launch.train import check_recipe
from define.results.steps import SCHEMA
from define.tasks.observer import Observed, Observer


class PeakMemory(Observer):
    """Keeps the largest peak of CUDA memory; fairseq resets the peak after every update."""

    def __init__(self):
        self.cuda_mib = 0.0

    def updated(self, update: int, tokens: int, lr: float) -> None:
        if torch.cuda.is_available():
            peak = torch.cuda.max_memory_allocated() / 2**20
            self.cuda_mib = max(self.cuda_mib, peak)

    @property
    def mib(self) -> float:
        """On the GPU, or of this process on the CPU; from the start, building included."""
        return self.cuda_mib or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def generated_corpus(num_types: int, num_tokens: int, seed: int) -> Corpus:
    """A text in memory, without meaning; a type's id is its rank under the law of `data.zipf`.

    It has a training split only. Type 0 stands for `<eos>`.
    """
    ranks = zipf.draw(np.random.default_rng(seed), num_types, num_tokens)
    vocabulary = Vocabulary([EOS, *map(str, range(1, num_types))], [1] * num_types)
    tokens = {"train": (ranks - 1).astype(np.int32)}
    meta = {"name": "zipf", "sha256": {}, "tokens": {}, "types": num_types}
    return Corpus("zipf", Path(), tokens, vocabulary, meta)


def step(
    config: DictConfig,
    updates: int = 3,
    warm_up: int = 1,
    streams: int | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Takes the first updates of a run, as training does, and measures them.

    The tokens are drawn from a Zipf law over as many types as the run's corpus has. Every window
    is `task.bptt` long, also where the recipe draws the length, so that updates can be compared.

    Args:
        config: from `define.launch.compose.compose`; its batch size and task are changed.
        updates: how many are timed.
        warm_up: how many go before them; optimizers make their state in the first one.
        streams: in place of dataset.batch_size, where that needs too much memory or time.
        quiet: no progress bar.
    Returns:
        the record of `define.results.steps`, with the loss of every update, warm-up included.
    Raises:
        InputError: an impossible number, a config that training would refuse, or updates that
            fail: out of GPU memory, or a loss that is not finite.
    """
    paper_streams, bptt = config.dataset.batch_size, config.task.bptt
    for name, value, least in (
        ("updates", updates, 1),
        ("warm_up", warm_up, 0),
        ("dataset.batch_size", paper_streams or 0, 1),
        ("task.bptt", bptt, 1),
    ):
        if value < least:
            raise InputError(f"{name} = {value} must be at least {least}")
    streams = paper_streams if streams is None else streams
    if not 1 <= streams <= paper_streams:
        raise InputError(f"streams = {streams} must lie between 1 and the recipe's {paper_streams}")
    config.dataset.batch_size = streams
    config.task.random_bptt, config.task.train_tokens = False, 0
    check_recipe(config)
    types = corpus_types(config.run.corpus)
    counts = parameters(config.model, types)
    corpus = generated_corpus(types, (warm_up + updates) * streams * bptt, config.seed)
    torch.set_num_threads(config.threads)
    origin = provenance.collect(corpus.meta, config.common.cpu, config.threads)
    memory = PeakMemory()
    Observed.observer = memory
    try:
        times, losses = _train(config, corpus, quiet)
    finally:
        Observed.observer = Observer()
    origin["finished"] = provenance.now()
    return {
        "schema": SCHEMA,
        "table": config.run.table,
        "row": config.run.row,
        "config": published_config(config),
        "parameters": counts,
        "streams": streams,
        "paper_streams": paper_streams,
        "bptt": bptt,
        "tokens_per_update": streams * bptt,
        "updates": updates,
        "warm_up": warm_up,
        "ms_per_update": times[warm_up:],
        "loss": losses,
        "peak_memory_mib": memory.mib,
        "provenance": origin,
    }


def _train(config: DictConfig, corpus: Corpus, quiet: bool) -> tuple[list[float], list[float]]:
    """One epoch of the corpus, as fairseq's own `train` goes through it.

    Returns:
        milliseconds and loss in nats per token of each update.
    """
    cfg = OmegaConf.create(fairseq_config(config))
    metrics.reset()
    utils.set_torch_seed(cfg.common.seed)
    task = tasks.setup_task(cfg.task, corpus=corpus)
    trainer = Trainer(cfg, task, task.build_model(cfg.model), task.build_criterion(cfg.criterion))
    # Where an update fails, fairseq would save the weights.
    trainer.save_checkpoint = lambda *args, **kwargs: None
    batches = trainer.get_train_iterator(epoch=1).next_epoch_itr()
    trainer.begin_epoch(1)
    times, losses = [], []
    bar = tqdm(batches, unit="update", disable=quiet, leave=False, file=sys.stderr)
    for batch in bar:
        begin = _clock(trainer)
        try:
            log = trainer.train_step([batch])
        except (FloatingPointError, OverflowError) as error:
            raise InputError(
                f"update {len(losses) + 1} has diverged ({error}); take a smaller optimization.lr"
            ) from error
        times.append(1000 * (_clock(trainer) - begin))
        if log is None:
            raise InputError(
                f"{config.dataset.batch_size} streams of {config.task.bptt} tokens need more "
                f"memory than the GPU has; take fewer with --streams"
            )
        losses.append(scored(float(log["nll_loss"]))["nll"])
        if not math.isfinite(losses[-1]):
            raise InputError(
                f"the loss of update {len(losses)} is {losses[-1]}; take a smaller optimization.lr"
            )
        bar.set_postfix_str(f"{times[-1]:,.0f} ms, loss {losses[-1]:.3f}")
    return times, losses


def _clock(trainer: Trainer) -> float:
    """Seconds; the GPU has done what it was told before."""
    if trainer.cuda:
        torch.cuda.synchronize()
    return time.perf_counter()
