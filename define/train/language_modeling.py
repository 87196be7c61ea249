"""Language-modelling runs: what they read, and their scores by protocol."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from define.criterions.options import require_penalties
from define.data.text import corpora
from define.data.text.corpora import Corpus
from define.data.text.streams import Streams
from define.errors import InputError
from define.evaluation import checkpoints, protocols
from define.evaluation.perplexity import evaluate, layout
from define.tasks import options
from define.train.counting import build, count


def check_recipe(config: DictConfig) -> None:
    """Refuses precisions that these models do not support.

    Raises:
        InputError: the config asks for fairseq's own half precision.
    """
    common = config.common
    if common.fp16 or common.bf16 or common.amp:
        raise InputError(
            "common.fp16, bf16 and amp are not for these models; take task.autocast=bf16"
        )


def load(config: DictConfig) -> Corpus:
    """Reads the corpus.

    Raises:
        InputError: it is not prepared, or its files have changed.
    """
    return corpora.load(config.task.data)


def check(config: DictConfig, corpus: Corpus) -> dict[str, int]:
    """Refuses what could not be trained or scored, before a run folder appears.

    Returns:
        the model's parameters by part.
    Raises:
        InputError: a value breaks a rule.
    """
    options.check(config.task)
    if config.criterion._name != "define_language_modeling":
        raise InputError(
            f"criterion = {config.criterion._name} carries no state between batches; take "
            f"criterion=define_language_modeling"
        )
    require_penalties(config.criterion.ar, config.criterion.tar)
    train = corpus.tokens["train"][: config.task.train_tokens or None]
    for tokens, streams, is_train in (
        (train, config.dataset.batch_size, True),
        (corpus.tokens["valid"], config.dataset.batch_size_valid, False),
    ):
        options.require_streams(streams)
        steps = Streams(tokens, corpus.eos, streams).steps
        options.window_lengths(config.task, steps, is_train, config.common.seed, epoch=1)
    model = build(config.model, corpus.types)
    for protocol in _protocols(config).values():
        for split, streams in _final_streams(config).items():
            layout(model, corpus.tokens[split], corpus.eos, streams, protocol)
    return count(model)


def _protocols(config: DictConfig) -> dict[str, protocols.Protocol]:
    return protocols.parse(OmegaConf.to_container(config.run.protocols))


def _final_streams(config: DictConfig) -> dict[str, int]:
    """Split -> parallel streams, for the splits that are scored at the end."""
    streams = {"valid": config.dataset.batch_size_valid}
    return streams | ({"test": config.run.test_batch_size} if config.run.score_test else {})


def score(config: DictConfig, corpus: Corpus, quiet: bool) -> dict[str, Any]:
    """The best checkpoint on valid and test, by every protocol.

    Returns:
        a record's `protocols` and `final`, the scores of the first.
    """
    best = checkpoints.load(Path(config.checkpoint.save_dir) / "checkpoint_best.pt")
    model = checkpoints.build(best, corpus.types)
    if torch.cuda.is_available() and not config.common.cpu:
        model.cuda()
    streams = _final_streams(config)
    sizes = {f"{split}_batch_size": size for split, size in streams.items()}
    found = {}
    for name, protocol in _protocols(config).items():
        scores = {
            split: evaluate(model, corpus.tokens[split], corpus.eos, size, protocol, quiet)
            for split, size in streams.items()
        }
        found[name] = {
            "settings": protocol.settings_of(model) | sizes,
            "scores": {split: score.to_json() for split, score in scores.items()},
        }
    return {"protocols": found, "final": next(iter(found.values()))["scores"]}
