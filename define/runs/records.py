"""Run records: what one training run left in its `record.json`, validated before it is believed.

A loss is in nats per token, a perplexity is exp(loss), times are in seconds, memory is in MiB.
"""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from define.errors import InputError
from define.files import is_held, write_json
from define.runs import schema
from define.runs.schema import MapOf, Nullable, check_shape, require, validate

SCHEMA = 1
STATUSES = ("running", "finished", "interrupted", "failed", "pruned")
FILE_NAME = "record.json"
LOCK_NAME = ".lock"
"""Beside the record of a run, held by the process that trains it."""
DEFAULT_FOLDERS = ("runs", "experiments")
SEARCH_FOLDER = "search"
"""Trials of a hyper-parameter search live below a folder of this name; they are nobody's result."""


@dataclass(frozen=True)
class RunRecord:
    """One validated record; each attribute is the field of the file that has its name.

    `protocols` (name -> "settings" and "scores") may be absent from the file. Its first one is the
    headline: `final` holds its scores. So may `translations` (name -> "settings" and "scores", set
    by set); its first one is the headline too, and the BLEU of the run.
    """

    path: Path
    table: str
    row: str
    scale: str
    seed: int
    status: str
    config: Mapping[str, Any]
    parameters: Mapping[str, int]
    epochs: Sequence[Mapping[str, Any]]
    final: Mapping[str, Mapping[str, Any]] | None
    best_epoch: int | None
    speed: Mapping[str, float]
    peak_memory_mib: float
    provenance: Mapping[str, Any]
    protocols: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    translations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def data(self) -> str:
        """The name of the corpus."""
        return self.provenance["data"]["name"]

    @property
    def finished(self) -> bool:
        """Whether the run came to its end, so that its final metrics count."""
        return self.status == "finished"

    @property
    def metrics(self) -> dict[str, float]:
        """The final perplexities as {"valid_ppl": ..., "test_ppl": ...}; none until finished.

        A translation run also has "<set>_bleu" of its headline translation, in the corpus's order.
        """
        if not self.finished:
            return {}
        perplexities = {f"{split}_ppl": scores["ppl"] for split, scores in self.final.items()}
        translated = self.translation_scores
        return perplexities | {
            f"{s}_bleu": scores["bleu"]["score"] for s, scores in translated.items()
        }

    @property
    def headline(self) -> str | None:
        """The name of the protocol that `final` was measured by; None if the record has none."""
        return next(iter(self.protocols), None)

    @property
    def translation(self) -> str | None:
        """The name of the headline translation; None if the record has none."""
        return next(iter(self.translations), None)

    @property
    def translation_scores(self) -> Mapping[str, Mapping[str, Any]]:
        """Evaluation set -> scores of the headline translation; none if the record has none."""
        return self.translations[self.translation]["scores"] if self.translations else {}


_SHAPE = {
    "schema": int,
    "table": str,
    "row": str,
    "scale": str,
    "seed": int,
    "status": str,
    "config": dict,
    "parameters": schema.PARAMETERS,
    "epochs": [
        {
            "epoch": int,
            "updates": int,
            "lr": float,
            "train": schema.LOSS,
            "valid": {**schema.LOSS, "scored_tokens": int},
            "seconds": float,
            "averaged": bool,
        }
    ],
    "final": Nullable(schema.SCORES),
    "best_epoch": Nullable(int),
    "speed": {"tokens_per_second": float, "ms_per_update": float, "seconds": float},
    "peak_memory_mib": float,
    "provenance": {**schema.ORIGIN, "data": schema.CORPUS},
}
_PROTOCOLS_SHAPE = MapOf({"settings": dict, "scores": schema.SCORES})
_TRANSLATIONS_SHAPE = MapOf(
    {
        "settings": dict,
        "scores": MapOf(
            {
                "sentences": int,
                "seconds": float,
                "hypotheses_sha256": str,
                **dict.fromkeys(schema.TRANSLATED, {**schema.INTERVAL, "signature": str}),
            }
        ),
    }
)
_REMEDY = "run the training or its evaluation again"


