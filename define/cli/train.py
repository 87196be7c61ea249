"""`define train`: one run, or a sweep of runs, from Hydra overrides."""

import argparse
import shlex
import sys
from pathlib import Path

from define.errors import InputError
from define.runs import records
from define.runs.records import without_places
from define.runs.summary import summary

DESCRIPTION = """\
Trains the model that the overrides describe, scores it, and writes a record to the run folder. The
same command resumes an interrupted run; a finished run is not trained again.

  define train experiment=table_1c/awd_lstm_define scale=mini seed=1
  define train experiment=table_1c/awd_lstm scale=paper --dry-run

With -m it trains a sweep: every combination of the values given as lists, one process each. The
same command skips finished runs and starts all others again; `define status` shows the sweep. The
exit code is 0 if all runs are finished, else 1.

  define train -m experiment=table_1c/awd_lstm,table_1c/awd_lstm_define --seeds 1-3
  define train -m --seeds 1-8 hydra/launcher=joblib hydra.launcher.n_jobs=2 threads=1
  define train -m --seeds 1-8 hydra/launcher=slurm hydra.launcher.partition=gpu scale=paper

Overrides that begin with "hydra" choose and set up Hydra's launcher: basic (one run after the
other), joblib, submitit_local (all at once, or hydra.sweeper.max_batch_size of them),
submitit_slurm or slurm (configs/hydra/launcher/slurm.yaml). On a machine with GPUs each run has a
GPU of its own.
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
    parser.add_argument("--seeds", help="with -m: the seeds of every row, such as 1-3 or 1,2,5")
    parser.add_argument("--name", help="with -m: the sweep's name (default: derived from its runs)")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--dry-run",
        action="store_true",
        help="show what differs from the paper's recipe, the parameters and the cost, or with -m a "
        "table of the runs; train and write nothing",
    )
    instead.add_argument(
        "--corpora",
        action="store_true",
        help="print the names of the corpora that the runs read, one per line; train nothing",
    )
    instead.add_argument(
        "--fairseq",
        action="store_true",
        help="print the config as fairseq-hydra-train takes it; train nothing",
    )
    parser.add_argument(
        "--full", action="store_true", help="with --dry-run: print the whole config too"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress, for logs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.multirun:
        return _multirun(args)
    for option in ("seeds", "name"):
        if getattr(args, option) is not None:
            raise InputError(f"--{option} is for sweeps; add -m")
    if args.full and not args.dry_run:
        raise InputError("--full is for --dry-run; add that")
    from omegaconf import OmegaConf

    from define.train.compose import compose, fairseq_config

    config = compose(args.overrides)
    if args.corpora:
        print(config.run.corpus)
        return 0
    if args.dry_run:
        from define.cli.dry_run import screen

        print(screen(config))
        if args.full:
            print("\n" + OmegaConf.to_yaml(config, resolve=True), end="")
        return 0
    if args.fairseq:
        print(OmegaConf.to_yaml(OmegaConf.create(fairseq_config(config))), end="")
        return 0
    from define.train.rules import check_recipe
    from define.train.run_folder import finished

    check_recipe(config)
    if finished(config) is None:
        from define.train.run import train

        train(config, args.quiet)
    print(summary(records.read(Path(config.run.dir) / records.FILE_NAME)))
    return 0


def _multirun(args: argparse.Namespace) -> int:
    for option in ("fairseq", "full"):
        if getattr(args, option):
            raise InputError(f"--{option} is for one run; leave -m out")
    from define.train.sweep.plan import corpora, plan, seeds_override

    if args.seeds is not None:
        for word in args.overrides:
            if word.startswith("seed="):
                both = f"--seeds {args.seeds} and {word}"
                raise InputError(f"{both} both choose seeds; give one of them")
        args.overrides.append(seeds_override(args.seeds))
    if args.corpora:
        print(*corpora(args.overrides), sep="\n")
        return 0
    planned = plan(args.overrides, args.name)
    if args.dry_run:
        from define.cli.sweep_table import table
        from define.report.grid import print_terminal

        print_terminal([table(planned)], sys.stdout)
        return 0
    from define.train.sweep.run import run

    flags = ["--quiet"] if args.quiet else []
    flags += ["--name", args.name] if args.name else []
    command = shlex.join(["define", "train", "-m", *flags, *args.overrides])
    return run(planned, without_places(command), args.quiet)
