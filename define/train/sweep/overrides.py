"""What the overrides of `define train -m` stand for: jobs, seeds, and a name for all of them."""

import hashlib
import json
import re
from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from define.errors import InputError


def split(overrides: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The overrides of Hydra's own config, and those of each job.

    Raises:
        InputError: an override that Hydra cannot read.
    """
    own = [word for word in overrides if re.match(r"[+~]*hydra[./]", word)]
    return own, jobs([word for word in overrides if word not in own])


def jobs(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each job of a sweep, in Hydra's order.

    Raises:
        InputError: an override that Hydra cannot read.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise InputError(
            f"override: {str(error).splitlines()[0]}; see `define train --help`"
        ) from error
    (batch,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for job in batch]


def seeds_override(text: str) -> str:
    """Hydra's override for "1-3" or "1,2,5".

    Raises:
        InputError: neither of them.
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise InputError(f"--seeds {text!r} is no list of seeds; take such as 1-3 or 1,2,5")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return f"seed={','.join(map(str, dict.fromkeys(found)))}"


def default_name(each: Sequence[Sequence[str]]) -> str:
    """Tables and scale, and a hash of the jobs: the same jobs find their sweep again."""
    words = [word.partition("=") for job in each for word in job]
    tables = [value.split("/")[0] for key, _, value in words if key == "experiment"]
    scales = [value for key, _, value in words if key == "scale"]
    tables, scales = list(dict.fromkeys(tables)), list(dict.fromkeys(scales))
    stem = [*(tables if len(tables) < 3 else [f"{len(tables)}_tables"]), *scales] or ["sweep"]
    readable = re.sub(r"[^\w.-]+", "_", "-".join(stem))
    whole = json.dumps([list(job) for job in each])
    return f"{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
