"""Language-modelling runs: what they read, and their scores by protocol."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from define.core.registry import build_model
from define.data.corpora import Corpus
from define.errors import InputError
from define.evaluation import checkpoints, protocols
from define.evaluation.perplexity import evaluate, layout
from define.tasks.language_modeling import StreamLanguageModelingTask


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
    task = StreamLanguageModelingTask(config.task)
    task.build_criterion(config.criterion)
    for split, streams in (
        ("train", config.dataset.batch_size),
        ("valid", config.dataset.batch_size_valid),
    ):
        task.load_dataset(split)
        batches = task.get_batch_iterator(task.dataset(split), max_sentences=streams)
        batches.first_batch  # noqa: B018
    with torch.device("meta"):
        model = build_model(config.model, task.corpus.types)
    for protocol in _protocols(config).values():
        for split, streams in _final_streams(config).items():
            layout(model, task.corpus.tokens[split], task.corpus.eos, streams, protocol)
    return task.corpus


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
