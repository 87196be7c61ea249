"""`define step`: the cost of a run's updates, measured on some of them."""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from define.errors import InputError
from define.files import write_json
from define.runs import paths, steps

DESCRIPTION = """\
Takes some training updates of a run at its full size and measures milliseconds per update, peak
memory, and the loss, which only shows that the updates are real. They read text generated under a
Zipf law with as many types as the run's corpus has, so no corpus is needed. With table_T, it
measures every row of that table at scale paper, each in its own process, and writes
OUTPUT/table_T/steps/ROW.json; if a row fails, the others are still measured.

  define step experiment=table_1a/lstm_r1 scale=paper --streams 4
  define step experiment=table_2/txl_64 scale=paper --output experiments/table_2/steps/txl_64.json
  define step experiment=table_1c/awd_lstm scale=mini --updates 20 --warm-up 5
  define step table_1a table_2 --streams 4 --updates 1 --output reports
  define step table_3 --update-freq 2
"""
NUMBERS = {
    "updates": (3, "updates to time (default: 3)"),
    "warm_up": (1, "updates before those, not timed (default: 1)"),
    "streams": (None, "fewer streams of a language model than the recipe's; both are recorded"),
    "max_tokens": (None, "smaller batches of a translation than the recipe's, padding included"),
    "update_freq": (None, "fewer batches per update of a translation than the recipe's"),
}
"""Option -> default and help."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `step`."""
    parser = subparsers.add_parser(
        "step",
        help="time some updates of a run at its full size",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="table_T | KEY=VALUE",
        help="tables, and Hydra overrides as for `define train`",
    )
    for name, (default, text) in NUMBERS.items():
        parser.add_argument(_option(name), type=int, default=default, metavar="N", help=text)
    parser.add_argument(
        "--output",
        metavar="PATH",
        help="write the measurements there, as JSON; with tables a folder "
        "(default: DEFINE_REPORTS, or reports)",
    )
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no summary")
    parser.set_defaults(run=run)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def run(args: argparse.Namespace) -> int:
    """Measures, writes and prints. Raises InputError for what cannot be composed or trained."""
    if any("=" not in word for word in args.overrides):
        return _every_row(args)
    from define.bench.step import step
    from define.train.compose import compose

    numbers = {name: getattr(args, name) for name in NUMBERS}
    record = step(compose(args.overrides), quiet=args.quiet or args.json, **numbers)
    if args.output:
        write_json(args.output, record)
    if args.json:
        print(json.dumps(record, indent=2))
    elif not args.quiet:
        times = record["ms_per_update"]
        print(
            f"table {record['table']}, {record['row']}: {record['tokens_per_update']:,} of "
            f"{record['paper_tokens_per_update']:,} tokens per update; "
            f"{statistics.median(times):,.1f} ms per update "
            f"(median of {len(times)}, {min(times):,.1f} to {max(times):,.1f}), "
            f"peak memory {record['peak_memory_mib']:,.0f} MiB; "
            f"loss {', '.join(f'{loss:.3f}' for loss in record['loss'])} nats per token"
        )
    return 0


def _every_row(args: argparse.Namespace) -> int:
    """This command for each row of the tables; the exit code of the last that failed."""
    from define.train.counting import own_experiments

    tables = [word for word in args.overrides if "=" not in word]
    experiments = {table: own_experiments(table.removeprefix("table_")) for table in tables}
    for table, found in experiments.items():
        if not found:
            raise InputError(f"there is no table {table!r} with rows to measure; write table_1a")
    given = {name: getattr(args, name) for name in NUMBERS if getattr(args, name) is not None}
    options = [f"{_option(name)}={value}" for name, value in given.items()]
    options += [f"--{name}" for name in ("json", "quiet") if getattr(args, name)]
    overrides = [word for word in args.overrides if word not in tables]
    if not any(word.startswith("scale=") for word in overrides):
        overrides.append("scale=paper")
    failed = 0
    for table, found in experiments.items():
        for row, experiment in found.items():
            output = Path(args.output or paths.reports()) / table / steps.FOLDER / f"{row}.json"
            words = [f"experiment={experiment}", f"--output={output}", *options, *overrides]
            done = subprocess.run([sys.executable, "-m", "define", "step", *words])
            failed = done.returncode or failed
    return failed
