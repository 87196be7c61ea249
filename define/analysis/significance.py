"""Paired bootstrap tests between translations of one set, from `significance/*.json`.

`define score --baseline` writes the files.
"""

from pathlib import Path

from define.runs.significance import FOLDER as FOLDER
from define.runs.significance import Significance, read


def read_tests(folder: Path) -> list[Significance]:
    """The tests below `folder`, by file name; none without that folder.

    Raises:
        InputError: a malformed file.
    """
    return [read(path) for path in sorted(folder.rglob("*.json"))]
