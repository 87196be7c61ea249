"""A table of text cells and its renderings: terminal, Markdown, LaTeX and HTML."""

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import IO

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 100
"""Columns of a rendering that goes to a file or a pipe."""
LABEL_WIDTH = 12
"""What column 0 keeps at least on a terminal, if its text is as wide."""


@dataclass(frozen=True)
class Grid:
    """A titled table; column 0 is text and left-aligned, the others are right-aligned.

    HTML right-aligns only those of the others that hold numbers.

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
    """Prints the grids with rich: as wide as the terminal, or 100 columns into a file or a pipe.

    A grid that is wider is shown in parts below each other, each with column 0.
    """
    interactive = stream.isatty()
    console = Console(
        file=stream,
        force_terminal=interactive,
        width=None if interactive else PLAIN_WIDTH,
        highlight=False,
    )
    for grid in grids:
        console.print(Text(grid.title, style="table.title"))
        for columns in _parts(grid, console.width):
            console.print(_table(grid, columns))
        for note in grid.notes:
            console.print(Text(note))
        console.print()


def _parts(grid: Grid, width: int) -> list[list[int]]:
    """The columns to stand side by side, so that each part has room for column 0."""
    lines = (grid.header, *grid.rows)
    widths = [
        max(cell_len(t) for c in column for t in c.split("\n"))
        for column in zip(*lines, strict=True)
    ]
    room = left = width - min(widths[0], LABEL_WIDTH)
    parts = [[0]]
    for index, needed in enumerate(widths[1:], start=1):
        if needed + 1 > left and len(parts[-1]) > 1:
            parts.append([0])
            left = room
        parts[-1].append(index)
        left -= needed + 1
    return parts


def _table(grid: Grid, columns: Sequence[int]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    for index in columns:
        table.add_column(
            Text(grid.header[index]),
            justify="right" if index else "left",
            no_wrap=index > 0,
            overflow="fold",
        )
    for row in grid.rows:
        table.add_row(*(Text(row[index]) for index in columns))
    return table


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


_NUMBER = re.compile(r"[\[+-]*\d|-?$")
"""How a cell of numbers begins; "-" and nothing stand for a missing one."""


def html(grid: Grid) -> str:
    """The grid as a <figure> with its title, the table in a scrolling box, and its notes.

    Cells of columns of numbers have the class "number"; every text is escaped.
    """
    title = escape(grid.title)
    cells = [[cell.strip() for cell in row] for row in grid.rows]
    columns = list(zip(*cells, strict=True)) or [()] * len(grid.header)
    numeric = [i > 0 and all(map(_NUMBER.match, column)) for i, column in enumerate(columns)]
    widths = [max((len(c.partition("±")[2]) for c in column), default=0) for column in columns]
    head = _html_cells(grid.header, numeric, ["th"] * len(numeric), "col", [0] * len(numeric))
    tags = ["th", *["td"] * (len(numeric) - 1)]
    body = [f"<tr>{_html_cells(row, numeric, tags, 'row', widths)}</tr>" for row in cells]
    return "\n".join(
        [
            '<figure class="grid">',
            f"<figcaption>{title}</figcaption>",
            f'<div class="scroll" role="region" aria-label="{title}" tabindex="0"><table>',
            f"<thead><tr>{head}</tr></thead>",
            "<tbody>",
            *body,
            "</tbody>",
            "</table></div>",
            *(f"<p>{escape(note)}</p>" for note in grid.notes),
            "</figure>",
            "",
        ]
    )


def _html_cells(
    cells: Sequence[str],
    numeric: Sequence[bool],
    tags: Sequence[str],
    scope: str,
    widths: Sequence[int],
) -> str:
    """The cells of one line; `widths` are the characters to keep free for what follows a ±."""
    parts = []
    for cell, is_number, tag, width in zip(cells, numeric, tags, widths, strict=True):
        attributes = f' scope="{scope}"' if tag == "th" else ""
        attributes += ' class="number"' if is_number else ""
        text = escape(cell.strip()).replace("\n", "<br>")
        if width:  # so that the numbers before it stand below each other
            mean, sign, half = text.partition("±")
            text = f'{mean}<span class="half" style="width: {width + 1}ch">{sign}{half}</span>'
        parts.append(f"<{tag}{attributes}>{text}</{tag}>")
    return "".join(parts)


_STYLE = """\
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 75rem; margin: 0 auto; padding: 1rem; }
figure { margin: 0 0 2.5rem; }
figcaption { font-weight: 600; margin-bottom: 0.5rem; }
figure p { font-size: 0.875rem; margin: 0.5rem 0 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.6rem; text-align: left; vertical-align: bottom; white-space: nowrap; }
th[scope="row"] { font-weight: 400; }
thead tr { border-bottom: 1px solid; }
tbody tr { border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
.number { text-align: right; }
.half { display: inline-block; text-align: left; }"""


def html_page(grids: Iterable[Grid]) -> str:
    """The grids as a page that stands alone: nothing in it is fetched from elsewhere."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>DeFINE, reproduced</title>",
            f"<style>\n{_STYLE}\n</style>",
            "</head>",
            "<body>",
            "<h1>DeFINE, reproduced</h1>",
            *map(html, grids),
            "</body>",
            "</html>",
            "",
        ]
    )


def _terminal(grids: Sequence[Grid]) -> str:
    stream = io.StringIO()
    print_terminal(grids, stream)
    return stream.getvalue()


def _markdown_sections(grids: Sequence[Grid]) -> str:
    return "\n".join(f"### {grid.title}\n\n{markdown(grid)}" for grid in grids)


def _latex_tables(grids: Sequence[Grid]) -> str:
    return "\n".join(map(latex, grids))


FORMATS: dict[str, Callable[[Sequence[Grid]], str]] = {
    "terminal": _terminal,
    "markdown": _markdown_sections,
    "latex": _latex_tables,
    "html": html_page,
}
"""Format -> function that turns grids into one text, ending in a line break."""
