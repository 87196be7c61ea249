"""One page over everything that is recorded: HTML that fetches nothing, made from records alone."""

from dataclasses import replace

from define.report.grid import Grid, html


def anchor(*parts: str) -> str:
    """The page's identifier of a table, or with scale and corpus of one of its sections."""
    return "-".join(("table", *parts))


def markup(grid: Grid, title: str | None = None) -> str:
    """The grid, under another title if one is given, as HTML to which templates add no escapes."""
    return html(grid if title is None else replace(grid, title=title))
