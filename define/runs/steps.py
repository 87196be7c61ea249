"""Steps at the paper's size: time, memory and loss of some updates, in `steps/*.json`.

`define step` writes the files.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Literal

from define.runs import reading
from define.runs.schema import Count, Duration, Measured, Name, Number, Parameters, Positive, Rule

SCHEMA = 1
FOLDER = "steps"


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """Some updates of one row at the paper's size; each attribute but `path` is a field.

    A language model's step has `streams`, `bptt` and `paper_streams`, a translation's has
    `max_tokens`, `update_freq` and `paper_tokens_per_update`.

    Attributes:
        tokens_per_update, paper_tokens_per_update: here and in the paper's recipe, on all its GPUs;
            of a translation at most, padding included.
        updates, warm_up: timed updates, and those before them.
        ms_per_update: of each timed update.
        loss: of each update, warm-up included, in nats per token.
    """

    path: Path = Path()
    schema: Literal[1]
    table: Name
    row: Name
    parameters: Parameters
    tokens_per_update: Positive
    updates: Positive
    warm_up: Count
    ms_per_update: list[Duration]
    loss: list[Number]
    peak_memory_mib: Duration
    provenance: Measured
    streams: Positive = 0
    bptt: Positive = 0
    paper_streams: Positive = 0
    max_tokens: Positive = 0
    update_freq: Positive = 0
    paper_tokens_per_update: Positive = 0

    @property
    def median_ms(self) -> float:
        """The median time of a timed update."""
        return median(self.ms_per_update)

    @property
    def setting(self) -> tuple:
        """What two steps must share so that their times can be compared."""
        return self.tokens_per_update, self.provenance["device"], self.provenance["threads"]


def _check(step: StepRecord) -> None:
    tokens = step.tokens_per_update
    expected = step.streams * step.bptt or step.max_tokens * step.update_freq
    if tokens != expected:
        raise ValueError(f"has tokens_per_update {tokens}, but its batches have {expected}")
    paper = step.paper_tokens_per_update or step.paper_streams * step.bptt
    if tokens > paper:
        raise ValueError(f"has tokens_per_update {tokens}, more than the paper's {paper}")
    if len(step.ms_per_update) != step.updates:
        raise ValueError(f"has {len(step.ms_per_update)} ms_per_update of {step.updates} updates")
    if len(step.loss) != step.updates + step.warm_up:
        raise ValueError(f"has {len(step.loss)} losses of {step.updates} + {step.warm_up} updates")


_FORM = Annotated[StepRecord, Rule(_check)]


def read(path: str | Path) -> StepRecord:
    """Reads and validates one file.

    Raises:
        InputError: the file cannot be read, is not JSON, or breaks a rule; names file and field.
    """
    path = Path(path)
    value = reading.read_plain(_FORM, path, "step record", "run define step again")
    if "paper_streams" in value:
        value["paper_tokens_per_update"] = value["paper_streams"] * value["bptt"]
    return reading.filled(StepRecord, path, value)
