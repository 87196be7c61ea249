"""Translation runs: what they read, and their BLEU by decoding."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig, OmegaConf

from define.criterions.options import require_smoothing
from define.data.parallel import pairs
from define.data.parallel.pairs import PairCorpus
from define.errors import InputError
from define.evaluation import bleu, decodings
from define.evaluation.decodings import Decoding
from define.evaluation.perplexity import Score, mean
from define.files import atomic_write
from define.train.compose import fairseq_config
from define.train.counting import parameters

if TYPE_CHECKING:
    from define.models.transformer import DefineTransformer
    from define.tasks.translation import DefineTranslationTask

HYPOTHESES = "hypotheses"
"""Folder of a run: one folder per translation, one text file per evaluation set."""


def check_recipe(config: DictConfig) -> None:
    """Refuses decodings that training does not prepare.

    Raises:
        InputError: a value that breaks a rule.
    """
    kept = kept_checkpoints(config.checkpoint)
    for name, settings in _decodings(config).items():
        if settings.average > kept:
            raise InputError(
                f"run.translations.{name} averages {settings.average} checkpoints, but {kept} are "
                f"kept; set checkpoint.save_interval_updates and "
                f"checkpoint.keep_interval_updates={settings.average}"
            )
    if not config.dataset.max_tokens:
        raise InputError("batches have no size; set dataset.max_tokens")


def kept_checkpoints(checkpoint: DictConfig) -> float:
    """How many checkpoints are there at the end, beside the best and the last."""
    if checkpoint.save_interval_updates:
        kept = checkpoint.keep_interval_updates
    else:
        kept = 0 if checkpoint.no_epoch_checkpoints else checkpoint.keep_last_epochs
    return math.inf if kept < 0 else kept


def load(config: DictConfig) -> PairCorpus:
    """Opens the corpus.

    Raises:
        InputError: it is not prepared, or its files have changed.
    """
    return pairs.load(config.task.data)


def check(config: DictConfig, corpus: PairCorpus) -> dict[str, int]:
    """Refuses what could not be trained, before a run folder appears.

    Returns:
        the model's parameters by part.
    Raises:
        InputError: a corpus of other languages, or a value breaks a rule.
    """
    require_smoothing(config.criterion.get("label_smoothing", 0))
    languages = config.task.source_lang, config.task.target_lang
    if languages != (corpus.source, corpus.target):
        raise InputError(
            f"task.source_lang and target_lang are {' and '.join(map(str, languages))}, but "
            f"{corpus.name} translates {corpus.source} to {corpus.target}; set them alike"
        )
    return parameters(config.model, (corpus.source_types, corpus.types))


def _decodings(config: DictConfig) -> dict[str, Decoding]:
    return decodings.parse(OmegaConf.to_container(config.run.translations))


def score(config: DictConfig, corpus: PairCorpus, quiet: bool) -> dict[str, Any]:
    """Every evaluation set translated by every decoding; the loss per target token beside.

    Hypotheses are left in the run's folder.

    Returns:
        a record's `translations` and `final`.
    """
    # fairseq takes long to import, and what comes before training does without it.
    from fairseq import tasks

    from define.train import decoding

    task = tasks.setup_task(OmegaConf.create(fairseq_config(config)["task"]))
    splits = ["valid", "test"] if config.run.score_test else ["valid"]
    cuda = torch.cuda.is_available() and not config.common.cpu
    best = Path(config.checkpoint.save_dir) / "checkpoint_best.pt"
    final, found = {}, {}
    for name, how in _decodings(config).items():
        model = decoding.load_model(best, task, how, cuda)
        if not final:
            final = {split: loss(model, task, split).to_json() for split in splits}
        scores = {}
        for set_name, hypotheses, seconds in _translated(model, task, corpus, splits, how, quiet):
            text = "".join(f"{line}\n" for line in hypotheses)
            with atomic_write(Path(config.run.dir, HYPOTHESES, name, f"{set_name}.txt")) as stream:
                stream.write(text)
            scores[set_name] = {
                **bleu.score(hypotheses, corpus.reference(set_name), corpus.target),
                "seconds": seconds,
                "hypotheses_sha256": bleu.digest(hypotheses),
            }
        found[name] = {"settings": how.settings(), "scores": scores}
    return {"translations": found, "final": final}


def _translated(
    model: "DefineTransformer",
    task: "DefineTranslationTask",
    corpus: PairCorpus,
    splits: list[str],
    how: Decoding,
    quiet: bool,
) -> Iterator[tuple[str, list[str], float]]:
    """Name, hypotheses and seconds of each set; of a set within another, taken from that one's."""
    from define.train import decoding

    done: dict[str, list[str]] = {}
    chosen = [s for s in corpus.sets if s["split"] in splits or "test" in splits]
    for entry in sorted(chosen, key=lambda s: "within" in s):
        if entry.get("within") in done:
            whole = done[entry["within"]]
            yield entry["set"], [whole[line] for line in entry["lines"]], 0.0
            continue
        task.load_dataset(entry["split"])
        begin = time.perf_counter()
        hypotheses = decoding.translate(
            model, task, task.dataset(entry["split"]), corpus.subwords(), how, quiet
        )
        done[entry["set"]] = hypotheses
        yield entry["set"], hypotheses, time.perf_counter() - begin


@torch.no_grad()
def loss(
    model: "DefineTransformer", task: "DefineTranslationTask", split: str, max_tokens: int = 4096
) -> Score:
    """Nats per target subword, end of sentence included, given the reference before it.

    Raises:
        RuntimeError: not every token was scored.
    """
    from fairseq import utils

    task.load_dataset(split)
    dataset = task.dataset(split)
    cuda = next(model.parameters()).is_cuda
    total, scored = 0.0, 0
    for sample in task.get_batch_iterator(dataset, max_tokens=max_tokens).next_epoch_itr(False):
        sample = utils.move_to_cuda(sample) if cuda else sample
        output = model(**sample["net_input"])
        log_probs = model.get_normalized_probs(output, log_probs=True)
        target = sample["target"]
        where = target != task.target_dictionary.pad()
        total -= log_probs[where].gather(1, target[where].unsqueeze(1)).double().sum().item()
        scored += int(where.sum())
    return mean(total, scored, int(dataset.tgt_sizes.sum()))
