"""`define status`: the state of sweeps and their jobs."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from define.report.grid import Grid, print_terminal
from define.runs import paths, sweeps
from define.runs.summary import scores
from define.runs.sweeps import State, Sweep

DESCRIPTION = """\
Lists the sweeps of `define train -m`, or the jobs of one sweep.

  define status
  define status table_1c-mini-3f2a9c01
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `status`."""
    parser = subparsers.add_parser(
        "status",
        help="show the state of sweeps",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", help="list the jobs of this sweep")
    parser.add_argument(
        "--runs",
        type=Path,
        default=paths.runs(),
        help="the folder of the runs (default: DEFINE_RUNS, or runs)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.name is None:
        found = [(sweep, sweeps.counts(sweeps.states(sweep))) for sweep in sweeps.find(args.runs)]
        value: Any = [{"name": s.name, "jobs": len(s.jobs), **counts} for s, counts in found]
        header = ["name", "jobs", *sweeps.STATES]
        rows = [list(map(str, sweep.values())) for sweep in value]
        notes = [] if rows else ["No sweeps yet: `define train -m` starts one."]
        grid = Grid("Sweeps", header, rows, notes)
    else:
        sweep = sweeps.find_one(args.runs, args.name)
        states = sweeps.states(sweep)
        about = {key: getattr(sweep, key) for key in ("name", "command", "created")}
        value = {**about, "jobs": list(map(_job, states))}
        grid = _jobs(sweep, states)
    if args.json:
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        print_terminal([grid], sys.stdout)
        if args.name is not None:
            print(f"Its command: {sweep.command}")  # whole, however wide the terminal is
    return 0


def _jobs(sweep: Sweep, states: Sequence[State]) -> Grid:
    rows = [
        [
            f"{state.job.number} {sweep.label(state.job)}",
            state.state,
            ", ".join(score.split(" (")[0] for score in scores(state.record))
            if state.record
            else "-",
            "-" if state.seconds is None else f"{state.seconds / 60:.1f}",
        ]
        for state in states
    ]
    notes = [f"Job {s.job.number} {s.state}: {s.reason}." for s in states if s.reason]
    return Grid(f"Sweep {sweep.name}", ["job", "state", "result", "minutes"], rows, notes)


def _job(state: State) -> dict[str, Any]:
    job = state.job
    about = ("number", "overrides", "table", "row", "scale", "corpus", "seed", "run_dir")
    return {
        **{key: getattr(job, key) for key in about},
        **{key: getattr(state, key) for key in ("state", "reason", "attempts", "seconds")},
        "metrics": state.record.metrics if state.record else None,
    }
