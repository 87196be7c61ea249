"""`define diff`: where the config of a run departs from the paper's recipe."""

import argparse
import json
import sys
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from define.analysis import published
from define.analysis.compare import SCALES
from define.errors import InputError
from define.report.grid import ABSENT, FORMATS, Grid, print_terminal
from define.runs import records
from define.runs.recipe import DERIVED, Change, changes, comparable
from define.runs.records import RunRecord

DESCRIPTION = """\
Lists the keys in which the config of a run differs from the paper's recipe of its row. It leaves
out where the run was kept, how it was tracked, and keys that follow from others.

  define diff runs/table_1c/awd_lstm/mini/ptb/seed_1
  define diff runs/table_1c/awd_lstm/mini/ptb/seed_1 --against mini
  define diff runs/table_1c/awd_lstm/mini/ptb/seed_1/record.json --format markdown
  define diff RUN --against OTHER_RUN
"""
LONGEST = 36
"""Characters of a value on one line of a table."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `diff`."""
    parser = subparsers.add_parser(
        "diff",
        help="compare the config of a run with the paper's recipe",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run_path", metavar="RUN", help="a run's folder, or its record.json")
    parser.add_argument(
        "--against",
        default="paper",
        metavar="SCALE|RUN",
        help="another scale's recipe of the row, or another run (default: %(default)s)",
    )
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--format", choices=[*FORMATS, "json"], default="terminal")
    formats.add_argument(
        "--json", action="store_const", const="json", dest="format", help="short for --format json"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the differences, if there are any.

    Raises:
        InputError: a record is missing or malformed, or the row has no config.
    """
    record = _record(args.run_path)
    if args.against in SCALES:
        against = column = f"scale {args.against}"
        other = recipe(record.table, record.row, record.seed, args.against)
    else:
        other_record = _record(args.against)
        against, column, other = _name(other_record), "other run", other_record.config
    found = differing(other, record.config)
    if args.format == "json":
        about = ("table", "row", "scale", "data", "seed")
        entries = [{"key": c.key, "against": c.old, "run": c.new} for c in found]
        plain = {name: getattr(record, name) for name in about}
        json.dump(plain | {"against": against, "differences": entries}, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return 0
    lines = [[change.key, cell(change.old), cell(change.new)] for change in found]
    notes = [] if found else ["The recipes are the same."]
    if any(ABSENT in line for line in lines):
        notes.append(f"{ABSENT}: not set, or unknown to the version that wrote it.")
    title = f"{_name(record)}, against {against}"
    grid = Grid(title, ["key", column, "this run"], lines, notes)
    if args.format == "terminal":
        print_terminal([grid], sys.stdout)
    else:
        sys.stdout.write(FORMATS[args.format]([grid]))
    return 0


def _record(path: str) -> RunRecord:
    file = Path(path)
    file = file / records.FILE_NAME if file.is_dir() else file
    if not file.is_file():
        raise InputError(
            f"{path!r} is neither a run's folder nor its {records.FILE_NAME}; name one, or with "
            f"--against a scale: {', '.join(SCALES)}"
        )
    return records.read(file)


def recipe(table: str, row: str, seed: int, scale: str) -> Mapping[str, Any]:
    """The config of a row at a scale, as a record holds it.

    Raises:
        InputError: the row has no config.
    """
    # Composing needs torch, which comparing two records does not.
    from define.train.compose import compose
    from define.train.run_folder import published_config

    for entry in published.table(table):
        if entry.row == row and entry.same_run:
            table, row = entry.same_run
    experiment = f"experiment=table_{table}/{row}"
    return published_config(compose([experiment, f"scale={scale}", f"seed={seed}"]))


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """The leaves in which two recorded configs differ, without bookkeeping and derived keys."""
    return [c for c in changes(comparable(old), comparable(new)) if c.key not in DERIVED]


def _name(record: RunRecord) -> str:
    return (
        f"Table {record.table}, {record.row}, scale {record.scale}, data {record.data}, "
        f"seed {record.seed}"
    )


def cell(value: Any) -> str:
    """The value as text; a long list takes several lines."""
    if value is None:
        return ABSENT
    if not isinstance(value, list):
        return str(value)
    # A learning rate per epoch is a list of many equal values.
    runs = [(item, len(list(same))) for item, same in groupby(value)]
    items = [
        f"{count} x {item}" if count > 2 else ", ".join([f"{item}"] * count) for item, count in runs
    ]
    lines = [""]
    for item in items:
        if lines[-1] and len(lines[-1]) + len(item) > LONGEST:
            lines.append("")
        lines[-1] += ", " * bool(lines[-1]) + item
    return "[" + ",\n".join(lines) + "]"
