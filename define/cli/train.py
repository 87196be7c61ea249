"""`define train`: one run, or a sweep of runs, from Hydra overrides."""

import argparse
import subprocess
import sys
from pathlib import Path

from define.errors import InputError
from define.results import records
from define.results.records import RunRecord

DESCRIPTION = """\
Trains what the overrides describe, scores it, and leaves a record in the run folder. An interrupted
run goes on with the same command; a finished one is not trained again.

  define train experiment=table_1c/awd_lstm_define scale=mini seed=1
  define train -m experiment=table_1c/awd_lstm,table_1c/awd_lstm_define 'seed=range(1,4)'
  define train experiment=table_1c/awd_lstm scale=paper --dry-run
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `train`."""
    parser = subparsers.add_parser(
        "train",
        help="train a row of a table",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="Hydra overrides")
    parser.add_argument(
        "-m",
        "--multirun",
        action="store_true",
        help="train every combination of the values given as lists, one process each",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the resolved config, the parameters by part and the cost; train nothing",
    )
    parser.add_argument(
        "--corpora",
        action="store_true",
        help="print the names of the corpora that the runs read, one a line; train nothing",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars, for logs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.multirun and not args.corpora:
        return _sweep(args)
    from define.launch.compose import compose

    if args.corpora:
        runs = jobs(args.overrides) if args.multirun else [args.overrides]
        print(*dict.fromkeys(compose(overrides).run.corpus for overrides in runs), sep="\n")
        return 0
    config = compose(args.overrides)
    if args.dry_run:
        from define.launch.dry_run import show

        show(config)
        return 0
    from define.launch.train import train

    train(config, args.quiet)
    print(_summary(records.read(Path(config.run.dir) / records.FILE_NAME)))
    return 0


def _summary(record: RunRecord) -> str:
    """What came out of a run, in one line."""
    scores = [
        f"{set_name} BLEU {score['bleu']['score']:.2f} ({score['sentences']:,} sentences)"
        for set_name, score in record.translation_scores.items()
    ]
    ppl = "subword ppl" if scores else "ppl"
    scores += [
        f"{split} {ppl} {score['ppl']:.2f} ({score['scored_tokens']:,} tokens)"
        for split, score in record.final.items()
    ]
    return (
        f"table {record.table}, {record.row}, {record.scale}, seed {record.seed}: "
        f"{', '.join(scores)}, {record.parameters['total']:,} parameters, "
        f"{record.speed['seconds']:.0f} s; {record.path.parent}"
    )


def jobs(overrides: list[str]) -> list[list[str]]:
    """The overrides of each job of a sweep, in Hydra's order.

    Raises:
        InputError: an override that Hydra cannot read.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except HydraException as error:
        raise InputError(
            f"override: {str(error).splitlines()[0]}; see `define train --help`"
        ) from error
    (batch,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for job in batch]


def _sweep(args: argparse.Namespace) -> int:
    """Runs the jobs one after the other; one that fails does not stop the others."""
    flags = [f"--{name}" for name in ("dry-run", "quiet") if getattr(args, name.replace("-", "_"))]
    failed, all_jobs = [], jobs(args.overrides)
    for number, job in enumerate(all_jobs, start=1):
        print(f"[{number}/{len(all_jobs)}] define train {' '.join(job)}", flush=True)
        code = _run_job([sys.executable, "-m", "define", "train", *flags, *job])
        if code:
            failed.append((job, code))
    for job, code in failed:
        print(f"define: failed with exit code {code}: {' '.join(job)}", file=sys.stderr)
    return max((code for _, code in failed), default=0)


def _run_job(command: list[str]) -> int:
    """The exit code of a job; an interruption is passed on to it, and it ends in its own time."""
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
