"""The folder of a run: its config files, the record of an earlier start, its last checkpoint."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from define.errors import InputError
from define.evaluation import checkpoints
from define.files import atomic_write, hold
from define.runs import records
from define.runs.recipe import comparable, differences
from define.train.compose import fairseq_config


def published_config(config: DictConfig) -> dict[str, Any]:
    """The resolved config as the record keeps it, with no path of this machine."""
    plain = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    for section, key in (("run", "dir"), ("task", "data"), ("checkpoint", "save_dir")):
        plain[section][key] = Path(plain[section][key]).name
    plain["common"].pop("plasma_path")  # a folder of fairseq's that no run here uses
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


def finished(config: DictConfig) -> dict[str, Any] | None:
    """The record of the run if it is finished.

    Raises: as `existing`.
    """
    record = existing(config)
    return record if record is not None and record["status"] == "finished" else None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds the folder for one training; the system lets go of it however the process ends.

    Whoever looks whether a run is going on (`define.files.is_held`) has the lock for a
    moment: a second try tells the two apart.

    Raises:
        InputError: another process is training in it.
    """
    for pause in (0, 0.1, 0.3):
        time.sleep(pause)
        with hold(folder / records.LOCK_NAME) as held:
            if held:
                yield
                return
    raise InputError(
        f"another process is training in {folder}; wait for it, or give this run a folder of its "
        f"own with run.dir=FOLDER"
    )


def last_checkpoint(folder: Path) -> Mapping[str, Any] | None:
    """The checkpoint that training resumes from; none before the first was written.

    fairseq writes a checkpoint whole under one name and copies it to the others, of which the last
    is checkpoint_last.pt. A damaged copy is replaced: training resumes from the newest checkpoint
    from which it can reach the best one of the run again, or that is the best one so far itself.

    Raises:
        InputError: there is no such checkpoint.
    """
    last, best = folder / "checkpoint_last.pt", folder / "checkpoint_best.pt"
    others = sorted(set(folder.glob("checkpoint*.pt")) - {last}, key=lambda p: -p.stat().st_mtime)
    best_is_lost, some_readable = best.exists() and not _readable(best), False
    for path in [last, *others]:
        try:
            checkpoint = checkpoints.load(path)
        except InputError:
            continue
        some_readable = True
        damaged = [] if path == last else [last]
        if best_is_lost:
            state = checkpoint["extra_state"]
            if state["val_loss"] is None or state["val_loss"] != state["best"]:
                continue
            damaged.append(best)
        for copy in damaged:
            with atomic_write(copy, "wb") as target, open(path, "rb") as source:
                shutil.copyfileobj(source, target)
        return checkpoint
    if some_readable:
        raise InputError(
            f"{best} is damaged, and no other checkpoint there leads to it; restore it from a "
            f"copy, or remove the run and start again"
        )
    if last.exists() or others:
        raise InputError(f"no checkpoint in {folder} is readable; remove the run and start again")
    return None


def _readable(path: Path) -> bool:
    try:
        checkpoints.verify(path)
    except Exception:  # a damaged zip file raises errors of many kinds
        return False
    return True
