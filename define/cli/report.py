"""`define report`: one HTML page of everything that is recorded."""

import argparse
import sys
from pathlib import Path

from define.runs import paths


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `report`."""
    parser = subparsers.add_parser(
        "report",
        help="write one HTML page over all recorded runs",
        description="Writes a self-contained page: the paper's tables with our runs, the answers "
        "to its claims, plots, the environment, and a link to each record.",
        epilog="example: define report --scale mini --output reports/report.html",
    )
    parser.add_argument(
        "--runs",
        action="append",
        metavar="DIR",
        help="folder with run records; repeatable (default: DEFINE_RUNS or runs, and experiments)",
    )
    parser.add_argument(
        "--scale",
        action="append",
        metavar="NAME",
        help="only this scale; repeatable (default: those with runs)",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        default=paths.reports() / "report.html",
        help="default: report.html in the folder DEFINE_REPORTS, or reports",
    )
    parser.add_argument(
        "--tables", metavar="DIR", help="also write each table's report, to DIR/table_T/SCALE/DATA"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the reports of the tables, then the page, and prints where they are.

    Raises:
        InputError: an unknown scale, a missing folder, or a malformed record.
    """
    from define.report.page import write_page
    from define.report.readme import write_reports

    if args.tables:  # first, so that the page can link them
        for folder in write_reports(args.runs, Path(args.tables), args.scale):
            print(f"wrote {folder / 'README.md'}", file=sys.stderr)
    write_page(args.runs, args.output, args.scale, args.tables)
    print(f"wrote {args.output}", file=sys.stderr)
    return 0
