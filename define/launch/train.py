"""One training run: from a composed config to a finished record, resumable at any time."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils, optim
from fairseq_cli.train import main as fairseq_main
from omegaconf import DictConfig, OmegaConf

from define.data import corpora
from define.errors import InputError
from define.evaluation import checkpoints
from define.evaluation.perplexity import evaluate
from define.files import atomic_write
from define.launch import provenance
from define.launch.compose import fairseq_config
from define.launch.counting import parameters
from define.launch.observer import RunObserver
from define.launch.tracking import make_tracker
from define.results import records
from define.tasks.language_modeling import Observer, StreamLanguageModelingTask

TEST_BATCH = 1
"""Streams of the final test evaluation (awd-lstm-lm, main.py: test_batch_size)."""

PLACES = ("data_root", "runs_root", "threads", "wandb")
"""Settings of a run that are not its recipe: a run may go on with others."""


def comparable(config: dict[str, Any]) -> dict[str, Any]:
    """A resolved config without what may differ between two starts of one run."""
    own = {key: value for key, value in config.items() if key not in PLACES}
    own["run"] = {k: v for k, v in own["run"].items() if k not in ("dir", "by_scale")}
    own["task"] = {k: v for k, v in own["task"].items() if k != "data"}
    return {k: v for k, v in own.items() if k != "checkpoint"}


def differences(old: Any, new: Any, key: str = "") -> list[str]:
    """Sentences such as "model.depth was 7, is 3", for every leaf that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for name in sorted(old.keys() | new.keys()):
            found += differences(old.get(name), new.get(name), f"{key}.{name}".lstrip("."))
        return found
    return [] if old == new else [f"{key} was {old}, is {new}"]


def published_config(config: DictConfig) -> dict[str, Any]:
    """The resolved config as the record keeps it, with no path of this machine."""
    plain = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    for section, key in (("run", "dir"), ("task", "data"), ("checkpoint", "save_dir")):
        plain[section][key] = Path(plain[section][key]).name
    return {k: v for k, v in plain.items() if k not in ("data_root", "runs_root")}


def write_configs(config: DictConfig, folder: Path) -> Path:
    """Writes the resolved config, and fairseq's part of it alone.

    Returns:
        the second file: `fairseq-hydra-train --config-dir FOLDER --config-name fairseq` takes it.
    """
    with atomic_write(folder / "config.yaml") as stream:
        stream.write(OmegaConf.to_yaml(config, resolve=True))
    path = folder / "fairseq.yaml"
    with atomic_write(path) as stream:
        stream.write(OmegaConf.to_yaml(OmegaConf.create(fairseq_config(config))))
    return path


def existing(config: DictConfig) -> dict[str, Any] | None:
    """The record of an earlier start of the same run.

    Raises:
        InputError: the folder holds a run with another recipe, or checkpoints without a record.
    """
    path = Path(config.run.dir) / records.FILE_NAME
    if not path.exists():
        if Path(config.checkpoint.save_dir).exists():
            raise InputError(
                f"{config.checkpoint.save_dir} is there without a run record; remove it, or give "
                f"this run a folder of its own with run.dir=FOLDER"
            )
        return None
    old = records.read_plain(path)
    changed = differences(comparable(old["config"]), comparable(published_config(config)))
    if changed:
        raise InputError(
            f"{path.parent} holds a run with another config ({'; '.join(changed[:3])}); remove it, "
            f"or give this run a folder of its own with run.dir=FOLDER"
        )
    return old


def check(config: DictConfig) -> corpora.Corpus:
    """Builds what training will read, so that a bad value is refused before a run folder appears.

    Returns:
        the corpus.
    Raises:
        InputError: no corpus, or a value of fairseq's sections that breaks a rule.
    """
    optimization, common = config.optimization, config.common
    if not (optimization.max_epoch > 0 or optimization.max_update > 0):
        raise InputError("training would never end; set optimization.max_epoch or max_update")
    if not optimization.lr or min(optimization.lr) <= 0:
        raise InputError(f"optimization.lr = {optimization.lr} must be greater than 0")
    if common.fp16 or common.bf16 or common.amp:
        raise InputError(
            "common.fp16, bf16 and amp are not for these models; take task.autocast=bf16"
        )
    if config.dataset.valid_subset != "valid" or config.dataset.disable_validation:
        raise InputError("a run is validated on valid; leave the validation of `dataset` as it is")
    optim.build_optimizer(config.optimizer, [torch.nn.Parameter(torch.zeros(1))])
    task = StreamLanguageModelingTask(config.task)
    task.build_criterion(config.criterion)
    for split, streams in (
        ("train", config.dataset.batch_size),
        ("valid", config.dataset.batch_size_valid),
    ):
        task.load_dataset(split)
        batches = task.get_batch_iterator(task.dataset(split), max_sentences=streams)
        batches.first_batch  # noqa: B018
    return task.corpus


