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
    own["run"] = {k: v for k, v in own["run"].items() if k not in ("dir", "by_scale")}
    own["task"] = {k: v for k, v in own["task"].items() if k != "data"}
    # Records of earlier versions hold it.
    own["common"] = {k: v for k, v in own["common"].items() if k != "plasma_path"}
    own["checkpoint"] = {k: v for k, v in own["checkpoint"].items() if k not in STORAGE}
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


def digest(config: Mapping[str, Any]) -> str:
    """The SHA-256 of a resolved config's recipe; equal where `comparable` is."""
    return hashlib.sha256(json.dumps(comparable(config), sort_keys=True).encode()).hexdigest()
