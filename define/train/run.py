"""One training run: from a composed config to a finished record, resumable at any time."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils
from omegaconf import DictConfig, OmegaConf

from define import plugin
from define.data.prepared import require_same
from define.errors import InputError
from define.runs import provenance, records
from define.tasks.observer import Observed, Observer
from define.train.compose import fairseq_config
from define.train.observer import RunObserver
from define.train.rules import check_recipe
from define.train.run_folder import (
    alone,
    existing,
    finished,
    last_checkpoint,
    published_config,
    write_configs,
)
from define.train.tracking import Tracker, open_views
from define.train.trainer import main as fairseq_main
from define.train.workloads import Corpus, workload


def train(config: DictConfig, quiet: bool = False) -> dict[str, Any]:
    """Trains, resumes, or does nothing if the run is finished; then scores valid and test.

    Args:
        config: from `define.train.compose.compose`.
        quiet: whether to show no progress bars.
    Returns:
        the finished record.
    Raises:
        InputError: no corpus, an impossible model, or a folder of another run.
    """
    plugin.register()
    check_recipe(config)
    if (record := finished(config)) is not None:
        return record
    corpus = workload(config).load(config)
    counts = workload(config).check(config, corpus)
    with alone(Path(config.run.dir)):
        # Another process may have finished the run in the meantime.
        if (record := finished(config)) is not None:
            return record
        return _train(config, corpus, counts, existing(config), quiet)


def _train(
    config: DictConfig,
    corpus: Corpus,
    counts: dict[str, int],
    record: dict[str, Any] | None,
    quiet: bool,
) -> dict[str, Any]:
    folder = Path(config.run.dir)
    path = folder / records.FILE_NAME
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
    else:
        require_same(record["provenance"]["data"], corpus.identity)
        if origin["commit"] != record["provenance"]["commit"]:
            record["provenance"].setdefault("resumed_at", []).append(origin["commit"])
    record["status"] = "running"
    write_configs(config, folder)
    records.write(path, record)
    tracker = Tracker()
    limit, interval = config.optimization.max_update, config.common.log_interval
    observer = RunObserver(path, record, limit, interval, tracker, quiet, corpus)
    try:
        updates = _updates(config)
        observer.note("started", updates=updates, commit=origin["commit"], **_factors(config))
        open_views(tracker, record, folder, config.wandb, config.tensorboard, updates)
        with _log_to(folder / "train.log"):
            _run_fairseq(config, observer, updates)
        observer.close()
        record |= workload(config).score(config, corpus, quiet)
    except BaseException as error:
        for unfinished in Path(config.checkpoint.save_dir).glob("*.tmp"):
            unfinished.unlink(missing_ok=True)
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        with suppress(OSError):  # the disk may be full
            _end(observer, status, reason=str(error) or type(error).__name__)
        raise
    record["provenance"]["finished"] = provenance.now()
    _end(observer, "finished")
    return record


def _end(observer: RunObserver, status: str, **details: str) -> None:
    """Writes how the run ended to its record, its journal and its views."""
    observer.close()
    observer.record["status"] = status
    observer.save()
    observer.note(status, **details)
    observer.tracker.finish(observer.record)


def _factors(config: DictConfig) -> dict[str, dict[str, float]]:
    """The factors of each part's rates, for the journal."""
    return {
        key: OmegaConf.to_container(config.optimization[key])
        for key in ("lr_factors", "weight_decay_factors")
    }


def _updates(config: DictConfig) -> int:
    """Updates of the checkpoint that training resumes from."""
    last = last_checkpoint(Path(config.checkpoint.save_dir))
    return 0 if last is None else last["optimizer_history"][-1]["num_updates"]


def _run_fairseq(config: DictConfig, observer: Observer, updates: int) -> None:
    if 0 < config.optimization.max_update <= updates:
        return  # fairseq would take one more step
    # fairseq keeps the best loss on a function, for the life of the process.
    vars(checkpoint_utils.save_checkpoint).pop("best", None)
    Observed.observer = observer
    try:
        fairseq_main(OmegaConf.create(fairseq_config(config)))
    except (FloatingPointError, OverflowError, StopIteration) as error:
        if isinstance(error, StopIteration):
            # fairseq's search for the layer that overflowed fails on outputs without gradient.
            if not isinstance(error.__context__, FloatingPointError):
                raise
            error = error.__context__
        Path(config.checkpoint.save_dir, "crash.pt").unlink(missing_ok=True)  # fairseq's
        # The arguments of an OverflowError are a number and a text.
        raise InputError(
            f"training has diverged ({error.args[-1]}); take a smaller optimization.lr"
        ) from error
    finally:
        Observed.observer = Observer()


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
