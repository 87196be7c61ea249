"""`define compare`: our runs and the paper's tables."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from define.analysis import claims, published
from define.analysis.compare import compare, of_table
from define.errors import InputError
from define.files import atomic_write
from define.report import data
from define.report.claims import claim_grids
from define.report.grid import FORMATS, Grid, print_terminal
from define.report.tables import results
from define.runs import records

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `compare`."""
    parser = subparsers.add_parser(
        "compare",
        help="compare our runs with the paper's tables",
        description=(
            "Shows the run records with the numbers of the paper: mean and 95 % interval over the "
            "seeds. Without --table, it shows every table with runs, then the answers to the "
            "paper's claims. csv and json hold the rows only, or with --claims the answers. A "
            "damaged record is skipped and named, and the exit code is then 1."
        ),
        epilog="example: define compare --table 1c --scale mini --plot validation.png",
    )
    for name, metavar, help in (
        ("table", "NAME", "a table of the paper, e.g. 1c (default: those with runs, else 1c)"),
        ("scale", "NAME", "only this scale (default: those with runs, else paper)"),
        ("data", "NAME", "only runs on this corpus, e.g. ptb (default: all)"),
        ("runs", "DIR", "folder with run records (default: DEFINE_RUNS or runs, and experiments)"),
    ):
        parser.add_argument(
            f"--{name}", action="append", metavar=metavar, help=f"{help}; repeatable"
        )
    parser.add_argument(
        "--claims",
        action="store_true",
        help="show only the paper's claims, each answered yes, no or undecided",
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=100 * claims.MARGIN,
        metavar="PERCENT",
        help="how much worse a row may be and still match another (default: %(default)g)",
    )
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--format", choices=[*FORMATS, *data.ROWS], default="terminal")
    formats.add_argument(
        "--json", action="store_const", const="json", dest="format", help="short for --format json"
    )
    for name, metavar, help in (
        ("output", "FILE", "write to a file instead of the screen"),
        ("plot", "FILE", "draw validation perplexity by epoch (.png or .svg)"),
        (
            *("plot-params", "FILE"),
            "draw perplexity or BLEU against total parameters, ours and the paper's (.png, .svg)",
        ),
        ("report", "DIR", "write README.md, results.csv, results.json and plots"),
        ("search", "DIR", "with --report: a folder of search trials to include"),
    ):
        parser.add_argument(f"--{name}", metavar=metavar, help=help)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints or writes what the options ask for, then names the damaged records.

    Returns:
        1 if a record was skipped, else 0.
    Raises:
        InputError: as `_show`.
    """
    skipped: list[str] = []
    try:
        _show(args, skipped)
    finally:
        for fault in skipped:
            print(f"define: skipped {fault}", file=sys.stderr)
    return int(bool(skipped))


def _show(args: argparse.Namespace, skipped: list[str]) -> None:
    """Prints or writes what the options ask for.

    Raises:
        InputError: an unknown table, scale or corpus, a table without claims, a margin out of
            range, a missing folder, or with --report a malformed record.
    """
    margin = args.margin / 100
    if not 0 <= margin < 1:
        raise InputError(f"--margin {args.margin:g} must be at least 0 and below 100")
    found = records.find(args.runs, args.data, skipped)
    with_runs = [name for name in published.names() if of_table(name, found)]
    tables = list(dict.fromkeys(args.table or with_runs or ["1c"]))
    if (args.plot or args.plot_params or args.report) and len(tables) != 1:
        raise InputError(
            f"--plot, --plot-params and --report take one table, not {', '.join(tables)}; name it "
            "with --table"
        )
    trials = records.find_trials(args.runs, skipped)
    if args.claims:
        answers = claims.answers(found, args.scale, args.table, margin, trials)
        if not answers:
            claimed = {table for claim in published.claims() for table in claim.pairs}
            names = [name for name in published.names() if name in claimed]
            raise InputError(
                f"no claim rests on table {', '.join(tables)}; take one of {', '.join(names)}"
            )
        _emit(answers, data.ANSWERS, claim_grids(answers), args)
    else:
        sections = [section for name in tables for section in compare(name, found, args.scale)]
        grids = [results(section, fold=args.format == "terminal") for section in sections]
        if with_runs and not args.table:
            grids += claim_grids(claims.answers(found, args.scale, None, margin, trials))
        _emit([row for section in sections for row in section.rows], data.ROWS, grids, args)
    if args.plot:
        from define.report import figures

        _draw(figures.validation(tables[0], found, args.scale), args.plot)
    if args.plot_params:
        from define.analysis.sizes import panels
        from define.report.tradeoff import tradeoff

        _draw(tradeoff(tables[0], panels(tables[0], found, args.scale)), args.plot_params)
    if args.report:
        from define.report.readme import write_report

        write_report(tables[0], args.runs, args.report, args.scale, args.data, args.search, margin)
        print(f"wrote {Path(args.report) / 'README.md'}", file=sys.stderr)


def _draw(figure: "Figure", path: str) -> None:
    from define.report import style

    style.save(figure, path)
    print(f"wrote {path}", file=sys.stderr)


def _emit(
    items: list[Any],
    formats: Mapping[str, Callable[[list[Any]], str]],
    grids: Sequence[Grid],
    args: argparse.Namespace,
) -> None:
    """Shows the grids as text, or the items themselves if the format is csv or json."""
    if args.format == "terminal" and not args.output:
        print_terminal(grids, sys.stdout)
        return
    of_grids = FORMATS.get(args.format)
    text = of_grids(grids) if of_grids else formats[args.format](items)
    if args.output:
        with atomic_write(args.output) as stream:
            stream.write(text)
        print(f"wrote {args.output}", file=sys.stderr)
    else:
        sys.stdout.write(text)
