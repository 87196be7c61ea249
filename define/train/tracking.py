"""Weights & Biases and TensorBoard as views of a run, next to its record; nothing depends on them.

wandb keeps the runs of an offline training in `<run folder>/wandb`, one folder for each start, all
with one id. wandb's own command uploads them later and joins those with the same id, in order:

    find runs -type d -name wandb -exec wandb sync {} +

Its `--dry-run` lists them; what is uploaded already is skipped. Curves are over `updates`: wandb's
own step counts on through a resumed run, which may repeat its last updates.
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
EXIT_CODES = {"finished": 0, "failed": 1, "interrupted": 255}
"""wandb's own for a script that ended, raised, or was stopped from the keyboard."""


class WandbView:
    """One wandb run per run folder, the same one when training resumes.

    Args:
        record: the record at the start.
        folder: the run folder; wandb writes below its `wandb`.
        mode: "offline" or "online".
    Raises:
        RuntimeError: online, and nobody is logged in.
        wandb.errors.Error: the server cannot be reached, or whatever else wandb finds.
    """

    def __init__(self, record: Mapping[str, Any], folder: Path, mode: str):
        # wandb would report errors of its own to its server, offline too.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        online = mode == "online"
        if online and not wandb.login(prompt=False, verify=False):
            raise RuntimeError(
                "nobody is logged in, or WANDB_MODE forbids it; "
                "`wandb login`, or take wandb=offline"
            )
        origin = record["provenance"]
        tags = [f"table_{record['table']}", record["row"], record["scale"], origin["data"]["name"]]
        name = "/".join([*tags, f"seed_{record['seed']}"])
        self._run = wandb.init(
            project=PROJECT,
            name=name,
            group=origin.get("sweep") or f"{tags[0]}/{record['scale']}",
            job_type="train",
            tags=tags,
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

    def log(self, updates: int, scalars: Mapping[str, float]) -> None:
        self._run.log({"updates": updates, **scalars})

    def finish(self, updates: int, scalars: Mapping[str, float], status: str) -> None:
        self._run.summary.update(scalars)
        self._run.finish(exit_code=EXIT_CODES[status])


class TensorBoardView:
    """The same curves as TensorBoard's files in `<run folder>/tensorboard`.

    Args:
        folder: the run folder.
        updates: of the checkpoint that training resumes from; later ones of an earlier start are
            taken back.
    Raises:
        RuntimeError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, updates: int):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise RuntimeError("it is not installed; `pip install tensorboard`") from error
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=updates + 1)

    def log(self, updates: int, scalars: Mapping[str, float]) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, updates)
        self._writer.flush()

    def finish(self, updates: int, scalars: Mapping[str, float], status: str) -> None:
        self.log(updates, scalars)
        self._writer.close()


class Tracker:
    """Tells the views of a run; one that raises is dropped with a message and stops no run."""

    def __init__(self):
        self._views: dict[str, Any] = {}
        self._updates = 0

    def open(self, name: str, start: Callable[[], Any]) -> None:
        """Adds the view that `start` makes."""
        try:
            self._views[name] = start()
        except Exception as error:
            self._drop(name, error)

    def trained(self, event: Mapping[str, Any]) -> None:
        """Takes a "trained" line of the run's journal; losses are in nats per token."""
        scalars = {
            "train/nll": event["train"]["nll"],
            "train/ppl": event["train"]["ppl"],
            "lr": event["lr"],
            "tokens_per_second": event["tokens"] / event["seconds"],
        }
        self._log(event["updates"], scalars)

    def validated(self, epoch: Mapping[str, Any]) -> None:
        """Takes an entry of the record's `epochs`."""
        scalars = {f"valid/{key}": epoch["valid"][key] for key in ("nll", "ppl")}
        self._log(epoch["updates"], scalars | {"epoch": epoch["epoch"]})

    def finish(self, record: Mapping[str, Any]) -> None:
        """Takes the record of a run that has ended, well or not; nothing comes after it."""
        status = record["status"]
        scalars = final_scalars(record) if status == "finished" else {}
        self._tell(lambda view: view.finish(self._updates, scalars, status))

    def _log(self, updates: int, scalars: Mapping[str, float]) -> None:
        self._updates = updates
        self._tell(lambda view: view.log(updates, scalars))

    def _tell(self, tell: Callable[[Any], None]) -> None:
        for name, view in list(self._views.items()):
            try:
                tell(view)
            except Exception as error:
                del self._views[name]
                self._drop(name, error)

    def _drop(self, name: str, error: Exception) -> None:
        reason = str(error).partition("\n")[0] or type(error).__name__
        message = f"define: {name} shows no more of this run ({reason}); the run continues"
        print(message, file=sys.stderr)


def open_views(
    tracker: Tracker,
    record: Mapping[str, Any],
    folder: Path,
    wandb: str = "disabled",
    tensorboard: bool = False,
    updates: int = 0,
) -> None:
    """Opens the views that a run's config asks for.

    Args:
        tracker: gets the views.
        record: the record at the start.
        folder: the run folder.
        wandb: "disabled", "offline" or "online".
        tensorboard: whether to write TensorBoard's files.
        updates: of the checkpoint that training resumes from.
    """
    if wandb != "disabled":
        tracker.open("wandb", lambda: WandbView(record, folder, wandb))
    if tensorboard:
        tracker.open("TensorBoard", lambda: TensorBoardView(folder, updates))


def final_scalars(record: Mapping[str, Any]) -> dict[str, float]:
    """Name -> value of a finished record: its perplexities, and BLEU of its first translation."""
    scalars = {f"final/{split}_ppl": score["ppl"] for split, score in record["final"].items()}
    for translation in list(record.get("translations", {}).values())[:1]:
        for set_name, scores in translation["scores"].items():
            scalars[f"final/{set_name}_bleu"] = scores["bleu"]["score"]
    return scalars
