"""`define params`: the parameters of every row that can be built, next to the paper's counts."""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from define.analysis import published
from define.analysis.compare import label as row_label
from define.cli import signal
from define.errors import InputError
from define.report.grid import Cell, Grid, millions, num, print_terminal
from define.runs.schema import PARTS

SCALES = ("paper", "mini", "smoke")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `params`."""
    parser = subparsers.add_parser(
        "params",
        help="count parameters by part and compare with the paper",
        description=(
            "Counts the parameters of the paper-size models, without allocating them, and shows "
            "the paper's counts next to them. With --signal, builds the models instead and "
            "measures what their input layers pass on before training, and the first step of each "
            "part."
        ),
        epilog="examples: define params --table 1c; "
        "define params --signal --table 1c --scale mini; "
        "define params --signal experiment=table_1c/awd_lstm_define scale=mini model.unit=text",
    )
    parser.add_argument(
        "--table",
        action="append",
        metavar="NAME",
        help="a table of the paper, e.g. 1c; repeatable (default: all that can be built)",
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="with --signal: one config, by Hydra overrides as for `define train`, not tables",
    )
    parser.add_argument(
        "--signal", action="store_true", help="measure the models before training (seconds each)"
    )
    parser.add_argument(
        "--scale", metavar="NAME", help="with --signal: paper (the default), mini or smoke"
    )
    parser.add_argument("--json", action="store_true", help="print a list of rows as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the counts, or the signal.

    Raises:
        InputError: an unknown table or scale, options that exclude each other, or a bad config.
    """
    _check(args)
    if args.overrides:
        rows, grids = signal.of_overrides(args.overrides)
    else:
        tables = {name: count(name) for name in dict.fromkeys(args.table or published.names())}
        if not args.table:
            tables = {name: rows for name, rows in tables.items() if any(map(_is_built, rows))}
        if args.signal:
            tables = signal.of_tables(tables, args.scale or "paper")
        grids = [(signal.grid if args.signal else _grid)(*table) for table in tables.items()]
        rows = [row for rows in tables.values() for row in rows]
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        print_terminal(grids, sys.stdout)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuses options that have no effect together."""
    if not args.signal and (args.overrides or args.scale):
        given = args.overrides[0] if args.overrides else f"--scale {args.scale}"
        raise InputError(f"{given} needs --signal; without it, paper-size models are counted")
    if args.overrides and (args.table or args.scale):
        raise InputError(
            f"{args.overrides[0]} picks one config, where --table and --scale pick rows of tables; "
            f"write scale=NAME for the config, or leave KEY=VALUE out"
        )
    if args.scale not in (None, *SCALES):
        raise InputError(f"--scale {args.scale} is unknown; use one of {', '.join(SCALES)}")


def count(table: str) -> list[dict[str, Any]]:
    """Computed and published counts of a table's rows, then of our control rows.

    Returns: dicts with "table", "row", "label", "kind" ("paper" or "control"), "computed" (part ->
        count, None where the model cannot be built), "published" (part -> count, only what the
        paper prints), "difference" (part -> ours less the paper's), "difference_percent" (the same
        in percent of the published count), "exact" (part -> whether ours, rounded to the digits
        that the paper prints, is its number) and "assumed" (a sentence on what our count assumes
        where the paper is silent, or None).
    Raises: InputError for an unknown table.
    """
    paper_rows = published.table(table)
    # Building the models needs torch, which the rest of this command does without.
    from define.train.counting import paper_models

    models = paper_models(table)
    controls = sorted(models.keys() - {row.row for row in paper_rows})
    rows = [(row.row, row.label, "paper", row.parameters, row.decimals) for row in paper_rows]
    rows += [(slug, slug, "control", {}, {}) for slug in controls]
    found = []
    for slug, label, kind, paper, decimals in rows:
        model = models.get(slug)
        ours = {part: model and model.parameters[part] for part in PARTS}
        both = [part for part in paper if ours[part] is not None]
        difference = {part: ours[part] - paper[part] for part in both}
        found.append(
            {
                "table": table,
                "row": slug,
                "label": label,
                "kind": kind,
                "computed": ours,
                "published": dict(paper),
                "exact": {
                    part: millions(ours[part], decimals[part])
                    == millions(paper[part], decimals[part])
                    for part in both
                },
                "difference": difference,
                "difference_percent": {
                    part: 100 * difference[part] / paper[part] for part in both if paper[part]
                },
                "assumed": model and model.assumed,
            }
        )
    return found


def _is_built(row: dict[str, Any]) -> bool:
    return any(value is not None for value in row["computed"].values())


def _is_rounded_sum(row: dict[str, Any]) -> bool:
    """Whether only the total differs, and the paper's is the sum of the parts that it prints."""
    paper, exact = row["published"], row["exact"]
    parts = [part for part in PARTS if part != "total"]
    if not all(exact.get(part) for part in parts) or exact.get("total", True):
        return False
    return paper["total"] == sum(paper[part] for part in parts)


def _grid(table: str, rows: list[dict[str, Any]]) -> Grid:
    decimals = {row.row: row.decimals for row in published.table(table)}
    # Names of parts stand above the paper's columns only: they are wider than the counts.
    header = ["row", "define\npaper", "\nours", "\ndiff."]
    for part in PARTS[1:]:
        header += [f"{part}\npaper", "\nours"]
    return Grid(
        title=f"Table {table}, {published.caption(table)}: parameters in millions",
        header=[*header, "\ndiff."],
        rows=[_cells(row, decimals.get(row["row"], {})) for row in rows],
        notes=list(_notes(table, rows)),
    )


def _notes(table: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    if missing := [row["label"] for row in rows if not _is_built(row)]:
        yield f"Not built yet: {', '.join(missing)}."
    if any(True in row["exact"].values() for row in rows):
        yield "=: ours, rounded to the digits that the paper prints, is the paper's number."
    if rounded := [row["label"] for row in rows if _is_rounded_sum(row)]:
        yield (
            f"Every part of {', '.join(rounded)} is exact; the paper's total is the sum of its "
            "rounded parts."
        )
    if any(row["computed"]["define"] for row in rows):
        yield (
            "The paper gives no g_max; each table has one, with at least 8 features in a group. "
            "diff. is the gap that this leaves: the published counts fit no single g_max."
        )
    yield from dict.fromkeys(row["assumed"] for row in rows if row["assumed"])
    for text in published.contradictions(table):
        yield f"The paper's counts disagree with each other: {text}"


def _cells(row: dict[str, Any], decimals: dict[str, int]) -> list[Cell]:
    cells: list[Cell] = [row_label(row["label"], row["kind"])]
    for part in PARTS:
        mark = "=" if row["exact"].get(part) else " "
        cells.append(millions(row["published"].get(part), decimals.get(part, 2)))
        cells.append(millions(row["computed"][part]) + mark)
        if part == "define":
            difference = row["difference"].get(part)
            cells.append(num(None if difference is None else difference / 1e6, "+.2f"))
    percent = row["difference_percent"].get("total")
    return [*cells, None if percent is None else f"{percent:+.2f}%"]