def train(config: DictConfig, quiet: bool = False) -> dict[str, Any]:
    """Trains, or goes on, or does nothing if the run is finished; then scores valid and test.

    Args:
        config: from `define.launch.compose.compose`.
        quiet: no progress bars.
    Returns:
        the finished record.
    Raises:
        InputError: no corpus, an impossible model, or a folder of another run.
    """
    folder = Path(config.run.dir)
    path = folder / records.FILE_NAME
    corpus = check(config)
    counts = parameters(config.model, corpus.types)
    record = existing(config)
    if record is not None and record["status"] == "finished":
        return record
    torch.set_num_threads(config.threads)
    origin = provenance.collect(corpus.meta, config.common.cpu, config.threads)
    if record is None:
        record = records.new(
            table=config.run.table,
            row=config.run.row,
            scale=config.run.scale,
            seed=config.seed,
            config=published_config(config),
            parameters=counts,
            provenance=origin,
        )
    elif origin["commit"] != record["provenance"]["commit"]:
        record["provenance"].setdefault("resumed_at", []).append(origin["commit"])
    record["status"] = "running"
    write_configs(config, folder)
    records.write(path, record)
    tracker = make_tracker(record, folder, config.wandb)
    observer = RunObserver(path, record, config.optimization.max_update, tracker, quiet)
    try:
        with _log_to(folder / "train.log"):
            _run_fairseq(config, observer)
    except BaseException as error:
        record["status"] = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        observer.save()
        raise
    finally:
        observer.close()
    record["final"] = final_scores(config, corpus, quiet)
    record["status"] = "finished"
    record["provenance"]["finished"] = provenance.now()
    observer.save()
    tracker.finish(record)
    return record


def _run_fairseq(config: DictConfig, observer: Observer) -> None:
    last = _last_checkpoint(Path(config.checkpoint.save_dir))
    if last is not None:
        updates = last["optimizer_history"][-1]["num_updates"]
        if 0 < config.optimization.max_update <= updates:
            return  # fairseq would take one more step
    # fairseq keeps the best loss on a function, for the life of the process.
    vars(checkpoint_utils.save_checkpoint).pop("best", None)
    StreamLanguageModelingTask.observer = observer
    try:
        fairseq_main(OmegaConf.create(fairseq_config(config)))
    except (FloatingPointError, OverflowError) as error:
        raise InputError(
            f"training has diverged ({error}); take a smaller optimization.lr"
        ) from error
    finally:
        StreamLanguageModelingTask.observer = Observer()


def _last_checkpoint(folder: Path) -> Mapping[str, Any] | None:
    """The checkpoint that training goes on from; none before the first was written.

    fairseq writes a checkpoint whole under one name and copies it to the others, of which the last
    is checkpoint_last.pt: where that copy was cut short, it is made again.

    Raises:
        InputError: no checkpoint is readable.
    """
    last = folder / "checkpoint_last.pt"
    others = sorted(set(folder.glob("checkpoint*.pt")) - {last}, key=lambda p: -p.stat().st_mtime)
    for path in [last, *others]:
        try:
            checkpoint = checkpoints.load(path)
        except InputError:
            continue
        if path != last:
            with atomic_write(last, "wb") as target, open(path, "rb") as source:
                shutil.copyfileobj(source, target)
        return checkpoint
    if last.exists() or others:
        raise InputError(f"no checkpoint in {folder} is readable; remove the run and start again")
    return None


def final_scores(config: DictConfig, corpus: corpora.Corpus, quiet: bool) -> dict[str, Any]:
    """Valid and test perplexity of the best checkpoint; the only place where test is read."""
    best = checkpoints.load(Path(config.checkpoint.save_dir) / "checkpoint_best.pt")
    model = checkpoints.build(best, corpus.types)
    if torch.cuda.is_available() and not config.common.cpu:
        model.cuda()
    batches = {"valid": config.dataset.batch_size_valid}
    if config.run.score_test:
        batches["test"] = TEST_BATCH
    return {
        split: evaluate(model, corpus.tokens[split], corpus.eos, batch_size, quiet=quiet).to_json()
        for split, batch_size in batches.items()
    }


class _log_to:
    """Sends what fairseq logs to a file (appended), away from the terminal, while inside."""

    def __init__(self, path: Path):
        self._handler = logging.FileHandler(path, encoding="utf-8")
        self._handler.setFormatter(
            logging.Formatter("%(asctime)s | %(levelname)s | %(name)s | %(message)s")
        )

    def __enter__(self) -> None:
        root = logging.getLogger()
        self._before = root.handlers[:], root.level
        root.handlers = [self._handler]
        root.setLevel(logging.INFO)

    def __exit__(self, *error) -> None:
        root = logging.getLogger()
        root.handlers, level = self._before
        root.setLevel(level)
        self._handler.close()
