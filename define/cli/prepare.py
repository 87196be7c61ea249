"""`define prepare`: corpora from text files or archives, from the network, or generated."""

import argparse
import os
from pathlib import Path

from define.data.corpora import REGISTRY, get_spec
from define.data.prepare import prepare

EXAMPLES = """\
examples:
  define prepare python_docs                    build the embedded corpus, no network needed
  define prepare ptb --source ~/corpora         from ~/corpora/ptb.*.txt or ~/corpora/ptb/ptb.*.txt
  define prepare ptb --output data              download into data/raw/ptb, prepare data/ptb
  define prepare wikitext-103                   download wikitext-103-v1.zip (some 190 MB)
  define prepare wikitext-103 --source ~/zips   from ~/zips/wikitext-103-v1.zip, or its text files
  define prepare zipf                           synthetic, 267,735 types, for trials of size
"""


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `prepare` to the subcommands of `define`."""
    parser = subparsers.add_parser(
        "prepare",
        help="make a corpus ready for training",
        description="Check the text files of a corpus (checksums, lines, tokens, types) and turn "
        "them into token ids. A corpus that is already prepared and intact is left as it is.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = ", ".join(f"{spec.name} ({spec.title})" for spec in REGISTRY.values())
    parser.add_argument("name", choices=list(REGISTRY), help=f"which corpus: {known}")
    parser.add_argument(
        "--source",
        metavar="DIR",
        default=os.environ.get("DEFINE_DATA_SOURCE") or None,
        help="folder with the text files or their zip, or with a subfolder NAME that has them "
        "(default: the environment variable DEFINE_DATA_SOURCE; without it, download)",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        default=os.environ.get("DEFINE_DATA") or "data",
        help="folder in which the folder NAME is made "
        "(default: the environment variable DEFINE_DATA, or data)",
    )
    parser.add_argument(
        "--no-download",
        action="store_true",
        help="never use the network; fail if files are missing",
    )
    parser.add_argument("--force", action="store_true", help="prepare again what is already there")
    parser.add_argument("--quiet", action="store_true", help="no progress bars and no summary")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Prepares the corpus and prints what it is, its licence and its counts."""
    spec = get_spec(args.name)
    if not args.quiet:
        print(f"{spec.title}\nLicence: {spec.licence}")
    corpus = prepare(
        args.name,
        Path(args.output, args.name),
        source=args.source,
        download=not args.no_download,
        quiet=args.quiet,
        force=args.force,
    )
    if not args.quiet:
        counts = ", ".join(f"{split} {count:,}" for split, count in corpus.meta["tokens"].items())
        print(f"Tokens, one <eos> per line included: {counts}")
        print(f"Types: {corpus.types:,}\nPrepared in {corpus.folder}")
    return 0
