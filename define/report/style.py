"""The look of figures; writes them to files or into a page. matplotlib is imported on use."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from define.errors import InputError
from define.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito's colours, safe for colour-blind readers; their yellow is too pale on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
GRID_COLOUR = "#dddddd"
WIDTH = 6.4
"""Inches of a figure in a file."""
PAGE_WIDTH = 4.2
"""Inches of a figure of the page: narrow, so that its text can be read on a phone."""
LOG_RATIO = 3.0
"""From this ratio of the largest to the smallest value on, an axis is logarithmic."""

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    # Without a fixed salt the identifiers in an SVG file are random.
    "svg.hashsalt": "define",
}
_METADATA = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}
"""Otherwise matplotlib writes the time and its own version into the file."""


@contextmanager
def new_figure(width: float, height: float) -> Iterator["Figure"]:
    """An empty figure; what is drawn on it within the context has this style. Sizes in inches."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def look(index: int) -> dict[str, Any]:
    """Colour, dashes and mark of a series."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
        "markeredgecolor": "white",
        "linewidth": 1.6,
    }


def bars(means: Sequence[float], points: Sequence[Any]) -> list[list[float]] | None:
    """Lengths of error bars from means to the `low` and `high` of points; None if all are 0."""
    below = [mean - point.low for mean, point in zip(means, points, strict=True)]
    above = [point.high - mean for mean, point in zip(means, points, strict=True)]
    return [below, above] if any(below) or any(above) else None


def rule(axes: "Axes", axis: str) -> None:
    """Draws pale grid lines behind the data, at the ticks of "x", "y" or "both"."""
    axes.grid(axis=axis, color=GRID_COLOUR, linewidth=0.6)
    axes.set_axisbelow(True)


def scale_axis(axis: "Axis", lowest: float, highest: float) -> None:
    """Makes the axis logarithmic if its values range widely; ticks show plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    if highest / lowest < LOG_RATIO:
        return
    setter = axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale
    setter("log")
    axis.set_major_locator(LogLocator(subs=(1, 1.2, 1.5, 2, 3, 4, 5, 7)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def save(figure: "Figure", path: str | Path) -> None:
    """Writes the figure as .png (150 dpi) or .svg; equal figures give equal bytes.

    Raises:
        InputError: the file name ends in neither.
    """
    path = Path(path)
    if path.suffix not in _METADATA:
        raise InputError(f"{str(path)!r} is no plot file; let the name end in .png or .svg")
    with atomic_write(path, "wb") as stream:
        stream.write(_drawn(figure, path.suffix, {}))


def _drawn(figure: "Figure", suffix: str, style: dict[str, str], **options: Any) -> bytes:
    import matplotlib

    content = io.BytesIO()
    metadata = _METADATA[suffix]
    with matplotlib.rc_context(STYLE | style):
        figure.savefig(content, format=suffix[1:], dpi=150, metadata=metadata, **options)
    return content.getvalue()


_PAGE_COLOURS = {
    **{colour: f"var(--series-{n})" for n, colour in enumerate(COLOURS[:-1], start=1)},
    "#000000": "currentColor",
    "#ffffff": "var(--surface)",
    GRID_COLOUR: "var(--rule)",
}
"""Colour of a figure -> its name on a page, which has a light and a dark palette."""


def inline_svg(figure: "Figure", name: str, description: str) -> str:
    """The figure as an <svg> element of a page, as wide as its box; equal figures give equal text.

    Text stays text, in the page's font and colour; the background is transparent. The page sets the
    custom properties --series-1 to --series-6, --surface and --rule.

    Args:
        name: a word, unique in the page; the figure's identifiers begin with it.
        description: for a reader who cannot see the figure.
    """
    from xml.sax.saxutils import quoteattr

    text = _drawn(figure, ".svg", {"svg.fonttype": "none"}, transparent=True).decode()
    box = re.search(r'viewBox="[^"]*"', text)[0]
    text = text[text.index("<g id=") : text.rindex("</svg>")]
    used = set(re.findall(r'(?:href="|url\()#([\w.-]+)', text))
    for pattern, replacement in (
        (r"font-family: [^;\"]*;? ?", ""),
        (r"#[0-9a-f]{6}", lambda found: _PAGE_COLOURS.get(found[0], found[0])),
        (r"\s+", " "),
        (r"(\.\d\d)\d+", r"\1"),
        (r' id="([\w.-]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else ""),
        (r'(?:xlink:)?href="#', f'href="#{name}-'),
        (r"url\(#", f"url(#{name}-"),
        (r"<!--.*?-->| (?=<)", ""),
    ):
        text = re.sub(pattern, replacement, text)
    return f'<svg class="plot" role="img" {box} aria-label={quoteattr(description)}>{text}</svg>'
