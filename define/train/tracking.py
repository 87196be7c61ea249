"""Weights & Biases and TensorBoard as views of a run, beside its record; nothing depends on them.

wandb keeps its own runs of an offline training in `<run folder>/wandb`, one folder for each start,
all with one id. wandb's own command uploads them later, and joins those of one id in their order:

    find runs -type d -name wandb -exec wandb sync {} +

Its `--dry-run` lists them; what is uploaded already is passed over. Curves are over `updates`, as
wandb's own step counts on through a resumed run, whose last updates may come twice.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PROJECT = "define"
ONLINE_SECONDS = 60.0
"""How long a run waits for wandb's server, at its start and at its end."""
EXIT_CODES = {"failed": 1, "interrupted": 255}
"""What wandb itself ends a script with that raised, or was stopped from the keyboard."""


class Tracker:
    """Tracks nothing."""

    def trained(self, event: Mapping[str, Any]) -> None:
        """A "trained" line of the run's journal."""

    def validated(self, epoch: Mapping[str, Any]) -> None:
        """An entry of the record's `epochs`."""

    def finish(self, record: Mapping[str, Any]) -> None:
        """The finished record; nothing comes after it."""

    def stop(self, record: Mapping[str, Any]) -> None:
        """The record of a run that failed or was interrupted; nothing comes after it."""


class Views(Tracker):
    """Any number of trackers. One that raises is let go with a sentence: no view stops a run."""

    def __init__(self):
        self._views: dict[str, Tracker] = {}

    def open(self, name: str, start: Callable[[], Tracker]) -> None:
        """Adds the tracker that `start` makes."""
        try:
            self._views[name] = start()
        except Exception as error:
            self._give_up(name, error)

    def trained(self, event: Mapping[str, Any]) -> None:
        self._tell("trained", event)

    def validated(self, epoch: Mapping[str, Any]) -> None:
        self._tell("validated", epoch)

    def finish(self, record: Mapping[str, Any]) -> None:
        self._tell("finish", record)

    def stop(self, record: Mapping[str, Any]) -> None:
        self._tell("stop", record)

    def _tell(self, what: str, told: Mapping[str, Any]) -> None:
        for name, view in list(self._views.items()):
            try:
                getattr(view, what)(told)
            except Exception as error:
                del self._views[name]
                self._give_up(name, error)

    def _give_up(self, name: str, error: Exception) -> None:
        reason = str(error).partition("\n")[0] or type(error).__name__
        print(f"define: {name} shows no more of this run ({reason}); it goes on", file=sys.stderr)


class WandbTracker(Tracker):
    """One wandb run per run folder, the same one when training is resumed.

    Args:
        record: the record at the start.
        folder: the run folder; wandb writes below its `wandb`.
        mode: "offline" or "online".
    Raises:
        RuntimeError: online, and nobody is logged in.
        wandb.errors.Error: its server cannot be reached, or what else wandb finds.
    """

    def __init__(self, record: Mapping[str, Any], folder: Path, mode: str):
        # wandb would report on itself to its server, offline too.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        online = mode == "online"
        if online and not wandb.login(prompt=False, verify=False):
            raise RuntimeError(
                "nobody is logged in, or WANDB_MODE forbids it; "
                "`wandb login`, or take wandb=offline"
            )
        origin = record["provenance"]
        table, scale = f"table_{record['table']}", record["scale"]
        corpus = origin["data"]["name"]
        name = "/".join([table, record["row"], scale, corpus, f"seed_{record['seed']}"])
        self._run = wandb.init(
            project=PROJECT,
            name=name,
            group=origin.get("sweep") or f"{table}/{scale}",
            job_type="train",
            tags=[table, record["row"], scale, corpus],
            id=hashlib.sha256(f"{name}{origin['started']}".encode()).hexdigest()[:16],
            resume="allow",
            reinit="create_new",  # apart from whatever else this process tracks
            config={
                **record["config"],
                "parameters": record["parameters"],
                "commit": origin["commit"],
                "uncommitted_changes": origin["dirty"],
            },
            allow_val_change=True,
            dir=str(folder),
            mode=mode,
            settings=wandb.Settings(
                console="off",
                quiet=online,
                silent=not online,
                init_timeout=ONLINE_SECONDS,
                finish_timeout=ONLINE_SECONDS,
            ),
        )
        self._run.define_metric("*", step_metric="updates")

    def trained(self, event: Mapping[str, Any]) -> None:
        self._run.log({"updates": event["updates"], **training_scalars(event)})

    def validated(self, epoch: Mapping[str, Any]) -> None:
        self._run.log({"updates": epoch["updates"], **validation_scalars(epoch)})

    def finish(self, record: Mapping[str, Any]) -> None:
        self._run.summary.update(final_scalars(record))
        self._run.finish(exit_code=0)

    def stop(self, record: Mapping[str, Any]) -> None:
        self._run.finish(exit_code=EXIT_CODES[record["status"]])


