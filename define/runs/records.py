"""Run records: what one training run left in its `record.json`, validated before it is believed."""

import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from define.errors import InputError
from define.files import is_held, write_json
from define.runs import paths, reading, schema
from define.runs.record import SCHEMA, RunRecord, check

FILE_NAME = "record.json"
LOCK_NAME = ".lock"
"""Beside the record of a run, held by the process that trains it."""
SEARCH_FOLDER = "search"
"""Trials of a hyper-parameter search are below a folder with this name; they are no results."""
_FORM = Annotated[RunRecord, schema.Rule(check)]
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


def digest(record: Mapping[str, Any]) -> str:
    """The SHA-256 of all fields of a record but `digest`, in the order of their names.

    It shows that a record was damaged or edited by hand. It proves neither who wrote the record nor
    that the run took place: whoever edits a record can compute it anew.
    """
    fields = {key: value for key, value in record.items() if key != "digest"}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def write(path: str | Path, record: Mapping[str, Any]) -> None:
    """Validates a record and writes it with its `digest`, whole or not at all.

    Raises:
        InputError: a field is missing, has the wrong type or contradicts another one.
    """
    reading.check(_FORM, json.dumps(record), path, _REMEDY)
    write_json(path, {**record, "digest": digest(record)})


def mark_pruned(path: str | Path) -> None:
    """Notes in the record of a search trial that it was given up; a finished trial stays finished.

    Raises:
        InputError: as `read`.
    """
    record = read_plain(path)
    if record["status"] != "finished":
        write(path, record | {"status": "pruned"})


def read_plain(path: str | Path) -> dict[str, Any]:
    """Reads and validates one record, as the plain dict that `write` takes.

    A record of an earlier version has no `digest`; its fields are checked against each other only.

    Raises:
        InputError: as `read`.
    """
    record = reading.read_plain(_FORM, Path(path), "run record", _REMEDY)
    if record.pop("digest", None) not in (None, digest(record)):
        raise InputError(
            f"{path}: it was changed after it was written, for its digest is not that of its "
            f"fields; restore it, or {_REMEDY}"
        )
    return record


def read(path: str | Path) -> RunRecord:
    """Reads and validates one record.

    A run that says it is running, though no process holds its folder, was killed: it counts as
    interrupted.

    Raises:
        InputError: the file cannot be read, is not JSON, breaks a rule or does not have the digest
            of its fields; names file and field.
    """
    path = Path(path)
    record = read_plain(path)
    lock = path.with_name(LOCK_NAME)
    if record["status"] == "running" and lock.exists() and not is_held(lock):
        record["status"] = "interrupted"
    return reading.filled(RunRecord, path, record)


def find(
    folders: Sequence[str | Path] | None = None,
    corpora: Sequence[str] | None = None,
    skipped: list[str] | None = None,
) -> list[RunRecord]:
    """All records below the folders, one per table, row, scale, corpus and seed.

    Where several folders hold the same run, a finished record wins over an unfinished one, then the
    one of the earlier folder. Folders of search trials and of superseded results are passed over,
    unless they are among the folders.

    Args:
        folders: where to look; by default `define.runs.paths.results`.
        corpora: only runs on these corpora, e.g. ["ptb"]; by default on all.
        skipped: malformed records are skipped, and what is wrong with each is added here.
    Raises:
        InputError: a given folder is missing, a given corpus has no run, a record is malformed
            (without `skipped`), or one folder holds two finished records of the same run with
            different results.
    """
    if folders is None:
        folders = paths.results()
    chosen: dict[tuple, RunRecord] = {}
    for folder in folders:
        if not Path(folder).is_dir():
            raise InputError(f"{str(folder)!r} is not a folder; give one that holds run records")
        in_folder: dict[tuple, RunRecord] = {}
        for record in _read_all(_record_paths(folder), skipped):
            _keep(in_folder, record)
        for key, record in in_folder.items():
            if key not in chosen or (record.finished and not chosen[key].finished):
                chosen[key] = record
    found = [chosen[key] for key in sorted(chosen)]
    known = sorted({record.data for record in found})
    for name in corpora or ():
        if name not in known:
            raise InputError(f"no run on data {name!r} was found; there are runs on: {known}")
    return [record for record in found if not corpora or record.data in corpora]


def find_trials(
    folders: Sequence[str | Path] | None = None, skipped: list[str] | None = None
) -> list[RunRecord]:
    """The search trials below the folders that have ended; a copied trial counts once.

    A run that was scored on a test set is no trial, wherever it lies.

    Args:
        folders, skipped: as in `find`.
    Raises:
        InputError: a record is malformed (without `skipped`).
    """
    trials = {}
    for folder in paths.results() if folders is None else folders:
        for trial in _read_all(schema.below(folder, f"{SEARCH_FOLDER}/**/{FILE_NAME}"), skipped):
            if trial.status != "running" and "test" not in (trial.final or {}):
                # A copy keeps the trial's folder name and its start.
                name = trial.path.parent.name
                key = (trial.table, trial.row, name, trial.provenance["started"])
                trials.setdefault(key, trial)
    return list(trials.values())


def _read_all(places: Iterable[Path], skipped: list[str] | None) -> Iterator[RunRecord]:
    for path in places:
        try:
            yield read(path)
        except InputError as error:
            if skipped is None:
                raise
            skipped.append(str(error))


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
