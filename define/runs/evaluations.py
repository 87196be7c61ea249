"""Further evaluations of a finished run, such as the neural cache, in `evaluations/*.json`.

`define evaluate --output` writes the files; the run that they score has its own record.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from typing_extensions import TypedDict

from define.runs import reading, schema
from define.runs.schema import Count, Name, Provenance, Rule, Scores, Settings

SCHEMA = 1
FOLDER = "evaluations"


class Run(TypedDict):
    """The run whose checkpoint was scored, at the scale and on the corpus of the evaluation."""

    table: str
    row: str
    seed: Count


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One evaluation; each attribute but `path` is a field.

    Attributes:
        protocol: the settings; its key "chosen", if it is there, says how they were chosen.
    """

    path: Path = Path()
    schema: Literal[1]
    kind: Literal["evaluation"]
    table: Name
    row: Name
    scale: Name
    seed: Count
    run: Run
    protocol: Settings
    scores: Scores
    provenance: Provenance

    @property
    def run_key(self) -> tuple:
        """What names the record of the run."""
        data = self.provenance["data"]["name"]
        return self.run["table"], self.run["row"], self.scale, data, self.run["seed"]

    @property
    def settings(self) -> str:
        """The protocol in words."""
        settings = dict(self.protocol)
        chosen = settings.pop("chosen", None)
        return schema.sentence(settings) + (f"; chosen by: {chosen}" if chosen else "")


def _check(evaluation: Evaluation) -> None:
    if evaluation.seed != evaluation.run["seed"]:
        raise ValueError(f"has seed {evaluation.seed}, but run.seed {evaluation.run['seed']}")
    if not evaluation.protocol:
        raise ValueError("has an empty protocol; it says how it was scored")
    tokens = evaluation.provenance["data"]["tokens"]
    schema.check_scores(evaluation.scores, "scores", tokens)


_FORM = Annotated[Evaluation, Rule(_check)]


def read(path: str | Path) -> Evaluation:
    """Reads and validates one file.

    Raises:
        InputError: the file cannot be read, is not JSON, or breaks a rule; names file and field.
    """
    return reading.read(_FORM, path, "evaluation", "run define evaluate again")
