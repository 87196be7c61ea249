"""The recipe: the part of a config in which all starts of one run must agree."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PLACES = ("data_root", "runs_root", "threads", "wandb", "tensorboard")
"""Settings that are no part of the recipe: a run may resume with other values."""

STORAGE = (
    *("save_dir", "restore_file", "no_save", "no_epoch_checkpoints", "no_last_checkpoints"),
    *("keep_last_epochs", "keep_interval_updates", "keep_interval_updates_pattern"),
    *("keep_best_checkpoints", "no_save_optimizer_state", "write_checkpoints_asynchronously"),
    "load_checkpoint_on_all_dp_ranks",
)
"""Settings of the section `checkpoint` that say what is kept, not when it is scored or chosen."""

DERIVED = (
    *("common.seed", "optimizer.lr", "lr_scheduler.lr"),
    *(
        f"optimizer.{name}_factor_{part}"
        for name in ("lr", "weight_decay")
        for part in ("table", "unit", "context", "output")
    ),
)
"""Keys that are filled from others: `seed`, `optimization.lr` and `optimization.*_factors`."""


@dataclass(frozen=True)
class Change:
    """A leaf in which two configs differ; a value is None where a config lacks the key."""

    key: str
    old: Any
    new: Any


def comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved config without what may differ between two starts of one run."""
    own = {key: value for key, value in config.items() if key not in PLACES}
    for section, places in (
        ("run", ("dir", "by_scale")),
        ("task", ("data",)),
        ("common", ("plasma_path",)),  # records of earlier versions hold it
        ("checkpoint", STORAGE),
    ):
        if section in own:
            own[section] = {k: v for k, v in own[section].items() if k not in places}
    return own


def changes(old: Any, new: Any, key: str = "") -> list[Change]:
    """Every leaf that differs, by dotted key in order. An empty section counts as a missing one."""
    if all(value is None or isinstance(value, dict) for value in (old, new)):
        old, new = old or {}, new or {}
        found = []
        for name in sorted(old.keys() | new.keys()):
            found += changes(old.get(name), new.get(name), f"{key}.{name}".lstrip("."))
        return found
    return [] if old == new else [Change(key, old, new)]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Sentences such as "model.depth was 7, is 3", for every leaf that differs."""
    return [f"{found.key} was {found.old}, is {found.new}" for found in changes(old, new)]


def between_seeds(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """What differs between two configs beside the seed and the table's row.

    A key that only one of them has is of another version of the code, and is passed over.
    """
    own = (*DERIVED, "seed", "run.table", "run.row")
    return [
        found
        for found in changes(comparable(old), comparable(new))
        if found.key not in own and _has(old, found.key) and _has(new, found.key)
    ]


def _has(config: Any, key: str) -> bool:
    name, _, rest = key.partition(".")
    return isinstance(config, Mapping) and name in config and (not rest or _has(config[name], rest))


def digest(config: Mapping[str, Any]) -> str:
    """The SHA-256 of a resolved config's recipe; equal where `comparable` is."""
    return hashlib.sha256(json.dumps(comparable(config), sort_keys=True).encode()).hexdigest()
