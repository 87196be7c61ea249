"""A table of text cells and its three renderings: terminal, Markdown and LaTeX."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 100
"""Columns of a rendering that goes to a file or a pipe."""


@dataclass(frozen=True)
class Grid:
    """A titled table; column 0 is text and left-aligned, the others are right-aligned.

    Attributes:
        header: one cell per column; "\\n" separates a group from its column ("valid\\nours").
        rows: as many cells per row as the header has.
        notes: sentences to stand below.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def print_terminal(grids: Sequence[Grid], stream: IO[str]) -> None:
    """Prints the grids with rich: as wide as the terminal, or 100 columns into a file or a pipe."""
    interactive = stream.isatty()
    console = Console(
        file=stream,
        force_terminal=interactive,
        width=None if interactive else PLAIN_WIDTH,
        highlight=False,
    )
    for grid in grids:
        table = Table(
            title=Text(grid.title),
            title_justify="left",
            box=SIMPLE_HEAD,
            padding=0,
            show_edge=False,
        )
        for index, name in enumerate(grid.header):
            table.add_column(
                Text(name), justify="right" if index else "left", no_wrap=index > 0, overflow="fold"
            )
        for row in grid.rows:
            table.add_row(*map(Text, row))
        console.print(table)
        for note in grid.notes:
            console.print(Text(note))
        console.print()


def markdown(grid: Grid) -> str:
    """The grid as a pipe table with padded cells, its notes below, without its title."""
    lines = [[_markdown_cell(cell) for cell in line] for line in (grid.header, *grid.rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * (width - 1) + ":" if index else "-" * width for index, width in enumerate(widths)]
    padded = [
        [
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    table = [f"| {' | '.join(line)} |" for line in (padded[0], rule, *padded[1:])]
    notes = [text for note in grid.notes for text in ("", note)]
    return "\n".join([*table, *notes]) + "\n"


def _markdown_cell(cell: str) -> str:
    return cell.replace("\n", " ").replace("|", "\\|").strip()


def latex(grid: Grid) -> str:
    """The grid as a `table` with booktabs rules."""
    header, *rows = [
        " & ".join(map(_latex_cell, line)) + r" \\" for line in (grid.header, *grid.rows)
    ]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{latex_escape(' '.join([grid.title + '.', *grid.notes]))}}}",
            rf"  \begin{{tabular}}{{l{'r' * (len(grid.header) - 1)}}}",
            r"    \toprule",
            f"    {header}",
            r"    \midrule",
            *(f"    {row}" for row in rows),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _latex_cell(cell: str) -> str:
    cell = cell.replace("\n", " ").strip()
    # In text mode a minus sign would be set as a hyphen.
    if re.fullmatch(r"[+-]\d[\d.]*", cell):
        return f"${cell}$"
    return latex_escape(cell)


_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "†": r"\textdagger{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def latex_escape(text: str) -> str:
    """`text` with every character escaped that LaTeX would act upon."""
    return "".join(_LATEX_SPECIAL.get(character, character) for character in text)