def new(
    *,
    table: str,
    row: str,
    scale: str,
    seed: int,
    config: Mapping[str, Any],
    parameters: Mapping[str, int],
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """The record of a run that is about to start, as a plain dict to fill in and `write`."""
    return {
        "schema": SCHEMA,
        "table": table,
        "row": row,
        "scale": scale,
        "seed": seed,
        "status": "running",
        "config": dict(config),
        "parameters": dict(parameters),
        "epochs": [],
        "final": None,
        "best_epoch": None,
        "speed": {"tokens_per_second": 0.0, "ms_per_update": 0.0, "seconds": 0.0},
        "peak_memory_mib": 0.0,
        "provenance": dict(provenance),
    }


def without_places(command: str) -> str:
    """A command line with absolute paths cut to their last part: no folders of one machine."""
    words = []
    for word in shlex.split(command):
        found = re.fullmatch(r"""([^=]*=)?(['"]?)(/.*)\2""", word)  # Hydra's own quotes too
        words.append(f"{found[1] or ''}{Path(found[3]).name}" if found else word)
    return shlex.join(words)


def write(path: str | Path, record: Mapping[str, Any]) -> None:
    """Validates a record and writes it whole or not at all.

    Raises:
        InputError: a field is missing, has the wrong type or contradicts another one.
    """
    validate(record, _check, path, _REMEDY)
    write_json(path, record)


def mark_pruned(path: str | Path) -> None:
    """Notes in the record of a search trial that it was given up; a finished one stays finished.

    Raises:
        InputError: as `read`.
    """
    record = read_plain(path)
    if record["status"] != "finished":
        write(path, record | {"status": "pruned"})


def read_plain(path: str | Path) -> dict[str, Any]:
    """Reads and validates one record, as the plain dict that `write` takes.

    Raises:
        InputError: as `read`.
    """
    path = Path(path)
    record = schema.read_json(path, "run record", "run the training again")
    validate(record, _check, path, _REMEDY)
    return record


def read(path: str | Path) -> RunRecord:
    """Reads and validates one record.

    A run that says it is running, though no process holds its folder, was killed: it counts as
    interrupted.

    Raises:
        InputError: the file cannot be read, is not JSON, or breaks a rule; names file and field.
    """
    path = Path(path)
    record = read_plain(path)
    lock = path.with_name(LOCK_NAME)
    if record["status"] == "running" and lock.exists() and not is_held(lock):
        record["status"] = "interrupted"
    return schema.filled(RunRecord, path, record)


def default_folders() -> list[str]:
    """Where records are looked for unless folders are named: those of `DEFAULT_FOLDERS` there."""
    return [folder for folder in DEFAULT_FOLDERS if Path(folder).is_dir()]


def find(
    folders: Sequence[str | Path] | None = None, corpora: Sequence[str] | None = None
) -> list[RunRecord]:
    """All records below the folders, one per table, row, scale, corpus and seed.

    Where several folders hold the same run, a finished record wins over an unfinished one, then the
    one of the earlier folder. Folders of search trials and of superseded results are passed over,
    unless they are among the folders.

    Args:
        folders: where to look; by default `runs` and `experiments`, each if it is there.
        corpora: only runs on these corpora, e.g. ["ptb"]; by default on all.
    Raises:
        InputError: a given folder is missing, a given corpus has no run, a record is malformed, or
            one folder holds two finished records of the same run with different results.
    """
    if folders is None:
        folders = default_folders()
    chosen: dict[tuple, RunRecord] = {}
    for folder in folders:
        if not Path(folder).is_dir():
            raise InputError(f"{str(folder)!r} is not a folder; give one that holds run records")
        in_folder: dict[tuple, RunRecord] = {}
        for path in _record_paths(folder):
            _keep(in_folder, read(path))
        for key, record in in_folder.items():
            if key not in chosen or (record.finished and not chosen[key].finished):
                chosen[key] = record
    found = [chosen[key] for key in sorted(chosen)]
    known = sorted({record.data for record in found})
    for name in corpora or ():
        if name not in known:
            raise InputError(f"no run on data {name!r} was found; there are runs on: {known}")
    return [record for record in found if not corpora or record.data in corpora]


def find_trials(folders: Sequence[str | Path] | None = None) -> list[RunRecord]:
    """The search trials below the folders that have ended; a copied trial counts once.

    A run that was scored on a test set is no trial, wherever it lies.

    Args:
        folders: as in `find`.
    Raises:
        InputError: a record is malformed.
    """
    trials = {}
    for folder in default_folders() if folders is None else folders:
        for path in schema.below(folder, f"{SEARCH_FOLDER}/**/{FILE_NAME}"):
            trial = read(path)
            if trial.status != "running" and "test" not in (trial.final or {}):
                # A copy keeps the trial's folder name and its start.
                key = (trial.table, trial.row, path.parent.name, trial.provenance["started"])
                trials.setdefault(key, trial)
    return list(trials.values())


def _record_paths(folder: str | Path) -> Iterator[Path]:
    passed_over = (SEARCH_FOLDER, schema.SUPERSEDED)
    for parent, children, files in os.walk(folder):
        children[:] = sorted(child for child in children if child not in passed_over)
        if FILE_NAME in files:
            yield Path(parent) / FILE_NAME


def _keep(records: dict[tuple, RunRecord], record: RunRecord) -> None:
    key = (record.table, record.row, record.scale, record.data, record.seed)
    other = records.setdefault(key, record)
    differ = record.final != other.final or record.metrics != other.metrics
    if record.finished and other.finished and differ:
        raise InputError(
            f"{other.path} and {record.path} both claim to be the finished run of table "
            f"{record.table}, row {record.row}, scale {record.scale}, seed {record.seed}, with "
            "different results; move one of them away"
        )
    if record.finished and not other.finished:
        records[key] = record


def _check(record: Any) -> None:
    check_shape(record, _SHAPE)
    schema.check_names(record, SCHEMA, "table", "row", "scale")
    status = record["status"]
    require(status in STATUSES, "status", f"is {status!r}, not one of {', '.join(STATUSES)}")
    schema.check_parameters(record["parameters"])
    _check_epochs(record)
    data = record["provenance"]["data"]
    if schema.PAIR_CORPUS.keys() & data.keys():
        check_shape(data, schema.PAIR_CORPUS, "provenance.data")
    tokens = data["tokens"]
    require(tokens.get("train", 0) > 0, "provenance.data.tokens", "has no training tokens")
    if record["final"] is not None:
        schema.check_scores(record["final"], "final", tokens)
    require(
        record["final"] is not None or status != "finished",
        "final",
        "is null though the run is finished",
    )
    if "protocols" in record:
        _check_protocols(record, tokens)
    if "translations" in record:
        _check_translations(record["translations"])


def _check_epochs(record: Mapping[str, Any]) -> None:
    previous = 0
    for index, epoch in enumerate(record["epochs"]):
        field = f"epochs[{index}]"
        number = epoch["epoch"]
        require(number > previous, f"{field}.epoch", f"is {number}, after epoch {previous}")
        previous = number
        schema.check_loss(epoch["train"], f"{field}.train")
        schema.check_loss(epoch["valid"], f"{field}.valid")
        scored = epoch["valid"]["scored_tokens"]
        require(scored > 0, f"{field}.valid.scored_tokens", "is 0: a number from nothing")
    best = record["best_epoch"]
    numbers = [epoch["epoch"] for epoch in record["epochs"]]
    require(best is None or best in numbers, "best_epoch", f"is {best}, no epoch of the record")


def _check_protocols(record: Mapping[str, Any], tokens: Mapping[str, int]) -> None:
    protocols = record["protocols"]
    check_shape(protocols, _PROTOCOLS_SHAPE, "protocols")
    require(len(protocols) > 0, "protocols", "is empty; leave it out")
    for name, protocol in protocols.items():
        require(name != "", "protocols", "has a protocol without a name")
        schema.check_settings(protocol["settings"], f"protocols.{name}.settings")
        schema.check_scores(protocol["scores"], f"protocols.{name}.scores", tokens)
    headline = next(iter(protocols))
    require(
        record["final"] == protocols[headline]["scores"],
        "final",
        f"differs from the scores of the first protocol, {headline!r}",
    )


def _check_translations(translations: Any) -> None:
    check_shape(translations, _TRANSLATIONS_SHAPE, "translations")
    require(len(translations) > 0, "translations", "is empty; leave it out")
    headline, first = next(iter(translations.items()))
    sentences = {name: scores["sentences"] for name, scores in first["scores"].items()}
    require(len(sentences) > 0, f"translations.{headline}.scores", "is empty")
    for name, translation in translations.items():
        _check_file_name(name, "translations")
        schema.check_settings(translation["settings"], f"translations.{name}.settings")
        field = f"translations.{name}.scores"
        found = {
            set_name: scores["sentences"] for set_name, scores in translation["scores"].items()
        }
        rule = f"has the sentences {found}, but the first translation, {headline!r}, {sentences}"
        require(found == sentences, field, rule)
        for set_name, scores in translation["scores"].items():
            _check_file_name(set_name, field)
            _check_translated(scores, f"{field}.{set_name}")


def _check_file_name(name: str, field: str) -> None:
    """Translations and sets name the files of their hypotheses."""
    require(re.fullmatch(r"\w[\w.-]*", name) is not None, field, f"has {name!r}, no file name")


def _check_translated(scores: Mapping[str, Any], field: str) -> None:
    require(scores["sentences"] > 0, f"{field}.sentences", "is 0: a number from nothing")
    schema.check_sha256(scores["hypotheses_sha256"], f"{field}.hypotheses_sha256")
    for metric in schema.TRANSLATED:
        schema.check_interval(scores[metric], f"{field}.{metric}")
        require(scores[metric]["signature"] != "", f"{field}.{metric}.signature", "is empty")
