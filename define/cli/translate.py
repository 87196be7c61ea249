"""`define translate`: raw text through a trained translation model."""

import argparse
import io
import sys
import time
from dataclasses import fields
from pathlib import Path

from define.data.prepared import ALLOW_OTHER_CORPUS, require_same
from define.errors import InputError
from define.files import atomic_write

DESCRIPTION = """\
Translates raw text, one sentence a line, by beam search. Translations come detokenised, one a line,
in the order of the input; an empty line stays empty.
"""
EPILOG = """\
examples:
  define translate runs/.../checkpoints/checkpoint_best.pt < text.en > text.de
  define translate runs/.../checkpoints/checkpoint_best.pt --set newstest2014 --output out.de
  define translate runs/.../checkpoints/checkpoint_best.pt --input text.en --beam 4 \\
      --length-penalty 0.6 --average 5
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `translate`."""
    parser = subparsers.add_parser(
        "translate",
        help="translate text with a trained model",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", help="a checkpoint that training wrote")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--input", metavar="FILE", help="UTF-8 text (default: standard input)")
    source.add_argument("--set", metavar="NAME", help="an evaluation set of the corpus")
    parser.add_argument(
        "--data", metavar="DIR", help="prepared pair corpus (default: the training's)"
    )
    parser.add_argument("--allow-other-corpus", action="store_true", help=ALLOW_OTHER_CORPUS)
    parser.add_argument("--output", metavar="FILE", help="default: standard output")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument("--threads", type=int, metavar="N", help="of the CPU")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no counts")

    group = parser.add_argument_group("search")
    for name, kind, metavar, text in (
        ("beam", int, "N", "hypotheses kept per sentence (default: 5)"),
        ("length-penalty", float, "P", "divide by the length to this power (default: 1)"),
        ("max-len-a", float, "A", "at most A * (source length) + B tokens (default: 0)"),
        ("max-len-b", int, "B", "see --max-len-a (default: 200)"),
        ("max-tokens", int, "N", "source tokens translated at a time (default: 4096)"),
        ("average", int, "N", "mean of the weights of the last N checkpoints kept beside it"),
    ):
        group.add_argument(f"--{name}", type=kind, metavar=metavar, help=text)
    group.add_argument(
        "--no-cache",
        dest="cache",
        action="store_false",
        default=None,
        help="compute the input layers for every token, instead of folding them into tables",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Translates. Raises InputError for a checkpoint, a corpus or text that cannot be used."""
    import torch

    from define.data.parallel import pairs
    from define.evaluation import checkpoints
    from define.evaluation.decodings import Decoding
    from define.train import decoding

    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda needs an NVIDIA GPU, and torch sees none; take cpu")
    if args.threads is not None:
        if args.threads < 1:
            raise InputError(f"--threads {args.threads} must be at least 1")
        torch.set_num_threads(args.threads)
    names = [field.name for field in fields(Decoding)]
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    how = Decoding(**given)

    checkpoint = decoding.read(args.checkpoint)
    corpus = pairs.load(args.data or checkpoint["cfg"]["task"]["data"])
    require_same(checkpoints.trained_on(checkpoint), corpus.identity, args.allow_other_corpus)
    task = decoding.task_for(checkpoint, corpus)
    model = decoding.load_model(args.checkpoint, task, how, args.device == "cuda")
    lines = corpus.source_text(args.set) if args.set else _read(args.input)
    dataset = decoding.encode(lines, task, corpus.subwords(corpus.source))

    begin = time.perf_counter()
    found = decoding.search(model, task, dataset, how, args.quiet)
    seconds = time.perf_counter() - begin
    subwords = corpus.subwords()
    translated = [decoding.text(tokens, task.target_dictionary, subwords) for tokens in found]
    _write(args.output, "".join(f"{line}\n" for line in translated))
    if not args.quiet:
        empty = int((dataset.src_sizes == 1).sum())
        sentences, tokens = len(lines) - empty, sum(map(len, found)) - empty
        print(
            f"{sentences:,} sentences in {seconds:.1f} s: {sentences / seconds:,.1f} sentences/s, "
            f"{tokens / seconds:,.0f} tokens/s, input layers "
            f"{'folded into tables' if how.cache else 'computed for every token'}; "
            f"{empty:,} empty lines",
            file=sys.stderr,
        )
    return 0


def _read(path: str | None) -> list[str]:
    """The lines of a file or of standard input; only "\\n" ends a line."""
    content = Path(path).read_bytes() if path else sys.stdin.buffer.read()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path or 'standard input'} is not UTF-8 text ({error.reason}); convert it first"
        ) from None
    return [line.removesuffix("\n") for line in io.StringIO(text, newline="\n")]


def _write(path: str | None, text: str) -> None:
    if path is None:
        sys.stdout.write(text)
        return
    with atomic_write(path) as stream:
        stream.write(text)
