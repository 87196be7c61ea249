"""`define params`: the parameters of every row that can be built, beside the paper's counts."""

import argparse
import json
import sys
from typing import Any

from define.results import published
from define.results.grid import Grid, print_terminal
from define.results.published import PARTS, PublishedRow
from define.results.render import ABSENT, millions, row_label

NOT_BUILT = "not built yet"


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `params`."""
    parser = subparsers.add_parser(
        "params",
        help="count parameters by part and compare with the paper",
        description=(
            "Counts the parameters of the paper-size models, without allocating them, and shows "
            "the paper's counts beside them."
        ),
        epilog="example: define params --table 1c",
    )
    parser.add_argument(
        "--table",
        action="append",
        metavar="NAME",
        help="a table of the paper, e.g. 1c; repeatable (default: all that can be built)",
    )
    parser.add_argument("--json", action="store_true", help="print a list of rows as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the counts. Raises InputError for an unknown table."""
    rows = []
    for name in dict.fromkeys(args.table or published.names()):
        table_rows = count(name)
        if args.table or any(_is_built(row) for row in table_rows):
            rows.append((name, table_rows))
    if args.json:
        json.dump([row for _, table_rows in rows for row in table_rows], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        print_terminal([_grid(name, table_rows) for name, table_rows in rows], sys.stdout)
    return 0


def count(table: str) -> list[dict[str, Any]]:
    """Computed and published counts of a table's rows, then of our control rows.

    Returns: dicts with "table", "row", "label", "kind" ("paper" or "control"), "computed" (part ->
        count, None where the model cannot be built yet), "published" (part -> count, only what the
        paper prints) and "difference_percent" (part -> percent of the published count).
    Raises: InputError for an unknown table.
    """
    paper_rows = published.table(table)
    # Building the models needs torch, which the rest of this command does without.
    from define.launch.counting import paper_parameters

    computed = paper_parameters(table)
    controls = sorted(computed.keys() - {row.row for row in paper_rows})
    return [_row(row, "paper", computed.get(row.row, {})) for row in paper_rows] + [
        _row(PublishedRow(table, slug, slug, {}, {}, {}), "control", computed[slug])
        for slug in controls
    ]


def _row(row: PublishedRow, kind: str, computed: dict[str, int | None]) -> dict[str, Any]:
    counts = {part: computed.get(part) for part in PARTS}
    return {
        "table": row.table,
        "row": row.row,
        "label": row.label,
        "kind": kind,
        "computed": counts,
        "published": dict(row.parameters),
        "difference_percent": {
            part: 100 * (counts[part] - paper) / paper
            for part, paper in row.parameters.items()
            if paper and counts[part] is not None
        },
    }


def _is_built(row: dict[str, Any]) -> bool:
    return any(value is not None for value in row["computed"].values())


def _grid(table: str, rows: list[dict[str, Any]]) -> Grid:
    header = ["row"]
    for part in PARTS:
        header += [f"{part}\npaper", f"{part}\nours"]
    return Grid(
        title=f"Table {table}, {published.caption(table)}: parameters in millions",
        header=[*header, "total\ndiff.", "status"],
        rows=[_cells(row) for row in rows],
        notes=[
            f"The paper's counts disagree with each other: {text}"
            for text in published.contradictions(table)
        ],
    )


def _cells(row: dict[str, Any]) -> list[str]:
    cells = [row_label(row["label"], row["kind"])]
    for part in PARTS:
        cells += [millions(row["published"].get(part)), millions(row["computed"][part])]
    percent = row["difference_percent"].get("total")
    difference = ABSENT if percent is None else f"{percent:+.2f} %"
    return [*cells, difference, "" if _is_built(row) else NOT_BUILT]
