"""`define train --dry-run`: what a run would be, on one screen. Writes nothing."""

import textwrap
from itertools import groupby

from omegaconf import DictConfig

from define.cli.diff import cell, differing, recipe
from define.errors import InputError
from define.train.counting import parameters
from define.train.dry_run import cost, types_of
from define.train.run_folder import existing, published_config

WIDTH = 80
LABEL = 22
SHOWN_ELSEWHERE = ("seed", "run.scale", "run.corpus", "run.protocols", "run.translations")
"""Keys that the screen shows in other places."""


def screen(config: DictConfig) -> str:
    """What differs from the paper's recipe, the parameters, the cost and the folder of a run.

    Raises:
        InputError: an impossible model, or the folder of another run.
    """
    record = existing(config)
    types, corpus = types_of(config)
    run = config.run
    lines = [
        f"Table {run.table}, {run.row}, scale {run.scale}, corpus {run.corpus}, seed {config.seed}",
        "",
        *_differences(config),
        "",
    ]
    size = f"{types:,} types" if isinstance(types, int) else "{:,} + {:,} types".format(*types)
    nominal = "" if isinstance(types, int) or corpus else ", nominal: the corpus is not prepared"
    counts = parameters(config.model, types)
    total = counts.pop("total")
    parts = ", ".join(f"{part} {count:,}" for part, count in counts.items())
    lines += _line("parameters", f"{total:,} ({parts}); {size}{nominal}")
    for label, text in cost(config, types, corpus).items():
        lines += _line(label, text)
    decodings = [
        f"{name} ({', '.join(f'{key} {value}' for key, value in settings.items())})"
        for name, settings in run.translations.items()
    ]
    if decodings:
        lines += _line("translations", ", ".join(decodings))
    state = f"holds the run, which is {record['status']}" if record else "does not exist yet"
    lines += ["", "Nothing was trained or written. The run's folder " + state + ":", run.dir]
    return "\n".join(lines)


def _differences(config: DictConfig) -> list[str]:
    """A paragraph per section: each key, its value in the paper's recipe and here."""
    try:
        paper = recipe(config.run.table, config.run.row, config.seed, "paper")
    except InputError:
        return ["The paper has no recipe for this row."]
    found = differing(paper, published_config(config))
    renamed = {c.key.rpartition(".")[0] for c in found if c.key.endswith("._name")}
    lines = []
    for section, changes in groupby(found, lambda change: change.key.partition(".")[0]):
        texts = [
            f"{change.key.removeprefix(f'{section}.')} {cell(change.old)} -> {cell(change.new)}"
            for change in changes
            if not change.key.startswith(SHOWN_ELSEWHERE)
            # Another optimizer or schedule has other keys.
            and not (section in renamed and None in (change.old, change.new))
        ]
        if texts:
            lines += _line(section, ", ".join(texts).replace("\n", " "))
    if not lines:
        return ["The config is the paper's recipe."]
    return ["Different from the paper's recipe (paper -> this run):", *lines]


def _line(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        f"{label:<{LABEL - 1}} {text}",
        WIDTH,
        subsequent_indent=" " * LABEL,
        break_long_words=False,
        break_on_hyphens=False,
    )
