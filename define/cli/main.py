"""The command `define`."""

import argparse
import errno
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from define import __version__
from define.errors import InputError
from define.runs import environment
from define.train import interruption

COMMANDS = (
    *("prepare", "train", "status", "search", "step", "bench", "evaluate", "translate", "score"),
    *("compare", "diff", "report", "params", "doctor"),
)
"""Modules beside this one, imported when they are needed."""


def build_parser(commands: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The parser of these subcommands."""
    parser = argparse.ArgumentParser(
        prog="define",
        description="Reproduces the tables of DeFINE (Mehta et al., ICLR 2020).",
        epilog="`define COMMAND --help` tells more of each.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in commands:
        importlib.import_module(f"define.cli.{command}").add_parser(subparsers)
    return parser


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """As `parse_args`, which by itself takes no overrides after a flag that follows overrides."""
    words = sys.argv[1:] if argv is None else argv
    parser = build_parser(words[:1] if words and words[0] in COMMANDS else COMMANDS)
    args, left = parser.parse_known_args(argv)
    if left and ("overrides" not in args or any(word.startswith("-") for word in left)):
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    if left:
        args.overrides += left
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand.

    Returns:
        its exit code; 2 after bad input, 130 after an interruption.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    os.environ.setdefault("LOGLEVEL", "WARNING")  # what fairseq reads when it is imported
    try:
        if argv is None:
            environment.prepare()
        args = _parse(argv)
        interruption.install()
        return args.run(args)
    except InputError as error:
        print(f"define: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("define: interrupted; run the same command again to resume", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            fault = f"the disk is full ({error.strerror}); make room and run the same command again"
            print(f"define: {fault}", file=sys.stderr)
            return 2
        if error.filename is None:
            raise
        reason = f"{error.filename}: {error.strerror}"
        print(f"define: {reason}; check the path, its permissions and the disk", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
