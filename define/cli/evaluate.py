"""`define evaluate`: the perplexity of a checkpoint."""

import argparse
import json

from define.data import corpora
from define.errors import InputError


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `evaluate`."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score a checkpoint on a split",
        description=(
            "Perplexity = exp(total loss in nats / scored tokens), the state carried along each "
            "stream; every token of the split is scored, the first one after an <eos>."
        ),
        epilog="example: define evaluate runs/.../checkpoints/checkpoint_best.pt --split test",
    )
    parser.add_argument("checkpoint", help="a checkpoint that training wrote")
    parser.add_argument("--split", default="valid", choices=corpora.SPLITS)
    parser.add_argument("--data", metavar="DIR", help="prepared corpus (default: the training's)")
    parser.add_argument(
        "--batch-size",
        type=int,
        default=1,
        metavar="B",
        help="streams side by side; above 1, use --burn-in for the result of 1 (default: 1)",
    )
    parser.add_argument(
        "--burn-in",
        type=int,
        default=0,
        metavar="TOKENS",
        help="tokens that each stream reads before those that it scores (default: 0)",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--cache", action="store_true", help="fold the unit into one table first")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    import torch

    from define.evaluation import checkpoints
    from define.evaluation.perplexity import evaluate

    checkpoint = checkpoints.load(args.checkpoint)
    corpus = corpora.load(args.data or checkpoint["cfg"]["task"]["data"])
    model = checkpoints.build(checkpoint, corpus.types)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda needs an NVIDIA GPU, and torch sees none; take cpu")
    try:
        model.to(args.device)
    except RuntimeError:
        raise InputError(f"--device {args.device} is unknown; take cpu or cuda") from None
    if args.cache:
        model.embedding.cache()
    score = evaluate(
        model,
        corpus.tokens[args.split],
        corpus.eos,
        args.batch_size,
        burn_in=args.burn_in,
        quiet=args.quiet,
    )
    result = {"corpus": corpus.name, "split": args.split, "batch_size": args.batch_size}
    result |= {"burn_in": args.burn_in, **score.to_json()}
    if args.json:
        print(json.dumps(result))
    else:
        print(
            f"{corpus.name} {args.split}: perplexity {score.ppl:.4f} "
            f"({score.nll:.6f} nats per token, {score.scored_tokens:,} tokens scored)"
        )
    return 0
