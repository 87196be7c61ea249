"""How figures look, and how they become files; matplotlib is imported on use."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from define.errors import InputError
from define.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito's colours, safe for colour-blind readers; their yellow is too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
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
