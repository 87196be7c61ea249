"""The report of a table: README.md, results, plots and records in one folder, by code only."""

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from define.analysis import claims, extras, published, sizes
from define.analysis.compare import compare
from define.analysis.search import read_search
from define.errors import InputError
from define.files import atomic_write
from define.report import data, details, figures, style
from define.report.grid import template
from define.report.tables import UNITS
from define.report.tradeoff import tradeoff
from define.report.view import table_view
from define.runs import journal, paths, records
from define.runs.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_report(
    table: str,
    folders: Sequence[str | Path] | None,
    output: str | Path,
    scales: Sequence[str] | None = None,
    corpora: Sequence[str] | None = None,
    search: str | Path | None = None,
    margin: float = claims.MARGIN,
) -> None:
    """Writes README.md, results.csv, results.json, the plots and copies of the records to `output`.

    A `notes.md` in `output` is included as it is. Search trials, steps, further evaluations and
    significance tests in `output` become tables. A record is copied with its journal's curves and
    the hypotheses of its headline translation. Equal records give equal files, byte for byte.

    Args:
        folders, corpora: where the records are and which of them count, as in `records.find`.
        scales: only these scales, as in `compare`.
        search: a folder of search trials, which are copied to `output`/search.
        margin: as in `claims.answers`.
    Raises:
        InputError: an unknown table or scale, a malformed file, or hypotheses that are not those of
            their record.
    """
    output, every_record = Path(output), records.find(folders, corpora)
    sections = compare(table, every_record, scales)
    found = [run for section in sections for run in section.runs]
    recorded = extras.read(output, table)
    hypotheses = {record.path: _hypotheses(record) for record in found}
    if search is not None:
        _keep_trials(Path(search), output / records.SEARCH_FOLDER)
    tried = records.find_trials([*(paths.results() if folders is None else folders), output])
    answers = claims.answers(every_record, scales, [table], margin, tried)
    recorded = replace(recorded, trials=read_search(output / records.SEARCH_FOLDER))
    view = table_view(table, every_record, scales, answers, recorded)
    for record in found:
        _keep_record(record, hypotheses[record.path], output)
    rows = [row for section in sections for row in section.rows]
    for name, text_of in data.ROWS.items():
        write(output / f"results.{name}", text_of(rows))
    options = {
        "--scale": scales,
        "--data": corpora,
        "--runs": folders and map(shown_path, folders),
        "--margin": None if margin == claims.MARGIN else [f"{100 * margin:g}"],
    }
    text = template("readme.md.j2").render(
        table=view,
        command=_command(table, options, output),
        notes=notes(output),
        images=list(_images(table, found, output)),
        rule=claims.RULE,
        steps_rule=details.STEPS_RULE,
    )
    write(output / "README.md", text.rstrip("\n") + "\n")


def write_reports(
    folders: Sequence[str | Path] | None, output: Path, scales: Sequence[str] | None = None
) -> list[Path]:
    """Writes a report for every table, scale and corpus with runs.

    Args:
        folders, scales: as in `write_report`.
    Returns:
        the folders written, `output`/table_T/SCALE/CORPUS.
    Raises:
        InputError: as `write_report`.
    """
    every_record, written = records.find(folders), []
    for table in published.names():
        for section in compare(table, every_record):
            if section.runs and (scales is None or section.scale in scales):
                folder = output / f"table_{table}" / section.scale / section.data
                write_report(table, folders, folder, [section.scale], [section.data])
                written.append(folder)
    return written


def _images(table: str, found: Sequence[RunRecord], output: Path) -> Iterable[str]:
    if any(len(record.epochs) > 1 for record in found):  # one epoch is a point, not a curve
        figure = figures.validation(table, found)
        yield image(figure, output, "valid_ppl", f"{figures.valid_label(table)} by epoch")
    if sizes.has_curve(table) and sizes.scored(table, found):
        metric, figure = published.metric(table), tradeoff(table, sizes.panels(table, found))
        caption = f"{UNITS[metric]} by total parameters"
        yield image(figure, output, f"params_{metric}", caption)


def image(figure: "Figure", output: Path, stem: str, caption: str) -> str:
    """Saves the figure as .png and .svg; returns the Markdown that shows it."""
    for suffix in (".png", ".svg"):
        style.save(figure, output / f"{stem}{suffix}")
    return f"![{caption[0].upper()}{caption[1:]}]({stem}.png)"


def write(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with atomic_write(path) as stream:
        stream.write(text)


def _hypotheses(record: RunRecord) -> dict[Path, bytes]:
    """The headline translation's files, by their path from the record's folder.

    Raises:
        InputError: a file is missing, or is not the one that was scored.
    """
    found = {}
    for set_name, scores in record.translation_scores.items():
        relative = Path("hypotheses", record.translation, f"{set_name}.txt")
        path = record.path.parent / relative
        if not path.is_file():
            raise InputError(f"{path} is missing; {record.path} has its scores: put it back")
        content = path.read_bytes()
        digest, expected = hashlib.sha256(content).hexdigest(), scores["hypotheses_sha256"]
        if digest != expected:
            raise InputError(
                f"{path} has the SHA-256 {digest}, but the scores in {record.path} are of a file "
                f"with {expected}; put that one back, or translate again"
            )
        found[relative] = content
    return found


def _keep_record(record: RunRecord, hypotheses: Mapping[Path, bytes], output: Path) -> None:
    """Copies a record from elsewhere, so that the folder alone is enough to regenerate it."""
    if output.resolve() in record.path.resolve().parents:
        return
    folder = output / "records" / record.row / record.scale / record.data / f"seed_{record.seed}"
    _keep(record.path, folder / records.FILE_NAME)
    for relative, content in hypotheses.items():
        with atomic_write(folder / relative, "wb") as stream:
            stream.write(content)
    events = journal.read(record.path.with_name(journal.FILE_NAME))
    # Why an attempt failed concerns that machine only.
    kept = [event for event in events if event["event"] in ("started", "trained", "validated")]
    if kept:
        lines = (json.dumps(event, ensure_ascii=False) + "\n" for event in kept)
        write(folder / journal.FILE_NAME, "".join(lines))


def _keep_trials(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise InputError(f"--search {source} is not a folder; name one that holds search trials")
    for path in source.rglob(records.FILE_NAME):
        _keep(path, target / path.parent.relative_to(source) / records.FILE_NAME)


def _keep(source: Path, target: Path) -> None:
    """Copies a record; earlier ones may name folders of a machine in their command."""
    record = records.read_plain(source)
    command = records.without_places(record["provenance"]["command"])
    records.write(target, record | {"provenance": record["provenance"] | {"command": command}})


def _command(table: str, options: Mapping[str, Iterable[str] | None], output: Path) -> str:
    given = [word for name, values in options.items() for v in values or () for word in (name, v)]
    words = ["define", "compare", "--table", table, *given, "--report", shown_path(output)]
    return shlex.join(words)


def shown_path(path: str | Path) -> str:
    """The path from the working folder if it is below it, else its name: no machine's folders."""
    path = Path(path).resolve()
    here = Path.cwd().resolve()
    return path.relative_to(here).as_posix() if here in path.parents else path.name


def notes(output: Path) -> list[str]:
    """The `notes.md` of a report's folder, if there is one."""
    path = output / "notes.md"
    return [path.read_text(encoding="utf-8").strip("\n")] if path.is_file() else []
