"""A table whose cells are text or numbers, and its renderings: terminal, Markdown, LaTeX, HTML."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import IO, Any, TypeVar

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tabulate import tabulate

from define.analysis.stats import Statistic

T = TypeVar("T")

ABSENT = "-"
INTERVAL = (
    "±: half the 95 % interval of the mean over n seeds (Student's t, n - 1 degrees of freedom)."
)
PLAIN_WIDTH = 100
"""Columns of a rendering that goes to a file or a pipe."""


def number(value: float | None, digits: int = 2) -> str:
    """A number with so many decimals, or "-"."""
    return ABSENT if value is None else f"{value:.{digits}f}"


def signed(value: float | None) -> str:
    """A difference with its sign and two decimals, or "-"."""
    return ABSENT if value is None else f"{value:+.2f}"


def millions(count: int | None, digits: int = 2) -> str:
    """A count in millions with so many decimals, or "-"."""
    return number(None if count is None else count / 1_000_000, digits)


@dataclass(frozen=True)
class Number:
    """A number in a cell, how it is printed, and half its interval."""

    value: float
    form: str = ".2f"
    half: float | None = None

    @property
    def head(self) -> str:
        """The number without its interval."""
        return f"{self.value:{self.form}}"

    @property
    def tail(self) -> str:
        """The interval."""
        return "" if self.half is None else f"±{self.half:{self.form.removeprefix('+')}}"

    def __str__(self) -> str:
        return self.head + self.tail


@dataclass(frozen=True)
class Interval:
    """The two ends of an interval in a cell."""

    low: float
    high: float
    form: str = ".2f"

    def __str__(self) -> str:
        return f"[{self.low:{self.form}}, {self.high:{self.form}}]"


@dataclass(frozen=True)
class Link:
    """Linked text in a cell of a page."""

    text: str
    href: str

    def __str__(self) -> str:
        return self.text


Cell = str | int | Number | Interval | Link | None


def num(value: float | None, form: str = ".2f") -> Number | None:
    """The cell of a number that may be missing."""
    return None if value is None else Number(value, form)


def mean(statistic: Statistic | None) -> Number | None:
    """The cell of a mean with half its interval."""
    return statistic and Number(statistic.mean, half=statistic.half_width)


@dataclass(frozen=True)
class Grid:
    """A titled table; column 0 is text and left-aligned, the others are right-aligned.

    HTML right-aligns a column only if it holds numbers.

    Attributes:
        header: one cell per column; "\\n" separates a group from its column ("valid\\nours").
        rows: as many cells per row as the header has; None stands for a missing number.
        notes: sentences below the table.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        title: str,
        items: Iterable[T],
        columns: Mapping[str, Callable[[T], Cell]],
        notes: Sequence[str] = (),
    ) -> "Grid":
        """A grid with a row for each item; `columns` are heading -> cell of an item."""
        rows = [[cell(item) for cell in columns.values()] for item in items]
        return cls(title, list(columns), rows, notes)

    @property
    def all_notes(self) -> list[str]:
        """The notes, and what ± means where a cell has one."""
        cells = [cell for row in self.rows for cell in row]
        shown = any(isinstance(cell, Number) and cell.half is not None for cell in cells)
        return [*self.notes, INTERVAL] if shown else list(self.notes)

    def columns(self) -> list[list[Cell]]:
        """The cells by column."""
        return [[row[i] for row in self.rows] for i in range(len(self.header))]

    def texts(self, padded: bool = False) -> list[list[str]]:
        """The cells as text, row by row.

        Args:
            padded: add blanks after shorter intervals, so that right-aligned means line up.
        """
        widths = [max(map(len, map(tail, column)), default=0) for column in self.columns()]
        return [
            [
                text(cell) + " " * (width - len(tail(cell)) if padded else 0)
                for cell, width in zip(row, widths, strict=True)
            ]
            for row in self.rows
        ]


def text(cell: Cell) -> str:
    """A cell as text."""
    if cell is None:
        return ABSENT
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def tail(cell: Cell) -> str:
    """The interval that follows the number of a cell."""
    return cell.tail if isinstance(cell, Number) else ""


def print_terminal(grids: Sequence[Grid], stream: IO[str]) -> None:
    """Prints the grids with rich: as wide as the terminal, or 100 columns into a file or a pipe.

    A grid that is wider is split into several tables, each with column 0.
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
        lines = [list(grid.header), *grid.texts(padded=True)]
        # Column 0 breaks between words only, and takes at most half of the terminal.
        labels = [line[0] for line in lines]
        longest = max(cell_len(word) for label in labels for word in label.split())
        first = min(max(longest, 12), max(map(cell_len, labels)), console.width // 2)
        for columns in _parts(lines, console.width - first):
            table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
            table.add_column(Text(lines[0][0]), overflow="fold", min_width=first)
            for index in columns:
                table.add_column(Text(lines[0][index]), justify="right", no_wrap=True)
            for line in lines[1:]:
                table.add_row(*(Text(line[index]) for index in (0, *columns)))
            console.print(table)
        for note in grid.all_notes:
            console.print(Text(note))
        console.print()


def _parts(lines: Sequence[Sequence[str]], width: int) -> list[list[int]]:
    """The columns after column 0, in parts that fit the width."""
    parts: list[list[int]] = [[]]
    left = width
    for index in range(1, len(lines[0])):
        needed = 1 + max(cell_len(t) for line in lines for t in line[index].split("\n"))
        if needed > left and parts[-1]:
            parts.append([])
            left = width
        parts[-1].append(index)
        left -= needed
    return parts


def markdown(grid: Grid) -> str:
    """The grid as a pipe table with its notes, without its title."""
    lines = [
        [cell.replace("\n", " ").replace("|", "\\|") for cell in line]
        for line in (grid.header, *grid.texts())
    ]
    align = ["left"] + ["right"] * (len(grid.header) - 1)
    table = tabulate(lines[1:], lines[0], tablefmt="pipe", disable_numparse=True, colalign=align)
    return "\n\n".join([table, *grid.all_notes]) + "\n"


def latex(cell: Cell) -> str:
    """A cell, or other text, with LaTeX's special characters escaped."""
    shown = text(cell).replace("\n", " ").strip().translate(_LATEX)
    # In text mode a minus sign would be set as a hyphen.
    return f"${shown}$" if isinstance(cell, Number) and shown[0] in "+-" else shown


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "†": r"\textdagger{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("define.report"),
        autoescape=select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"text": text, "tail": tail, "markdown": markdown, "latex": latex}
    environment.tests["number"] = lambda cell: cell is None or isinstance(cell, (int, Number))
    return environment


def template(name: str) -> Any:
    """A template of this package; jinja2 is imported on use."""
    return _environment().get_template(name)


def _terminal(grids: Sequence[Grid]) -> str:
    stream = io.StringIO()
    print_terminal(grids, stream)
    return stream.getvalue()


FORMATS: dict[str, Callable[[Sequence[Grid]], str]] = {
    "terminal": _terminal,
    "markdown": lambda grids: "\n".join(f"### {g.title}\n\n{markdown(g)}" for g in grids),
    "latex": lambda grids: template("grids.tex.j2").render(grids=grids),
    "html": lambda grids: template("grids.html.j2").render(grids=grids),
}
"""Format -> function that turns grids into one text, ending in a line break."""
