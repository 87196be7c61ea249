"""`define step`: the cost of a run's updates, measured on some of them."""

import argparse
import json
import statistics
import sys
from typing import Any

from define.files import write_json

DESCRIPTION = """\
Takes some training updates of a run at its full size and measures them: milliseconds per update,
peak memory, and the loss, which shows that they are real but is no result. What they read is
generated under a Zipf law with as many types as the run's corpus has, so that no corpus is needed.

  define step experiment=table_1a/lstm_r1 scale=paper --streams 4
  define step experiment=table_2/txl_64 scale=paper --output experiments/table_2/steps/txl_64.json
  define step experiment=table_1c/awd_lstm scale=mini --updates 20 --warm-up 5
  define step experiment=table_3/transformer scale=paper --update-freq 2
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `step`."""
    parser = subparsers.add_parser(
        "step",
        help="time some updates of a run at its full size",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="Hydra overrides, as for `define train`"
    )
    parser.add_argument(
        "--updates", type=int, default=3, metavar="N", help="updates to time (default: 3)"
    )
    parser.add_argument(
        "--warm-up",
        type=int,
        default=1,
        metavar="N",
        help="updates before those, not timed (default: 1)",
    )
    parser.add_argument(
        "--streams",
        type=int,
        metavar="B",
        help="fewer streams of a language model than the recipe's, to fit memory or patience; both "
        "are recorded",
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        metavar="N",
        help="smaller batches of a translation than the recipe's, padding included",
    )
    parser.add_argument(
        "--update-freq",
        type=int,
        metavar="N",
        help="fewer batches per update of a translation; the recipe's tokens are recorded too",
    )
    parser.add_argument("--output", metavar="FILE", help="write the measurements there, as JSON")
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no summary")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measures, writes and prints. Raises InputError for what cannot be composed or trained."""
    from define.launch.compose import compose
    from define.launch.step import step

    config = compose(args.overrides)
    record = step(
        config,
        args.updates,
        args.warm_up,
        args.quiet or args.json,
        streams=args.streams,
        max_tokens=args.max_tokens,
        update_freq=args.update_freq,
    )
    if args.output:
        write_json(args.output, record)
    if args.json:
        json.dump(record, sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif not args.quiet:
        times = record["ms_per_update"]
        print(
            f"table {record['table']}, {record['row']}: {_size(record)}; "
            f"{statistics.median(times):,.1f} ms per update "
            f"(median of {len(times)}, {min(times):,.1f} to {max(times):,.1f}), "
            f"peak memory {record['peak_memory_mib']:,.0f} MiB; "
            f"loss {', '.join(f'{loss:.3f}' for loss in record['loss'])} nats per token"
        )
    return 0


def _size(record: dict[str, Any]) -> str:
    """How much one update reads."""
    if "streams" in record:
        return f"{record['streams']} of {record['paper_streams']} streams x {record['bptt']} tokens"
    return (
        f"{record['tokens_per_update']:,} of {record['paper_tokens_per_update']:,} tokens per "
        f"update ({record['update_freq']} batches of {record['max_tokens']:,} tokens, padding "
        f"included: {record['sentences']:,} sentences, {record['source_tokens']:,} source and "
        f"{record['target_tokens']:,} target subwords)"
    )
