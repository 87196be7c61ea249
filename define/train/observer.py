"""Turns what the task tells during training into the run record and what a person sees."""

import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from fairseq.logging import metrics
from tqdm import tqdm

from define.runs import journal, records
from define.tasks.observer import Observer
from define.train import interruption
from define.train.timing import peak_memory_mib
from define.train.tracking import Tracker


def scored(nll_base_2: float) -> dict[str, float]:
    """fairseq's base-2 loss per token as {"nll" in nats, "ppl"}."""
    nll = nll_base_2 * math.log(2)
    return {"nll": nll, "ppl": math.exp(nll)}


def require_finite(nll: float, name: str) -> None:
    """Raises FloatingPointError if a loss in nats is not finite, or too large for a perplexity."""
    if not nll < math.log(sys.float_info.max):
        raise FloatingPointError(f"{name} is {nll}")


class PeakMemory(Observer):
    """Keeps the largest peak of CUDA memory; fairseq resets the peak after every update."""

    def __init__(self):
        self._cuda_mib = 0.0

    def updated(self, update: int, tokens: int, lr: float, nll: torch.Tensor | float) -> None:
        if torch.cuda.is_available():
            peak = torch.cuda.max_memory_allocated() / 2**20
            self._cuda_mib = max(self._cuda_mib, peak)

    @property
    def mib(self) -> float:
        """On the GPU, or of this process on the CPU; from the start, building included."""
        return self._cuda_mib or peak_memory_mib()


class Interval:
    """Updates since the last line of the journal."""

    def __init__(self):
        self.updates, self.tokens, self.seconds = 0, 0, 0.0
        self._nll: torch.Tensor | float = 0.0
        self._lr = 0.0

    def add(self, update: int, tokens: int, lr: float, nll, seconds: float) -> None:
        self.updates, self._lr = update, lr
        self.tokens += tokens
        self.seconds += seconds
        self._nll = self._nll + nll

    def event(self) -> dict[str, Any]:
        """The journal's line; losses are means per token.

        Raises:
            FloatingPointError: the loss is not finite, or too large for a perplexity.
        """
        nll = float(self._nll) / self.tokens
        require_finite(nll, f"the training loss at update {self.updates}")
        return {
            "event": "trained",
            "updates": self.updates,
            "train": {"nll": nll, "ppl": math.exp(nll)},
            "lr": self._lr,
            "tokens": self.tokens,
            "seconds": self.seconds,
        }


class RunObserver(Observer):
    """Keeps the record and the journal of one run up to date and shows its progress.

    Args:
        path: where the record is written; the journal is in the same folder.
        record: the record so far; a resumed run continues it.
        max_update: length of the progress bar; 0 if it is not known.
        log_interval: updates between two lines of the journal.
        tracker: gets every line of training and every epoch's metrics too.
        quiet: whether to show no progress bar, only a line per epoch.
        corpus: what the task reads.
    """

    def __init__(
        self,
        path: Path,
        record: dict[str, Any],
        max_update: int,
        log_interval: int,
        tracker: Tracker,
        quiet: bool = False,
        corpus: Any = None,
    ):
        self.path, self.record, self.tracker, self.corpus = path, record, tracker, corpus
        self._journal = path.with_name(journal.FILE_NAME)
        self._log_interval, self._interval = log_interval, Interval()
        speed = record["speed"]
        self.seconds = speed["seconds"]
        self.updates = self.seconds / speed["ms_per_update"] * 1000 if self.seconds else 0.0
        self.tokens = speed["tokens_per_second"] * self.seconds
        self._memory = PeakMemory()
        self._mark = time.perf_counter()
        self._epoch_seconds = 0.0
        self._lr = 0.0
        self._bar = tqdm(
            total=max_update or None, unit="update", disable=quiet, leave=False, file=sys.stderr
        )

    def optimized_by(self, path: str) -> None:
        self.record["provenance"]["optimizer"] = path

    def begin(self) -> None:
        """The clock starts here: neither set-up nor saving is training."""
        self._mark = time.perf_counter()

    def updated(self, update: int, tokens: int, lr: float, nll: torch.Tensor | float) -> None:
        interruption.check()
        now = time.perf_counter()
        elapsed, self._mark = now - self._mark, now
        self.seconds += elapsed
        self._epoch_seconds += elapsed
        self.updates += 1
        self.tokens += tokens
        self._lr = lr
        self._memory.updated(update, tokens, lr, nll)
        self._interval.add(update, tokens, lr, nll, elapsed)
        if update % self._log_interval == 0:
            self._note_training()
        self._bar.n = update
        self._bar.set_postfix_str(f"{self.tokens / self.seconds:,.0f} tokens/s", refresh=False)
        self._bar.update(0)

    def note(self, event: str, **details: Any) -> None:
        """Adds a line to the journal."""
        journal.append(self._journal, {"event": event, **details})

    def _note_training(self) -> None:
        event, self._interval = self._interval.event(), Interval()
        journal.append(self._journal, event)
        self.tracker.trained(event)

    def validated(self, epoch: int, stats: dict, averaged: bool) -> None:
        name = f"the validation loss at update {int(stats['num_updates'])}"
        require_finite(float(stats["nll_loss"]) * math.log(2), name)
        epochs = [e for e in self.record["epochs"] if e["epoch"] <= epoch]
        if epochs and epochs[-1]["epoch"] == epoch:  # of a validation inside the epoch
            self._epoch_seconds += epochs.pop()["seconds"]
        train = metrics.get_smoothed_values("train")
        entry = {
            "epoch": epoch,
            "updates": int(stats["num_updates"]),
            "lr": self._lr,  # fairseq logs the next update's, which may never come
            "train": scored(float(train["nll_loss"])),
            "valid": {
                **scored(float(stats["nll_loss"])),
                "scored_tokens": int(stats["scored_tokens"]),
            },
            "seconds": self._epoch_seconds,
            "averaged": averaged,
        }
        self.record["epochs"] = [*epochs, entry]
        best = min(self.record["epochs"], key=lambda e: e["valid"]["nll"])
        self.record["best_epoch"] = best["epoch"]
        if self._interval.tokens:
            self._note_training()
        self.note("validated", **{k: entry[k] for k in ("updates", "epoch", "valid", "averaged")})
        self.save()
        self.tracker.validated(entry)
        self._bar.write(
            f"epoch {epoch:>3}  updates {entry['updates']:>6}  "
            f"train ppl {entry['train']['ppl']:8.2f}  "
            f"valid ppl {entry['valid']['ppl']:8.2f}{'*' if best is entry else ' '} "
            f"{'averaged  ' if averaged else ''}{self.tokens / self.seconds:,.0f} tokens/s",
            file=sys.stdout,
        )
        sys.stdout.flush()
        self._epoch_seconds = 0.0
        self._mark = time.perf_counter()

    def save(self) -> None:
        """Writes the record as it stands."""
        if self.updates:
            self.record["speed"] = {
                "tokens_per_second": self.tokens / self.seconds,
                "ms_per_update": 1000 * self.seconds / self.updates,
                "seconds": self.seconds,
            }
        self.record["peak_memory_mib"] = max(self.record["peak_memory_mib"], self._memory.mib)
        records.write(self.path, self.record)

    def close(self) -> None:
        self._bar.close()
