"""`define status`: how the sweeps stand."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from define.report.grid import Grid, print_terminal
from define.runs import paths, sweeps
from define.runs.summary import scores
from define.runs.sweeps import State, Sweep

DESCRIPTION = """\
Lists the sweeps of `define train -m` below the runs, or the jobs of one of them.

  define status
  define status table_1c-mini-3f2a9c01
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `status`."""
    parser = subparsers.add_parser(
        "status",
        help="show how the sweeps stand",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", help="a sweep, to list its jobs")
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
        if args.json:
            _print_json([{"name": s.name, "jobs": len(s.jobs), **counts} for s, counts in found])
        else:
            print_terminal([_overview(found)], sys.stdout)
        return 0
    sweep = sweeps.find_one(args.runs, args.name)
    states = sweeps.states(sweep)
    if args.json:
        _print_json(
            {
                "name": sweep.name,
                "command": sweep.command,
                "created": sweep.created,
                "jobs": [_job(state) for state in states],
            }
        )
    else:
        print_terminal([_jobs(sweep, states)], sys.stdout)
        print(f"Its command: {sweep.command}")
    return 0


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _overview(found: Sequence[tuple[Sweep, Mapping[str, int]]]) -> Grid:
    rows = [
        [sweep.name, str(len(sweep.jobs)), *(str(number) for number in counts.values())]
        for sweep, counts in found
    ]
    notes = [] if rows else ["None yet: `define train -m` makes them."]
    return Grid("Sweeps", ["name", "jobs", *sweeps.STATES], rows, notes)


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
    return {
        "number": job.number,
        "overrides": list(job.overrides),
        **{key: getattr(job, key) for key in ("table", "row", "scale", "corpus", "seed")},
        "run_dir": job.run_dir,
        "state": state.state,
        "reason": state.reason,
        "attempts": state.attempts,
        "seconds": state.seconds,
        "metrics": state.record.metrics if state.record else None,
    }
