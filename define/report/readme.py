"""The report of a table: README.md, results, plots and records in one folder, by code only."""

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from define.analysis import claims, evaluations, published, significance, sizes, steps
from define.analysis.compare import of_table
from define.analysis.search import read_search
from define.errors import InputError
from define.files import atomic_write
from define.report import data, details, figures, style
from define.report.grid import template
from define.report.tables import UNITS
from define.report.tradeoff import tradeoff
from define.report.view import Extras, table_view
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

    A `notes.md` in `output` is included as it is. The search trials below its folder `search`, the
    paper-scale steps below `steps`, the further evaluations below `evaluations` and the tests below
    `significance` become tables. A record is copied with its journal's curves and the hypotheses of
    its headline translation. Equal records give equal files, byte for byte.

    Args:
        folders, corpora: where the records are and which of them count, as in `records.find`.
        scales: only these scales, as in `compare`.
        search: a folder whose records are search trials, to be copied below `output`/search.
        margin: as in `claims.answers`.
    Raises:
        InputError: an unknown table or scale, a malformed record, step, evaluation or test, or
            hypotheses that are not those of their record.
    """
    output = Path(output)
    every_record = records.find(folders, corpora)
    table_steps = steps.read_steps(output / steps.FOLDER, table)
    further = evaluations.read_evaluations(output / evaluations.FOLDER, table)
    tests = significance.read_tests(output / significance.FOLDER)
    places = paths.results() if folders is None else folders
    found = [r for r in of_table(table, every_record) if not scales or r.scale in scales]
    hypotheses = {record.path: _hypotheses(record) for record in found}
    if search is not None:
        _keep_trials(Path(search), output / records.SEARCH_FOLDER)
    trials = read_search(output / records.SEARCH_FOLDER)
    places = paths.results() if folders is None else folders
    tried = records.find_trials([*places, output])
    answers = claims.answers(every_record, scales, [table], margin, tried)
    extras = Extras(table_steps, further, tests, trials)
    view = table_view(table, every_record, scales, answers, extras)
    for record in found:
        _keep_record(record, hypotheses[record.path], output)
    rows = [row for section in view.sections for row in section.rows]
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
    """The report of every table with runs, one folder per scale and corpus.

    Args:
        folders, scales: as in `write_report`.
    Returns:
        the folders written, `output`/table_T/SCALE/CORPUS.
    Raises:
        InputError: as `write_report`.
    """
    found, written = records.find(folders), []
    for table in published.names():
        of = of_table(table, found)
        for scale, corpus in dict.fromkeys((record.scale, record.data) for record in of):
            if scales is None or scale in scales:
                written.append(report_folder(output, table, scale, corpus))
                write_report(table, folders, written[-1], [scale], [corpus])
    return written


def report_folder(output: Path, table: str, scale: str, corpus: str) -> Path:
    """Where `write_reports` puts the report of a section."""
    return output / f"table_{table}" / scale / corpus


def _images(table: str, found: Sequence[RunRecord], output: Path) -> Iterable[str]:
    if any(len(record.epochs) > 1 for record in found):  # one epoch is a point, not a curve
        figure = figures.validation(table, found)
        yield image(figure, output, "valid_ppl", f"{figures.valid_label(table)} by epoch")
    if sizes.has_curve(table) and sizes.drawable(table, found):
        figure = tradeoff(table, sizes.panels(table, found))
        metric = published.metric(table)
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
            raise InputError(f"{path} is missing; {record.path} has scores of it: put it back")
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
    """Copies a record from elsewhere, so that the folder alone can be regenerated."""
    if output.resolve() in record.path.resolve().parents:
        return
    folder = output / "records" / record.row / record.scale / record.data / f"seed_{record.seed}"
    _keep(record.path, folder / records.FILE_NAME)
    for relative, content in hypotheses.items():
        with atomic_write(folder / relative, "wb") as stream:
            stream.write(content)
    events = journal.read(record.path.with_name(journal.FILE_NAME))
    # Why an attempt failed is of that machine only.
    kept = [event for event in events if event["event"] in ("started", "trained", "validated")]
    if kept:
        lines = (json.dumps(event, ensure_ascii=False) + "\n" for event in kept)
        write(folder / journal.FILE_NAME, "".join(lines))


def _keep_trials(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise InputError(f"there is no folder {source} of search trials; name the one they lie in")
    for path in source.rglob(records.FILE_NAME):
        _keep(path, target / path.parent.relative_to(source) / records.FILE_NAME)


def _keep(source: Path, target: Path) -> None:
    """Copies a record; earlier ones may name folders of a machine in their command."""
    record = records.read_plain(source)
    command = records.without_places(record["provenance"]["command"])
    records.write(target, record | {"provenance": record["provenance"] | {"command": command}})


def _command(table: str, options: Mapping[str, Iterable[str] | None], output: Path) -> str:
    words = ["define", "compare", "--table", table]
    for option, values in options.items():
        for value in values or ():
            words += [option, value]
    return shlex.join([*words, "--report", shown_path(output)])


def shown_path(path: str | Path) -> str:
    """The path from the working folder if it is below it, else its name: no machine's folders."""
    path = Path(path).resolve()
    here = Path.cwd().resolve()
    return path.relative_to(here).as_posix() if here in path.parents else path.name


def notes(output: Path) -> list[str]:
    """The `notes.md` of a report's folder, if there is one."""
    path = output / "notes.md"
    return [path.read_text(encoding="utf-8").strip("\n")] if path.is_file() else []
