"""`define search`: learning rates, dropouts and the like, chosen on validation."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from define.errors import InputError
from define.report.grid import ABSENT, Grid, print_terminal

if TYPE_CHECKING:
    from define.train.search.study import Search, TrialResult

DESCRIPTION = """\
Searches for hyper-parameters with Optuna. Every trial is one `define train` with the overrides, a
setting drawn from the space, and no test set; it is judged by its final validation perplexity.

  define search experiment=table_4a/linear scale=mini --trials 8 \\
      --space 'optimization.lr=log(1e-3,1e-2)' --space 'model.output_dropout=uniform(0,0.5)'

A search lies in RUNS/search/NAME, one run folder per trial. The same command resumes it:
interrupted trials continue from their checkpoint with their setting, finished and failed ones are
kept, and new ones are drawn until there are as many as --trials says. With --jobs 1 an interrupted
search draws the same settings as an uninterrupted one. If the best value lies at the edge of its
range, resume with a wider range and more trials.

A trial that validates worse than others did after as many updates is pruned (see --pruner). That
takes several validations in a run: with few, `checkpoint.save_interval_updates=N` (a checkpoint and
a validation) or `dataset.validate_interval_updates=N` (a validation alone) makes more of them.

Exit codes: 0, 1 if a trial failed, 2 after bad input, 130 after an interruption.
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
        help="what to vary, repeatable: log(a,b), uniform(a,b), int(a,b) or choice(x,y,...), ends "
        "included (default: the learning rate, log, from a quarter of the recipe's to four times)",
    )
    parser.add_argument(
        "--trials",
        type=int,
        default=20,
        metavar="N",
        help="of the search in total, earlier ones included (default: 20; a grid ends by itself)",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="J", help="trials at a time (default: 1)"
    )
    parser.add_argument(
        "--name", help="of the search's folder (default: the row, and a hash of what is searched)"
    )
    parser.add_argument(
        "--sampler",
        choices=SAMPLERS,
        default="tpe",
        help="tpe draws 5 trials at random, then near the better ones; random; grid takes 5 values "
        "of each continuous range, in a random order (default: tpe)",
    )
    parser.add_argument(
        "--sampler-seed", type=int, default=0, metavar="S", help="of the draws (default: 0)"
    )
    parser.add_argument(
        "--pruner",
        choices=PRUNERS,
        default="median",
        help="median gives up what is worse than the median of the finished trials, once there are "
        "3; halving lets the best quarter go on, at updates that grow fourfold (default: median)",
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Searches and prints what came out. Raises InputError for bad input."""
    try:
        from define.train.search.plan import make_plan
        from define.train.search.study import Search
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise InputError(
            "define search needs Optuna, which is not installed; run "
            "`pip install 'define-reproduction[sweep]'`"
        ) from None
    plan = make_plan(
        args.overrides,
        args.space,
        args.name,
        sampler=args.sampler,
        sampler_seed=args.sampler_seed,
        pruner=args.pruner,
    )
    search = Search(plan, _tell)
    space = ", ".join(map(str, plan.space))
    default = "" if args.space else " (the default)"
    _tell(f"search {plan.name} in {search.folder}")
    _tell(f"trained with {' '.join(plan.overrides)}; space{default}: {space}")
    results = search.run(args.trials, args.jobs)
    if args.json:
        json.dump(_outcome(search, results), sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        print_terminal([_grid(search, results)], sys.stdout)
        if command := _outcome(search, results)["command"]:  # whole, however wide the terminal is
            print(command)
    return int(any(trial.state not in ("finished", "pruned") for trial in results))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _outcome(search: "Search", results: Sequence["TrialResult"]) -> dict:
    from define.train.search.study import best_of

    best = best_of(results)
    return {
        "folder": str(search.folder),
        **search.plan.to_json(),
        "trials": [asdict(trial) for trial in results],
        "best": None if best is None else best.number,
        "command": None if best is None else shlex.join(search.command(best)),
    }


def _grid(search: "Search", results: Sequence["TrialResult"]) -> Grid:
    """One line per trial."""
    from define.train.search.study import best_of

    keys = [parameter.key for parameter in search.plan.space]
    best = best_of(results)
    rows = [
        [
            str(trial.number),
            *(_cell(trial.setting.get(key)) for key in keys),
            _state(trial),
            ABSENT if trial.valid_ppl is None else f"{trial.valid_ppl:.2f}",
            ABSENT if trial.minutes is None else f"{trial.minutes:.1f}",
            "best" if trial is best else "",
        ]
        for trial in results
    ]
    notes = [f"Trial {t.number} failed: {t.reason}" for t in results if t.state == "failed"]
    if any(trial.state == "interrupted" for trial in results):
        notes.append("Interrupted trials go on when the search is run again.")
    if best is None:
        notes.append("No trial has finished, so there is no best one.")
    else:
        notes.append(
            f"Trial {best.number} is the best one; this trains it and scores its test set:"
        )
    header = ["trial", *keys, "state", "valid ppl", "minutes", ""]
    return Grid(f"Search {search.plan.name}, judged on validation", header, rows, notes)


def _cell(value: float | int | str | None) -> str:
    if value is None:
        return ABSENT
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _state(trial: "TrialResult") -> str:
    return f"pruned at update {trial.updates}" if trial.state == "pruned" else trial.state
