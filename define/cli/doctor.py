"""`define doctor`: what on this machine fits, what does not, and how to put it right."""

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from define.cli import checks
from define.cli.checks import Finding
from define.runs import environment, paths

STYLES = {"ok": "green", "warning": "yellow", "broken": "bold red"}


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `doctor` to the subcommands of `define`."""
    parser = subparsers.add_parser(
        "doctor",
        help="check this machine and the prepared data",
        description="Check Python, the installed packages, the devices, the allocator, the disk, "
        "the prepared corpora, the paper's numbers and run tracking. Exit status: 1 if something "
        "is broken, else 0.",
        epilog="example: define doctor --data data",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        default=paths.data(),
        help="folder with the prepared corpora "
        "(default: the environment variable DEFINE_DATA, or data)",
    )
    parser.add_argument(
        "--runs",
        metavar="DIR",
        default=paths.runs(),
        help="folder of the runs (default: the environment variable DEFINE_RUNS, or runs)",
    )
    parser.add_argument("--json", action="store_true", help="print a list of findings as JSON")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints every finding with its fix; returns 1 if something is broken, else 0."""
    findings = list(examine(Path(args.data), Path(args.runs)))
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print_table(findings)
    return int(any(finding.status == "broken" for finding in findings))


def examine(data: Path, runs: Path) -> Iterator[Finding]:
    """All findings.

    Args:
        data: the folder with the prepared corpora.
        runs: the folder of the runs.
    """
    yield from checks.check_requirements()
    yield from checks.check_conflicts(d.metadata["Name"] for d in metadata.distributions())
    yield checks.check_fairseq()
    yield from checks.check_devices()
    yield checks.check_allocator(os.environ, environment.allocator())
    yield checks.check_disk(shutil.disk_usage(checks.nearest_folder(runs)).free)
    yield checks.check_runs(runs)
    yield from checks.check_corpora(data)
    yield checks.check_published()
    yield checks.check_wandb(os.environ)
    yield checks.check_browser()


def _print_table(findings: list[Finding]) -> None:
    table = Table("check", "status")
    for title in ("found", "fix"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        style = STYLES[finding.status]
        table.add_row(
            finding.check,
            f"[{style}]{finding.status}[/]",
            escape(finding.detail),
            escape(finding.fix),
        )
    console = Console()
    console.print(table)
    counts = {status: sum(finding.status == status for finding in findings) for status in STYLES}
    console.print(", ".join(f"{count} {status}" for status, count in counts.items()))
