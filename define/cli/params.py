"""`define params`: the parameters of every row that can be built, beside the paper's counts."""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from define.analysis import published
from define.analysis.compare import label as row_label
from define.analysis.published import PublishedRow
from define.cli import signal
from define.errors import InputError
from define.report.grid import ABSENT, Grid, millions, print_terminal, signed
from define.runs.schema import PARTS

SCALES = ("paper", "mini", "smoke")

if TYPE_CHECKING:
    from define.train.counting import PaperModel


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `params`."""
    parser = subparsers.add_parser(
        "params",
        help="count parameters by part and compare with the paper",
        description=(
            "Counts the parameters of the paper-size models, without allocating them, and shows "
            "the paper's counts beside them. With --signal, builds the models instead and measures "
            "what their input layers pass on before training, and the first step of each part."
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
        return _print_config(args)
    rows = []
    for name in dict.fromkeys(args.table or published.names()):
        table_rows = count(name)
        if args.table or any(_is_built(row) for row in table_rows):
            rows.append((name, table_rows))
    if args.signal:
        scale, measured = args.scale or "paper", {}
        rows = [(name, _with_signal(name, own, scale, measured)) for name, own in rows]
        grids = [signal.table_grid(name, scale, own) for name, own in rows]
    else:
        grids = [_grid(name, own) for name, own in rows]
    if args.json:
        _print_json([row for _, own in rows for row in own])
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
        raise InputError(f"--scale {args.scale} is unknown; take one of {', '.join(SCALES)}")


def _print_json(rows: list[dict[str, Any]]) -> None:
    json.dump(rows, sys.stdout, indent=2)
    sys.stdout.write("\n")


def _print_config(args: argparse.Namespace) -> int:
    """The signal of one config."""
    from define.train.compose import compose

    config = compose(args.overrides)
    table, row, scale = config.run.table, config.run.row, config.run.scale
    found = signal.of_config(config)
    if args.json:
        _print_json([{"table": table, "row": row, "scale": scale, "signal": found}])
    else:
        print_terminal(signal.config_grids(f"{row}, scale {scale}", found), sys.stdout)
    return 0


def _with_signal(
    table: str, rows: list[dict[str, Any]], scale: str, measured: dict[tuple, dict[str, Any]]
) -> list[dict[str, Any]]:
    """The rows that can be built, with their signal; without their counts but at paper scale."""
    signals = signal.table_rows(table, scale, measured)
    kept = rows[0].keys() if scale == "paper" else ("table", "row", "label", "kind")
    return [
        {key: row[key] for key in kept} | {"scale": scale, "signal": signals[row["row"]]}
        for row in rows
        if row["row"] in signals
    ]


def count(table: str) -> list[dict[str, Any]]:
    """Computed and published counts of a table's rows, then of our control rows.

    Returns: dicts with "table", "row", "label", "kind" ("paper" or "control"), "computed" (part ->
        count, None where the model cannot be built yet), "published" (part -> count, only what the
        paper prints), "difference" (part -> ours less the paper's), "difference_percent" (the same
        in percent of the published count), "exact" (part -> whether ours, rounded to the digits
        that the paper prints, is its number) and "assumed" (what our count rests on where the paper
        does not say it, in a sentence; None if on nothing).
    Raises: InputError for an unknown table.
    """
    paper_rows = published.table(table)
    # Building the models needs torch, which the rest of this command does without.
    from define.train.counting import paper_models

    models = paper_models(table)
    controls = sorted(models.keys() - {row.row for row in paper_rows})
    return [_row(row, "paper", models.get(row.row)) for row in paper_rows] + [
        _row(PublishedRow(table, slug, slug, {}, {}, {}), "control", models[slug])
        for slug in controls
    ]


def _row(row: PublishedRow, kind: str, model: "PaperModel | None") -> dict[str, Any]:
    counts = {part: model and model.parameters[part] for part in PARTS}
    both = {part: paper for part, paper in row.parameters.items() if counts[part] is not None}
    return {
        "table": row.table,
        "row": row.row,
        "label": row.label,
        "kind": kind,
        "computed": counts,
        "published": dict(row.parameters),
        "exact": {part: _is_exact(row, part, counts[part]) for part in both},
        "difference": {part: counts[part] - paper for part, paper in both.items()},
        "difference_percent": {
            part: 100 * (counts[part] - paper) / paper for part, paper in both.items() if paper
        },
        "assumed": model and model.assumed,
    }


def _is_exact(row: PublishedRow, part: str, count: int) -> bool:
    digits = row.decimals[part]
    return millions(count, digits) == millions(row.parameters[part], digits)


def _is_rounded_sum(row: dict[str, Any]) -> bool:
    """Whether only the total differs, and the paper's is the sum of the parts that it prints."""
    paper, exact = row["published"], row["exact"]
    parts = [part for part in PARTS if part != "total"]
    if not all(exact.get(part) for part in parts) or exact.get("total", True):
        return False
    return paper["total"] == sum(paper[part] for part in parts)


def _is_built(row: dict[str, Any]) -> bool:
    return any(value is not None for value in row["computed"].values())


def _grid(table: str, rows: list[dict[str, Any]]) -> Grid:
    decimals = {row.row: row.decimals for row in published.table(table)}
    # Names of parts stand above the paper's columns only: they are wider than the counts.
    header = ["row", "define\npaper", "\nours", "\ndiff."]
    for part in PARTS[1:]:
        header += [f"{part}\npaper", "\nours"]
    header.append("\ndiff.")
    return Grid(
        title=f"Table {table}, {published.caption(table)}: parameters in millions",
        header=header,
        rows=[_cells(row, decimals.get(row["row"], {})) for row in rows],
        notes=_notes(table, rows),
    )


def _notes(table: str, rows: list[dict[str, Any]]) -> list[str]:
    notes = []
    missing = [row["label"] for row in rows if not _is_built(row)]
    if missing:
        notes.append(f"Not built yet: {', '.join(missing)}.")
    if any(True in row["exact"].values() for row in rows):
        notes.append("=: ours, rounded to the digits that the paper prints, is the paper's number.")
    rounded = [row["label"] for row in rows if _is_rounded_sum(row)]
    if rounded:
        notes.append(
            f"Every part of {', '.join(rounded)} is exact; the paper's total is the sum of its "
            "rounded parts."
        )
    if any(row["computed"]["define"] for row in rows):
        notes.append(
            "The paper gives no g_max; each table has one, with at least 8 features in a group. "
            "diff. is the gap that this leaves: the published counts fit no single g_max."
        )
    notes += dict.fromkeys(row["assumed"] for row in rows if row["assumed"])
    return notes + [
        f"The paper's counts disagree with each other: {text}"
        for text in published.contradictions(table)
    ]


def _cells(row: dict[str, Any], decimals: Mapping[str, int]) -> list[str]:
    cells = [row_label(row["label"], row["kind"])]
    for part in PARTS:
        mark = "=" if row["exact"].get(part) else " "
        cells += [
            millions(row["published"].get(part), decimals.get(part, 2)),
            millions(row["computed"][part]) + mark,
        ]
        if part == "define":
            difference = row["difference"].get(part)
            cells.append(ABSENT if difference is None else signed(difference / 1_000_000))
    percent = row["difference_percent"].get("total")
    return [*cells, ABSENT if percent is None else f"{percent:+.2f}%"]
