"""How figures look, and how they become files; matplotlib is imported on use."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from define.errors import InputError
from define.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito's colours, safe for colour-blind readers; their yellow is too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
GRID_COLOUR = "#dddddd"
WIDTH = 6.4
"""Inches of a figure that stands alone."""
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


@contextmanager
def new_figure(width: float, height: float) -> Iterator["Figure"]:
    """An empty figure of so many inches, to be drawn in this style while inside."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def look(index: int) -> dict[str, Any]:
    """Colour, dashes and mark of the series with that number."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
        "markeredgecolor": "white",
        "linewidth": 1.6,
    }


def bars(
    mean: Sequence[float], low: Sequence[float], high: Sequence[float]
) -> list[list[float]] | None:
    """How far error bars reach from each mean, down and up; None where none reaches anywhere."""
    below = [m - end for m, end in zip(mean, low, strict=True)]
    above = [end - m for m, end in zip(mean, high, strict=True)]
    return [below, above] if any(below) or any(above) else None


def rule(axes: "Axes", axis: str) -> None:
    """Draws pale lines behind what is drawn, at the ticks of "x", "y" or "both"."""
    axes.grid(axis=axis, color=GRID_COLOUR, linewidth=0.6)
    axes.set_axisbelow(True)


def scale_axis(axis: "Axis", lowest: float, highest: float) -> None:
    """Makes the axis logarithmic, with plain numbers at its ticks, if its values range widely."""
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
    import matplotlib

    path = Path(path)
    # matplotlib would otherwise write the time and its own version into the file.
    metadata = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}
    if path.suffix not in metadata:
        raise InputError(f"{str(path)!r} is no plot file; let the name end in .png or .svg")
    content = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(content, format=path.suffix[1:], dpi=150, metadata=metadata[path.suffix])
    with atomic_write(path, "wb") as stream:
        stream.write(content.getvalue())


_SERIES = {colour.lower(): f"var(--series-{n})" for n, colour in enumerate(COLOURS[:-1], start=1)}
_PAGE_COLOURS = {
    **_SERIES,
    "#000000": "currentColor",
    "#ffffff": "var(--surface)",
    GRID_COLOUR: "var(--rule)",
}
"""Colour of a figure -> what stands for it on a page, which has a light and a dark palette."""
_NAMESPACE = re.compile(r"\{.*\}")
_REFERENCE = re.compile(r"#([\w.-]+)(?=\)|$)")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_DRAWN = ("clip-path", "d", "fill", "height", "href", "id", "points", "style", "transform")
_KEPT = frozenset((*_DRAWN, "width", "x", "y"))


def inline_svg(figure: "Figure", name: str, description: str) -> str:
    """The figure as an <svg> element to stand in a page, as wide as its box.

    Text stays text, in the page's font; text and axes have the page's text colour, the background
    none. The page sets the custom properties --series-1 to --series-6, --surface and --rule.
    Equal figures give equal text.

    Args:
        name: unique in the page, a word; the figure's identifiers begin with it.
        description: what a reader who cannot see the figure is told.
    """
    import matplotlib

    content = io.BytesIO()
    with matplotlib.rc_context({**STYLE, "svg.fonttype": "none"}):
        figure.savefig(
            content, format="svg", metadata={"Date": None, "Creator": None}, transparent=True
        )
    root = ElementTree.fromstring(content.getvalue())
    *_, width, height = root.attrib["viewBox"].split()
    for parent in list(root.iter()):
        for child in list(parent):
            # A <style> inside would hold for the whole page.
            if _NAMESPACE.sub("", child.tag) in ("metadata", "style"):
                parent.remove(child)
    referred = {found for node in root.iter() for found in _references(node)}
    for node in root.iter():
        node.tag = _NAMESPACE.sub("", node.tag)
        node.text, node.tail = (node.text or "").strip() or None, None
        attributes = {_NAMESPACE.sub("", key): value for key, value in node.attrib.items()}
        if attributes.get("id") not in referred:
            attributes.pop("id", None)
        node.attrib.clear()
        for key, value in attributes.items():
            if key in _KEPT:
                node.set(key, f"{name}-{value}" if key == "id" else _for_page(key, value, name))
    _drop_empty(root)
    root.attrib.clear()
    root.attrib.update(
        {"class": "plot", "role": "img", "viewBox": f"0 0 {width} {height}"}
        | {"aria-label": description}
    )
    return ElementTree.tostring(root, encoding="unicode")


def _references(node: ElementTree.Element) -> list[str]:
    """The identifiers that the node's attributes refer to."""
    values = (value for key, value in node.attrib.items() if key != "style")
    return [found for value in values for found in _REFERENCE.findall(value)]


def _for_page(key: str, value: str, name: str) -> str:
    if key == "style":
        declarations = dict(part.split(": ", 1) for part in value.split("; ") if ": " in part)
        declarations.pop("font-family", None)
        return "; ".join(
            f"{property}: {_PAGE_COLOURS.get(text, text)}"
            for property, text in declarations.items()
        )
    if key in ("href", "clip-path"):
        return _REFERENCE.sub(rf"#{name}-\1", value)
    return " ".join(_LONG_NUMBER.sub(lambda number: f"{float(number[0]):.2f}", value).split())


def _drop_empty(node: ElementTree.Element) -> None:
    for child in list(node):
        _drop_empty(child)
        if child.tag in ("g", "defs") and not len(child):
            node.remove(child)
