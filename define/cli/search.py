"""`define search`: hyper-parameters chosen on validation."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from define.errors import InputError
from define.report.grid import ABSENT, Grid, print_terminal

if TYPE_CHECKING:
    from define.train.search.study import TrialResult

DESCRIPTION = """\
Searches for hyper-parameters with Optuna. Every trial is one `define train` with the overrides and
a setting drawn from the space. It never reads the test set: its final validation perplexity counts.

  define search experiment=table_4a/linear scale=mini --trials 8 \\
      --space 'optimization.lr=log(1e-3,1e-2)' --space 'model.output_dropout=uniform(0,0.5)'

A search is the folder RUNS/search/NAME, with a run folder per trial. The same command resumes it:
interrupted trials continue from their checkpoint with their setting, finished and failed trials are
kept, and new ones are drawn until there are --trials of them. With --jobs 1 an interrupted search
draws the same settings as an uninterrupted one. If the best value lies at the edge of its range,
resume with a wider range and more trials.

A trial that validates worse than others after as many updates is pruned (see --pruner). That needs
several validations per run; `checkpoint.save_interval_updates=N` (a checkpoint and a validation) or
`dataset.validate_interval_updates=N` (a validation alone) adds some.

Exit codes: 0; 1 if a trial failed; 2 for bad input; 130 if interrupted.
"""
SAMPLERS, PRUNERS = ("tpe", "random", "grid"), ("none", "median", "halving")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `search`."""
    parser = subparsers.add_parser(
        "search",
        help="search for hyper-parameters on validation",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="Hydra overrides of every trial, as for `define train`; seed is 11 unless given, so "
        "that results (from seed 1 on) are not chosen by their own seed",
    )
    parser.add_argument(
        "--space",
        action="append",
        default=[],
        metavar="KEY=SPEC",
        help="what to vary, repeatable: log(a,b), uniform(a,b), int(a,b), ends included, or "
        "choice(x,y,...) (default: the learning rate, log, from 1/4 to 4 times the recipe's)",
    )
    parser.add_argument(
        "--trials",
        type=int,
        default=20,
        metavar="N",
        help="trials in total, those of earlier starts included (default: 20; a grid may end "
        "earlier)",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="J", help="parallel trials (default: 1)"
    )
    parser.add_argument(
        "--name", help="of the search's folder (default: the row and a hash of the search)"
    )
    parser.add_argument(
        "--sampler",
        choices=SAMPLERS,
        default="tpe",
        help="tpe draws 5 trials at random, then near the better ones; random; grid tries 5 values "
        "of each continuous range, in random order (default: tpe)",
    )
    parser.add_argument(
        "--sampler-seed", type=int, default=0, metavar="S", help="seed of the draws (default: 0)"
    )
    parser.add_argument(
        "--pruner",
        choices=PRUNERS,
        default="median",
        help="median stops a trial that is worse than the median of the finished ones, once there "
        "are 3; halving keeps the best quarter, at updates that grow fourfold (default: median)",
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    try:
        from define.train.search.plan import make_plan
        from define.train.search.study import Search, best_of
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise InputError(
            "define search needs Optuna, which is not installed; run "
            "`pip install 'define-reproduction[sweep]'`"
        ) from None
    options = {key: getattr(args, key) for key in ("sampler", "sampler_seed", "pruner")}
    plan = make_plan(args.overrides, args.space, args.name, **options)
    search = Search(plan, _tell)
    space = ", ".join(map(str, plan.space))
    default = "" if args.space else " (the default)"
    _tell(f"search {plan.name} in {search.folder}")
    _tell(f"trained with {' '.join(plan.overrides)}; space{default}: {space}")
    results = search.run(args.trials, args.jobs)
    best = best_of(results)
    command = best and shlex.join(search.command(best))
    if args.json:
        outcome = {
            "folder": str(search.folder),
            **plan.to_json(),
            "trials": [asdict(trial) for trial in results],
            "best": best and best.number,
            "command": command,
        }
        print(json.dumps(outcome, indent=2, ensure_ascii=False))
    else:
        keys = [parameter.key for parameter in plan.space]
        print_terminal([_grid(plan.name, keys, results, best)], sys.stdout)
        if command:  # whole, however wide the terminal is
            print(command)
    return int(any(trial.state not in ("finished", "pruned") for trial in results))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _grid(
    name: str, keys: Sequence[str], results: Sequence["TrialResult"], best: "TrialResult | None"
) -> Grid:
    """One line per trial."""

    def cell(value: Any, form: str = "") -> str:
        return ABSENT if value is None else format(value, form)

    rows = []
    for trial in results:
        setting = [trial.setting.get(key) for key in keys]
        pruned = trial.state == "pruned"
        rows.append(
            [
                str(trial.number),
                *(cell(value, ".4g" if isinstance(value, float) else "") for value in setting),
                f"pruned at update {trial.updates}" if pruned else trial.state,
                cell(trial.valid_ppl, ".2f"),
                cell(trial.minutes, ".1f"),
                "best" if trial is best else "",
            ]
        )
    notes = [f"Trial {t.number} failed: {t.reason}" for t in results if t.state == "failed"]
    if any(trial.state == "interrupted" for trial in results):
        notes.append("Interrupted trials continue when the search is run again.")
    if best is None:
        notes.append("No trial has finished, so there is no best trial.")
    else:
        notes.append(f"Trial {best.number} is the best; this trains it and scores its test set:")
    header = ["trial", *keys, "state", "valid ppl", "minutes", ""]
    return Grid(f"Search {name}, judged on validation", header, rows, notes)