class TensorBoardTracker(Tracker):
    """The same curves as TensorBoard's files in `<run folder>/tensorboard`.

    Args:
        folder: the run folder.
        updates: behind the checkpoint that training resumes from; what an earlier start wrote
            beyond them is taken back.
    Raises:
        RuntimeError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, updates: int):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise RuntimeError("it is not installed; `pip install tensorboard`") from error
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=updates + 1)
        self._updates = updates

    def trained(self, event: Mapping[str, Any]) -> None:
        self._write(event["updates"], training_scalars(event))

    def validated(self, epoch: Mapping[str, Any]) -> None:
        self._write(epoch["updates"], validation_scalars(epoch))
        self._writer.flush()

    def finish(self, record: Mapping[str, Any]) -> None:
        self._write(self._updates, final_scalars(record))
        self._writer.close()

    def stop(self, record: Mapping[str, Any]) -> None:
        self._writer.close()

    def _write(self, updates: int, scalars: Mapping[str, float]) -> None:
        self._updates = updates
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, updates)


def open_views(
    views: Views,
    record: Mapping[str, Any],
    folder: Path,
    wandb: str = "disabled",
    tensorboard: bool = False,
    updates: int = 0,
) -> None:
    """Opens what a run's config asks for.

    Args:
        views: gets the trackers.
        record: the record at the start.
        folder: the run folder.
        wandb: "disabled", "offline" or "online".
        tensorboard: whether to write TensorBoard's files.
        updates: behind the checkpoint that training resumes from.
    """
    if wandb != "disabled":
        views.open("wandb", lambda: WandbTracker(record, folder, wandb))
    if tensorboard:
        views.open("TensorBoard", lambda: TensorBoardTracker(folder, updates))


def training_scalars(event: Mapping[str, Any]) -> dict[str, float]:
    """Name -> value of a "trained" line; losses in nats per token."""
    return {
        "train/nll": event["train"]["nll"],
        "train/ppl": event["train"]["ppl"],
        "lr": event["lr"],
        "tokens_per_second": event["tokens"] / event["seconds"],
    }


def validation_scalars(epoch: Mapping[str, Any]) -> dict[str, float]:
    """Name -> value of an entry of the record's `epochs`; losses in nats per token."""
    return {
        "valid/nll": epoch["valid"]["nll"],
        "valid/ppl": epoch["valid"]["ppl"],
        "epoch": epoch["epoch"],
    }


def final_scalars(record: Mapping[str, Any]) -> dict[str, float]:
    """Name -> value of a finished record: its perplexities, and BLEU of its first translation."""
    scalars = {f"final/{split}_ppl": score["ppl"] for split, score in record["final"].items()}
    for translation in list(record.get("translations", {}).values())[:1]:
        for set_name, scores in translation["scores"].items():
            scalars[f"final/{set_name}_bleu"] = scores["bleu"]["score"]
    return scalars
