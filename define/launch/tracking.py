"""wandb as a view of the run record; never required, never the place where a number lives."""

import hashlib
from pathlib import Path
from typing import Any


class Tracker:
    """Tracks nothing."""

    def trained(self, event: dict[str, Any]) -> None:
        """A "trained" line of the run's journal."""

    def log(self, epoch: dict[str, Any]) -> None:
        """An entry of the record's `epochs`."""

    def finish(self, record: dict[str, Any]) -> None:
        """The finished record."""


class WandbTracker(Tracker):
    """One wandb run per run folder, gone on with when training is resumed."""

    def __init__(self, record: dict[str, Any], folder: Path, mode: str):
        import wandb

        name = "/".join(
            [f"table_{record['table']}", record["row"], record["scale"], f"seed_{record['seed']}"]
        )
        self._run = wandb.init(
            project="define",
            name=name,
            group=f"table_{record['table']}/{record['scale']}",
            id=hashlib.sha256(f"{name}{record['provenance']['started']}".encode()).hexdigest()[:16],
            resume="allow",
            config={**record["config"], "parameters": record["parameters"]},
            dir=str(folder),
            mode=mode,
        )

    def log(self, epoch: dict[str, Any]) -> None:
        flat = {"epoch": epoch["epoch"], "lr": epoch["lr"]}
        flat |= {f"{s}/ppl": epoch[s]["ppl"] for s in ("train", "valid")}
        self._run.log(flat, step=epoch["updates"])

    def finish(self, record: dict[str, Any]) -> None:
        for split, score in record["final"].items():
            self._run.summary[f"final/{split}_ppl"] = score["ppl"]
        for translation in list(record.get("translations", {}).values())[:1]:
            for set_name, scores in translation["scores"].items():
                self._run.summary[f"final/{set_name}_bleu"] = scores["bleu"]["score"]
        self._run.finish()


def make_tracker(record: dict[str, Any], folder: Path, mode: str) -> Tracker:
    """The tracker for a mode: disabled, offline or online."""
    return Tracker() if mode == "disabled" else WandbTracker(record, folder, mode)
