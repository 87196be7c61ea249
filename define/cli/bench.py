"""`define bench`: how fast the code is, part by part, as ratios of cases measured in turn."""

import argparse
import json
import sys
from functools import partial

from define.errors import InputError
from define.files import write_json
from define.report.grid import print_terminal

PARTS = {
    "unit": "the unit and its input layer against the unit's bare matrix products",
    "share": "the unit's share of a training step of R3, R5 and Transformer-XL",
    "steps": "a training step of every row of Tables 1a, 1c, 2 and 3",
    "softmax": "our adaptive softmax against torch's: time and memory",
    "loop": "the loop of `define train` against a bare one",
    "translation": "our Transformer against fairseq's: training and beam search",
}
DESCRIPTION = """\
Measures the named parts, or all of them. The cases of a part take turns (A B A B). Prints medians
and ratios with their quartiles; --output writes every raw value with commit, versions, processor,
threads, allocator and load average. Rows are trained on generated text.

""" + "\n".join(f"  {part:<13}{what}" for part, what in PARTS.items())
EPILOG = """\
  define bench unit softmax --output experiments/performance/unit.json
  define bench --quick
  define bench steps --scale paper --streams 4 --rounds 3
  define bench --report experiments/performance
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `bench`."""
    parser = subparsers.add_parser(
        "bench",
        help="measure speed and memory, as ratios with their spread",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="a part (default: all)")
    for option, value, text in (
        ("--rounds", int, "rounds, instead of the part's own number"),
        ("--scale", str, "scale of the rows: paper, mini or smoke (default: the part's)"),
        ("--streams", int, "the most streams per batch"),
        ("--threads", int, "threads of every process (default: 1)"),
        ("--output", str, "file to write the record to, as JSON"),
        ("--report", str, "folder: measure nothing, and write README.md from its records"),
    ):
        default = 1 if option == "--threads" else None
        metavar = "N" if value is int else "NAME"
        parser.add_argument(option, type=value, default=default, metavar=metavar, help=text)
    parser.add_argument("--quick", action="store_true", help="few rounds and cases, small batches")
    parser.add_argument("--json", action="store_true", help="print the record as JSON")
    clock = "cpu: CPU time of this process, for a busy machine (default: wall)"
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help=clock)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measures, prints and writes. Raises InputError for an unknown part or a bad number."""
    from define.report.performance import grids, write_page

    if args.report:
        print(f"wrote {write_page(args.report)}", file=sys.stderr)
        return 0
    for part in args.parts:
        if part not in PARTS:
            raise InputError(f"part {part!r} is unknown; use some of {', '.join(PARTS)}")
    for name in ("rounds", "streams", "threads"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} {value} must be at least 1")
    from define.bench import harness
    from define.bench.parts import PARTS as measured

    names = ("quick", "rounds", "scale", "streams", "threads", "clock")
    bench = harness.Bench(**{name: getattr(args, name) for name in names}, quiet=args.json)
    parts = {name: measured[name] for name in args.parts or PARTS}
    record = harness.run(parts, bench, partial(write_json, args.output) if args.output else None)
    if args.json:
        print(json.dumps(record, indent=2))
    else:
        print_terminal(grids(record), sys.stdout)
    return 0
