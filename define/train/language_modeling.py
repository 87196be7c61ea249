"""Language-modelling runs: what they read, and their scores by protocol."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from define.core.counting import without_values
from define.core.registry import build_model
from define.criterions.options import require_penalties
from define.data.text import corpora
from define.data.text.corpora import Corpus
from define.data.text.streams import Streams
from define.errors import InputError
from define.evaluation import checkpoints, protocols
from define.evaluation.perplexity import evaluate, layout
from define.tasks.options import check, require_streams, window_lengths


def check_recipe(config: DictConfig) -> None:
    """Refuses precisions that these models are not made for.

    Raises:
        InputError: fairseq's own half precision is asked for.
    """
    common = config.common
    if common.fp16 or common.bf16 or common.amp:
        raise InputError(
            "common.fp16, bf16 and amp are not for these models; take task.autocast=bf16"
        )


def load(config: DictConfig) -> Corpus:
    """Builds what training will read, so that a bad value is refused before a run folder appears.

    Raises:
        InputError: no corpus, or a value that breaks a rule.
    """
    check(config.task)
    corpus = corpora.load(config.task.data)
    if config.criterion._name != "define_language_modeling":
        raise InputError(
            f"criterion = {config.criterion._name} carries no state between batches; take "
            f"criterion=define_language_modeling"
        )
    require_penalties(config.criterion.ar, config.criterion.tar)
    for split, streams in (
        ("train", config.dataset.batch_size),
        ("valid", config.dataset.batch_size_valid),
    ):
        require_streams(streams)
        is_train = split == "train"
        tokens = corpus.tokens[split][: is_train and config.task.train_tokens or None]
        steps = Streams(tokens, corpus.eos, streams).steps
        window_lengths(config.task, steps, is_train, config.common.seed, epoch=1)
    with without_values():
        model = build_model(config.model, corpus.types)
    for protocol in _protocols(config).values():
        for split, streams in _final_streams(config).items():
            layout(model, corpus.tokens[split], corpus.eos, streams, protocol)
    return corpus


def types(corpus: Corpus) -> int:
    """V, end-of-sentence included."""
    return corpus.types


def _protocols(config: DictConfig) -> dict[str, protocols.Protocol]:
    return protocols.parse(OmegaConf.to_container(config.run.protocols))


def _final_streams(config: DictConfig) -> dict[str, int]:
    """Split -> streams side by side, of the splits that are scored in the end."""
    streams = {"valid": config.dataset.batch_size_valid}
    if config.run.score_test:
        streams["test"] = config.run.test_batch_size
    return streams


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
    found = {}
    for name, protocol in _protocols(config).items():
        sizes = {f"{split}_batch_size": size for split, size in streams.items()}
        scores = {
            split: evaluate(model, corpus.tokens[split], corpus.eos, size, protocol, quiet)
            for split, size in streams.items()
        }
        found[name] = {
            "settings": protocol.settings_of(model) | sizes,
            "scores": {split: score.to_json() for split, score in scores.items()},
        }
    return {"protocols": found, "final": next(iter(found.values()))["scores"]}
