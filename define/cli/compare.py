"""`define compare`: our runs beside the paper's tables."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from define.errors import InputError
from define.files import atomic_write
from define.results import published, records, render
from define.results.compare import ComparisonRow, compare
from define.results.grid import print_terminal

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `compare`."""
    parser = subparsers.add_parser(
        "compare",
        help="compare our runs with the paper's tables",
        description="Reads the run records and shows them beside the numbers of the paper.",
        epilog="example: define compare --table 1c --scale mini --plot validation.png",
    )
    parser.add_argument(
        "--table",
        action="append",
        metavar="NAME",
        help="a table of the paper, e.g. 1c; repeatable (default: those with runs, else 1c)",
    )
    parser.add_argument(
        "--scale",
        action="append",
        metavar="NAME",
        help="only this scale; repeatable (default: those with runs, else paper)",
    )
    parser.add_argument(
        "--data",
        action="append",
        metavar="NAME",
        help="only runs on this corpus, e.g. ptb; repeatable (default: all)",
    )
    parser.add_argument(
        "--runs",
        action="append",
        metavar="DIR",
        help="folder with run records; repeatable (default: runs and experiments)",
    )
    parser.add_argument("--format", choices=list(render.FORMATS), default="terminal")
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="short for --format json"
    )
    parser.add_argument("--output", metavar="FILE", help="write there instead of the screen")
    parser.add_argument(
        "--plot", metavar="FILE", help="draw validation perplexity by epoch (.png or .svg)"
    )
    parser.add_argument(
        "--plot-params",
        metavar="FILE",
        help="draw perplexity or BLEU against total parameters, with the paper's (.png or .svg)",
    )
    parser.add_argument(
        "--report", metavar="DIR", help="write README.md, results.csv, results.json and plots"
    )
    parser.add_argument(
        "--search", metavar="DIR", help="with --report: a folder of search trials to show in it"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints or writes what the options ask for.

    Raises:
        InputError: an unknown table, scale or corpus, a missing folder, or a malformed record.
    """
    found = records.find(args.runs, args.data)
    run_tables = {record.table for record in found}
    tables = args.table or [name for name in published.names() if name in run_tables] or ["1c"]
    if (args.plot or args.plot_params or args.report) and len(tables) != 1:
        raise InputError(
            f"--plot, --plot-params and --report take one table, not {', '.join(tables)}; name it "
            "with --table"
        )
    rows = [row for name in dict.fromkeys(tables) for row in compare(name, found, args.scale)]
    _emit(rows, args.format, args.output)
    if args.plot:
        from define.results.plots import validation_figure

        _draw(validation_figure(tables[0], found, args.scale), args.plot)
    if args.plot_params:
        from define.results.tradeoff import tradeoff_figure

        _draw(tradeoff_figure(tables[0], found, args.scale), args.plot_params)
    if args.report:
        from define.results.report import write_report

        write_report(tables[0], args.runs, args.report, args.scale, args.data, args.search)
        print(f"wrote {Path(args.report) / 'README.md'}", file=sys.stderr)
    return 0


def _draw(figure: "Figure", path: str) -> None:
    from define.results import style

    style.save(figure, path)
    print(f"wrote {path}", file=sys.stderr)


def _emit(rows: list[ComparisonRow], output_format: str, output: str | None) -> None:
    if output:
        with atomic_write(output) as stream:
            stream.write(render.FORMATS[output_format](rows))
        print(f"wrote {output}", file=sys.stderr)
    elif output_format == "terminal":
        print_terminal(render.grids(rows), sys.stdout)
    else:
        sys.stdout.write(render.FORMATS[output_format](rows))
