"""`define evaluate`: the perplexity of a checkpoint, by a protocol of one's choice."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from define.data.prepared import ALLOW_OTHER_CORPUS, require_same
from define.data.text import corpora
from define.errors import InputError
from define.files import write_json

if TYPE_CHECKING:
    from define.evaluation.neural_cache import NeuralCache
    from define.evaluation.protocols import Protocol

DESCRIPTION = """\
Perplexity = exp(total loss in nats / scored tokens); every token of a split is scored, the first
one after an <eos>.

protocols (by default the first of the run's own, if its record is next to the checkpoints folder,
else carried; a run's own protocols come before these of the same name):
  carried            the state is carried along each stream
  training_lengths   as carried, in windows as long as the training's
  long_memory        Transformer-XL's evaluation: 64 tokens, memory 640, clamped at 400, same length
  sliding_window     fresh states; each forward pass reads 448 tokens and then scores 64
"""
EPILOG = """\
examples:
  define evaluate runs/.../checkpoints/checkpoint_best.pt --split valid --split test
  define evaluate runs/.../checkpoints/checkpoint_best.pt --protocol long_memory --batch-size 10
  define evaluate runs/.../checkpoints/checkpoint_best.pt --neural-cache-search 2000
  define evaluate runs/.../checkpoints/checkpoint_best.pt --neural-cache 2000,0.3,0.1 --split test
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `evaluate`."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score a checkpoint on a split",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", help="a checkpoint that training wrote")
    parser.add_argument(
        "--split",
        action="append",
        choices=corpora.SPLITS,
        help="may be given more than once (default: valid)",
    )
    parser.add_argument("--data", metavar="DIR", help="prepared corpus (default: the training's)")
    parser.add_argument("--allow-other-corpus", action="store_true", help=ALLOW_OTHER_CORPUS)
    parser.add_argument(
        "--batch-size",
        type=int,
        default=1,
        metavar="B",
        help="streams, or sliding windows, side by side; the burn-in makes the result that of 1 "
        "for Transformer-XL, for an LSTM give one (default: 1)",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--cache", action="store_true", help="fold the unit into one table first")
    parser.add_argument("--json", action="store_true", help="print JSON, a line for each split")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write a record of the evaluation; the run's own record must be there",
    )
    parser.add_argument(
        "--row",
        metavar="TABLE/ROW",
        help="with --output: the paper's row that it stands for (default: the run's own)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")

    group = parser.add_argument_group("protocol")
    group.add_argument("--protocol", metavar="NAME", help="one of those above, or of the run's")
    for name, text in (
        ("window", "tokens that a forward pass scores"),
        ("memory-length", "places that Transformer-XL's layers keep"),
        ("clamp-length", "longer distances look like this one; 0: none"),
        ("context", "tokens that a window reads before those it scores, after a fresh state"),
        ("burn-in", "tokens that a stream reads before those it scores"),
    ):
        group.add_argument(f"--{name}", type=int, metavar="TOKENS", help=text)
    group.add_argument(
        "--same-length",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether every token of Transformer-XL sees memory-length places",
    )

    group = parser.add_argument_group("neural cache (Grave et al. 2017b)")
    group = group.add_mutually_exclusive_group()
    group.add_argument(
        "--neural-cache",
        metavar="WINDOW,THETA,LAMBDA",
        help="words of the latest WINDOW tokens get a share LAMBDA of the probability",
    )
    group.add_argument(
        "--neural-cache-search",
        type=int,
        metavar="WINDOW",
        help="the best THETA and LAMBDA of a grid on valid, in one pass; other splits get these",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    import torch

    from define.evaluation import checkpoints
    from define.runs import provenance

    splits = list(dict.fromkeys(args.split or ["valid"]))
    if args.neural_cache_search is not None and splits[0] != "valid":
        raise InputError(
            "--neural-cache-search chooses on valid alone; put --split valid before other splits, "
            "which are scored with what it chose"
        )
    if args.output and "valid" not in splits:
        raise InputError("--output needs the validation score; add --split valid")
    if args.output and args.allow_other_corpus:
        raise InputError("--output is for the run's own corpus; leave out --allow-other-corpus")
    caches = _caches(args)
    row = _row(args)
    record = _run_record(args.checkpoint)
    if args.output and record is None:
        raise InputError(
            f"--output says which run was scored, but there is no record.json beside the folder of "
            f"{args.checkpoint}; name a checkpoint in its run folder, or leave --output out"
        )
    checkpoint = checkpoints.load(args.checkpoint)
    corpus = corpora.load(args.data or checkpoint["cfg"]["task"]["data"])
    # The run's record knows the files of the corpus, even where an old checkpoint does not.
    trained = checkpoints.trained_on(checkpoint) or (record and record["provenance"]["data"])
    require_same(trained, corpus.identity, args.allow_other_corpus)
    model = checkpoints.build(checkpoint, corpus.types)
    name, protocol = _protocol(args, checkpoint["cfg"]["task"]["bptt"], record)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda needs an NVIDIA GPU, and torch sees none; take cpu")
    try:
        model.to(args.device)
    except RuntimeError:
        raise InputError(f"--device {args.device} is unknown; take cpu or cuda") from None
    if args.cache:
        model.embedding.cache()

    if args.output:
        cpu, threads = args.device == "cpu", torch.get_num_threads()
        origin = provenance.collect(corpus.meta, cpu, threads)
    settings, scores = _score(args, model, corpus, splits, protocol, caches)
    settings = {"name": name, **settings}
    for split, score in scores.items():
        result = {"corpus": corpus.name, "split": split, "protocol": settings, **score}
        print(json.dumps(result) if args.json else _sentence(result))
    if args.output:
        origin["finished"] = provenance.now()
        write_json(args.output, _evaluation(record, row, settings, scores, origin))
    return 0


def _row(args: argparse.Namespace) -> dict[str, str]:
    """The table and row that --row names; nothing where it is not given."""
    from define.analysis import published

    if args.row is None:
        return {}
    table, _, row = args.row.partition("/")
    rows = [known.row for known in published.table(table)]
    if row not in rows:
        raise InputError(
            f"--row {args.row} is no row of the paper; take TABLE/ROW, ROW of table {table} being "
            f"one of {', '.join(rows)}"
        )
    return {"table": table, "row": row}


def _run_record(checkpoint: str) -> dict[str, Any] | None:
    """The record of the run that left the checkpoint, if it lies where training leaves it."""
    from define.runs import records

    path = Path(checkpoint).resolve().parent.parent / records.FILE_NAME
    return records.read_plain(path) if path.is_file() else None


def _caches(args: argparse.Namespace) -> "list[NeuralCache]":
    from define.evaluation.neural_cache import LAMBDAS, THETAS, NeuralCache

    if args.neural_cache_search is not None:
        window = args.neural_cache_search
        return [NeuralCache(window, theta, weight) for theta in THETAS for weight in LAMBDAS]
    if args.neural_cache is None:
        return []
    try:
        window, theta, weight = args.neural_cache.split(",")
        values = int(window), float(theta), float(weight)
    except ValueError:
        raise InputError(
            f"--neural-cache {args.neural_cache} must be WINDOW,THETA,LAMBDA, such as 500,0.3,0.1"
        ) from None
    return [NeuralCache(*values)]


def _protocol(
    args: argparse.Namespace, bptt: int, record: Mapping[str, Any] | None
) -> "tuple[str, Protocol]":
    """Name and settings of the protocol: the run's or a built-in one, with the options' changes."""
    from define.evaluation import protocols

    own = {} if record is None else record["config"]["run"].get("protocols", {})
    known = {name: protocols.built_in(name, bptt) for name in protocols.NAMES}
    known |= protocols.parse(own)
    name = args.protocol or next(iter(own), "carried")
    if name not in known:
        raise InputError(f"--protocol {name} is unknown; take one of {', '.join(known)}")
    fields = ("window", "memory_length", "clamp_length", "same_length", "context", "burn_in")
    given = {f: getattr(args, f) for f in fields if getattr(args, f) is not None}
    return name + (", changed" if given else ""), replace(known[name], **given)


def _score(
    args: argparse.Namespace,
    model: Any,
    corpus: corpora.Corpus,
    splits: list[str],
    protocol: "Protocol",
    caches: "list[NeuralCache]",
) -> tuple[dict[str, Any], dict[str, dict[str, float | int]]]:
    """All settings, plain, and the score of each split."""
    from define.evaluation import neural_cache, perplexity

    more: dict[str, Any] = {"batch_size": args.batch_size}
    if len(caches) > 1:
        more["chosen"] = f"the best of {len(caches)} thetas and lambdas on valid"
    scores = {}
    for split in splits:
        arguments = model, corpus.tokens[split], corpus.eos
        how = args.batch_size, protocol, args.quiet
        if not caches:
            scores[split] = perplexity.evaluate(*arguments, *how).to_json()
            continue
        found = neural_cache.evaluate(*arguments, caches, *how)
        best = min(found, key=lambda cache: found[cache].nll)
        scores[split] = found[best].to_json()
        more |= {
            "neural_cache_window": best.window,
            "neural_cache_theta": best.theta,
            "neural_cache_lambda": best.weight,
        }
        caches = [best]
    if caches:
        protocol = neural_cache.protocol_with_cache(model, protocol, caches[0].window)
    return protocol.settings_of(model) | more, scores


def _sentence(result: Mapping[str, Any]) -> str:
    from define.runs.schema import sentence

    settings = dict(result["protocol"])
    name = settings.pop("name")
    return (
        f"{result['corpus']} {result['split']}: perplexity {result['ppl']:.4f} "
        f"({result['nll']:.6f} nats per token, {result['scored_tokens']:,} tokens scored; "
        f"{name}: {sentence(settings)})"
    )


def _evaluation(
    record: Mapping[str, Any],
    row: Mapping[str, str],
    settings: Mapping[str, Any],
    scores: Mapping[str, Any],
    origin: Mapping[str, Any],
) -> dict[str, Any]:
    """What `define.runs.evaluations` reads."""
    from define.runs.evaluations import SCHEMA

    run = {key: record[key] for key in ("table", "row", "seed")}
    return {
        "schema": SCHEMA,
        "kind": "evaluation",
        **run,
        **row,
        "scale": record["scale"],
        "run": run,
        "protocol": settings,
        "scores": scores,
        "provenance": origin,
    }
