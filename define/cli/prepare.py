"""`define prepare`: corpora from text files or archives, from the network, or generated."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from define.data.parallel.pairs import PAIRS, PairCorpus
from define.data.parallel.prepare import prepare_pairs
from define.data.text.corpora import REGISTRY, Corpus
from define.data.text.prepare import prepare
from define.errors import InputError
from define.runs import paths

DESCRIPTION = """\
Check the text files of a corpus (checksums, lines, tokens, types) and turn them into token ids; a
parallel corpus into ids of subwords learnt on its training split. A corpus that is already prepared
and intact is left as it is.
"""
EXAMPLES = """\
examples:
  define prepare python_docs                    build the embedded corpus, no network needed
  define prepare ptb --source ~/corpora         from ~/corpora/ptb.*.txt or ~/corpora/ptb/ptb.*.txt
  define prepare ptb --output data              download into data/raw/ptb, prepare data/ptb
  define prepare wikitext-103                   download wikitext-103-v1.zip (some 190 MB)
  define prepare wikitext-103 --source ~/zips   from ~/zips/wikitext-103-v1.zip, or its text files
  define prepare zipf                           synthetic, 267,735 types, for trials of size
  define prepare multi30k                       captions in English and German (2 MB), to translate
  define prepare multi30k --subwords 8000       with 8,000 subwords instead of 6,000
  define prepare wmt14-en-de                    download 1.7 GB; 4.5 million pairs
  define prepare wmt14-en-de --max-length 50    train on pairs of up to 50 subwords a side
"""


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `prepare` to the subcommands of `define`."""
    parser = subparsers.add_parser(
        "prepare",
        help="make a corpus ready for training",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    specs = REGISTRY | PAIRS
    known = ", ".join(f"{spec.name} ({spec.title})" for spec in specs.values())
    parser.add_argument("name", metavar="NAME", choices=list(specs), help=f"which corpus: {known}")
    parser.add_argument(
        "--source",
        metavar="DIR",
        default=paths.source(),
        help="folder with the text files or their zip, or with a subfolder NAME that has them "
        "(default: the environment variable DEFINE_DATA_SOURCE; without it, download)",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        default=paths.data(),
        help="folder in which the folder NAME is made "
        "(default: the environment variable DEFINE_DATA, or data)",
    )
    parser.add_argument(
        "--no-download",
        action="store_true",
        help="never use the network; fail if files are missing",
    )
    parser.add_argument(
        "--subwords",
        type=int,
        metavar="N",
        help="how many subwords to learn for a parallel corpus (default: the corpus's own number)",
    )
    parser.add_argument(
        "--max-length",
        type=int,
        metavar="N",
        help="drop training pairs with a side longer than N subwords, of a parallel corpus "
        "(default: no limit but the corpus's own)",
    )
    parser.add_argument("--force", action="store_true", help="prepare again what is already there")
    parser.add_argument("--quiet", action="store_true", help="no progress bars and no summary")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Prepares the corpus and prints what it is, its licence and its counts.

    Raises:
        InputError: `--subwords` or `--max-length` is not positive, or the corpus has no subwords.
    """
    spec = (REGISTRY | PAIRS)[args.name]
    if not args.quiet:
        print(f"{spec.title}\nLicence: {spec.licence}")
    options = {
        "source": args.source,
        "download": not args.no_download,
        "quiet": args.quiet,
        "force": args.force,
    }
    output = Path(args.output, args.name)
    asked = {"--subwords": args.subwords, "--max-length": args.max_length}
    for option, value in asked.items():
        if value is not None and args.name not in PAIRS:
            raise InputError(
                f"{option} is for parallel corpora ({', '.join(PAIRS)}), but the tokens of "
                f"{args.name} are words; leave it out."
            )
        if value is not None and value < 1:
            raise InputError(f"{option} is {value}, but must be at least 1.")
    if args.name in PAIRS:
        corpus = prepare_pairs(
            args.name, output, pieces=args.subwords, max_length=args.max_length, **options
        )
    else:
        corpus = prepare(args.name, output, **options)
    if not args.quiet:
        print(*(_pair_counts if args.name in PAIRS else _counts)(corpus), sep="\n")
        print(f"Prepared in {corpus.folder}")
    return 0


def _counts(corpus: Corpus) -> Iterator[str]:
    yield f"Tokens, one <eos> per line included: {_by_split(corpus.meta['tokens'])}"
    yield f"Types: {corpus.types:,}"


def _pair_counts(corpus: PairCorpus) -> Iterator[str]:
    meta = corpus.meta
    yield f"Pairs: {_by_split(meta['pairs'])}"
    for split, reasons in meta["dropped"].items():
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        yield f"Left out of {split}: {left_out}"
    for language, tokens, types in (
        (corpus.source, meta["source_tokens"], corpus.source_types),
        (corpus.target, meta["tokens"], corpus.types),
    ):
        yield f"Subwords ({language}), one <eos> per line included: {_by_split(tokens)}"
        yield f"Types ({language}), 4 special symbols included: {types:,}"


def _by_split(counts: dict[str, int]) -> str:
    return ", ".join(f"{split} {count:,}" for split, count in counts.items())
