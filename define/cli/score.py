"""`define score`: BLEU and chrF of translations, and tests of their differences."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from define.errors import InputError
from define.files import write_json

DESCRIPTION = """\
Scores translations, detokenised text with one sentence per line, by sacreBLEU. With --baseline,
each is also tested against the baseline by paired bootstrap.

A prepared pair corpus knows its evaluation sets. Those that lie within the set that is named are
scored too, from the same file (not with --baseline); and the file may be of the larger set that
the named one lies within.
"""
EPILOG = """\
examples:
  define score runs/.../newstest2014_full.txt --data data/wmt14-en-de --set newstest2014_full
  define score hypotheses.txt --reference newstest2014.de --language de --json
  define score define=runs/.../newstest2014.txt --baseline plain=runs/.../newstest2014.txt \\
      --data data/wmt14-en-de --set newstest2014 --output experiments/table_3/significance/a.json
"""


class Target(NamedTuple):
    """An evaluation set: what its translations are scored against."""

    name: str
    references: Sequence[str]
    within: int | None = None
    """Sentences of the larger set that it lies within."""
    lines: Sequence[int] = ()
    """Where its sentences stand in that larger set, from 0."""

    def of(self, hypotheses: Sequence[str]) -> Sequence[str]:
        """This set's hypotheses among those of the larger set, or all if they are not of that."""
        if len(hypotheses) != self.within:
            return hypotheses
        return [hypotheses[line] for line in self.lines]


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the subcommand `score`."""
    parser = subparsers.add_parser(
        "score",
        help="score translations by BLEU and chrF",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "hypotheses",
        nargs="+",
        metavar="[NAME=]HYPOTHESES",
        help="a file of translations; by default its system is named like it, without its suffix",
    )
    references = parser.add_mutually_exclusive_group(required=True)
    references.add_argument("--reference", metavar="FILE", help="a file of references")
    references.add_argument("--data", metavar="DIR", help="prepared pair corpus, with its sets")
    parser.add_argument("--set", metavar="NAME", help="with --data: the evaluation set")
    parser.add_argument(
        "--language",
        metavar="CODE",
        help="with --reference: its language, e.g. de or zh, for the tokenizers",
    )
    parser.add_argument(
        "--baseline",
        metavar="[NAME=]FILE",
        help="translations by the system that the others are tested against",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--output", metavar="FILE", help="write the same JSON there")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Scores and prints. Raises InputError for options or files that do not fit together."""
    from define.evaluation.bleu import doubts

    baseline = [args.baseline] if args.baseline else []
    systems = {name: _read(path) for name, path in _named(baseline + args.hypotheses).items()}
    language, targets = _targets(args)
    for name, lines in systems.items():
        for doubt in doubts(targets[0].of(lines), targets[0].references):
            print(f"define: warning: {name} {doubt}", file=sys.stderr)
    if args.baseline:
        result = _significance(systems, targets[0], language)
    else:
        result = _scores(systems, targets, language)
    if args.output:
        write_json(args.output, result)
    if args.json:
        json.dump(result, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    elif args.baseline:
        _print_significance(result)
    else:
        _print_scores(result)
    return 0


def _named(words: Sequence[str]) -> dict[str, str]:
    """System -> file, from words such as "beam_4=FILE" and "FILE"."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, path = word.partition("=")
        # Folders of runs may have "=" in their names.
        if not equals or Path(word).exists():
            name, path = Path(word).stem, word
        if not name or name in found:
            taken = f"{found[name]} is named {name!r} too" if name else "its name is empty"
            raise InputError(f"{path} needs a name of its own ({taken}); write NAME={path}")
        found[name] = path
    return found


def _read(path: str | Path) -> list[str]:
    from define.data.source import TextFile

    try:
        return [line.removesuffix("\n") for line in TextFile(Path(path))]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error.reason}); convert it first") from None


def _targets(args: argparse.Namespace) -> tuple[str, list[Target]]:
    """The language, and the sets to score: the named one first, then those that lie within it."""
    if args.reference:
        if args.set or not args.language:
            raise InputError("--reference goes with --language CODE and without --set")
        from define.evaluation.bleu import require_language

        require_language(args.language)
        return args.language, [Target(Path(args.reference).stem, _read(args.reference))]
    from define.data.parallel import pairs

    if args.language:
        raise InputError(f"--language {args.language} goes with --reference; the corpus knows its")
    corpus = pairs.load(args.data)
    sets = {entry["set"]: entry for entry in corpus.sets}
    if args.set not in sets:
        raise InputError(
            f"--data {args.data} needs --set with one of {', '.join(sets)}, not {args.set}"
        )
    targets = []
    for name, entry in sets.items():
        larger = sets.get(entry.get("within"), {}).get("sentences")
        if args.set in (name, entry.get("within")):
            lines = entry.get("lines", ())
            targets.append(Target(name, corpus.reference(name), larger, lines))
    return corpus.target, sorted(targets, key=lambda target: target.name != args.set)


def _scores(
    systems: Mapping[str, Sequence[str]], targets: Sequence[Target], language: str
) -> dict[str, Any]:
    from define.evaluation import bleu

    scores: dict[str, dict[str, Any]] = {name: {} for name in systems}
    for name, lines in systems.items():
        for target in targets:
            hypotheses = target.of(lines)
            try:
                found = bleu.score(hypotheses, target.references, language)
            except InputError as error:
                raise InputError(f"{name}, {target.name}: {error}") from None
            scores[name][target.name] = {**found, "hypotheses_sha256": bleu.digest(hypotheses)}
    return {
        "language": language,
        "systems": scores,
        "references_sha256": {target.name: bleu.digest(target.references) for target in targets},
    }


def _significance(
    systems: Mapping[str, Sequence[str]], target: Target, language: str
) -> dict[str, Any]:
    """What `define.runs.significance` reads; the first system is the baseline."""
    from define.evaluation import bleu
    from define.runs.significance import SCHEMA

    hypotheses = {name: target.of(lines) for name, lines in systems.items()}
    test = bleu.compare(hypotheses, target.references, language)
    return {
        "schema": SCHEMA,
        "kind": "significance",
        "set": target.name,
        "sentences": test["sentences"],
        "language": language,
        "baseline": next(iter(hypotheses)),
        "systems": test["systems"],
        "signatures": test["signatures"],
        "hypotheses_sha256": {name: bleu.digest(lines) for name, lines in hypotheses.items()},
        "references_sha256": bleu.digest(target.references),
    }


def _print_scores(result: Mapping[str, Any]) -> None:
    from define.runs.schema import TRANSLATED

    rows, signatures = [], {}
    for system, sets in result["systems"].items():
        for name, found in sets.items():
            for metric, label in TRANSLATED.items():
                if metric not in found:
                    continue
                sentences = f"{found['sentences']:,}"
                rows.append([system, name, sentences, label, _interval(found[metric])])
                signatures[metric] = found[metric]["signature"]
    _print("Scores", ["system", "set", "sentences", "metric", "score"], rows, signatures)


def _print_significance(result: Mapping[str, Any]) -> None:
    from define.report.grid import number, signed
    from define.runs.schema import TRANSLATED

    baseline = result["systems"][result["baseline"]]
    rows = []
    for metric, label in TRANSLATED.items():
        if metric not in baseline:
            continue
        for system, scores in result["systems"].items():
            found = scores[metric]
            difference = found["score"] - baseline[metric]["score"]
            tested = found["p_value"] is not None
            rows.append(
                [
                    system,
                    label,
                    _interval(found),
                    signed(difference if tested else None),
                    number(found["p_value"], digits=3),
                ]
            )
    title = (
        f"{result['set']}, {result['sentences']:,} sentences: paired bootstrap test against "
        f"{result['baseline']}"
    )
    header = ["system", "metric", "score", "difference", "p"]
    _print(title, header, rows, result["signatures"])


def _interval(found: Mapping[str, float]) -> str:
    return f"{found['score']:.2f} ± {found['half_width']:.2f}"


def _print(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    signatures: Mapping[str, str],
) -> None:
    """The table, then the signatures unbroken, however narrow the terminal."""
    from define.evaluation.bleu import RESAMPLES
    from define.report.grid import Grid, print_terminal
    from define.runs.schema import TRANSLATED

    print_terminal([Grid(title, header, rows)], sys.stdout)
    print(f"±: half of the 95 % interval of {RESAMPLES:,} bootstrap resamples")
    for metric, signature in signatures.items():
        print(f"{TRANSLATED[metric]}: {signature}")
