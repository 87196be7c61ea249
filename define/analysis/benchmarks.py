"""Records of `define bench`: medians, spreads and ratios, as tables, curves and a page."""

import statistics
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from define.analysis import published
from define.errors import InputError
from define.report import origins
from define.report.grid import Grid, markdown
from define.report.readme import image, notes, shown_path, write
from define.report.render import ABSENT, number
from define.report.style import WIDTH, look, new_figure, rule, scale_axis
from define.runs import schema
from define.runs.schema import Nullable, check_shape, require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = 1
BUSY = 0.5
"""A machine is busy where it has a larger load average than this, beside the measurement's own."""

_SHAPE = {
    "schema": int,
    "quick": bool,
    "clock": str,
    "cores": int,
    "allocator": str,
    "load_average": {"start": [float], "end": [float]},
    "busy": Nullable(str),
    "groups": [
        {
            "part": str,
            "title": str,
            "unit": str,
            "axis": Nullable(str),
            "table": Nullable(str),
            "scale": Nullable(str),
            "tokens": schema.MapOf(int),
            "values": schema.MapOf([float]),
        }
    ],
    "provenance": {**schema.ORIGIN, "data": {"name": str, "types": int}},
}
"""load_average: over 1, 5 and 15 minutes. groups: cases that were measured in turn, with every raw
value; axis is what the names of the cases are numbers of, tokens what a call of a case scores."""


def read(path: str | Path) -> dict[str, Any]:
    """Reads and validates one record.

    Raises:
        InputError: the file cannot be read, is not JSON, or breaks a rule; names file and field.
    """
    return schema.read_checked(Path(path), "record of define bench", _check, "measure again")


def _check(value: Any) -> None:
    check_shape(value, _SHAPE)
    schema.check_names(value, SCHEMA, "clock", "allocator")
    for index, group in enumerate(value["groups"]):
        field, lengths = f"groups[{index}].values", set(map(len, group["values"].values()))
        require(
            len(lengths) == 1 and 0 not in lengths, field, "has not as many values of each case"
        )
        positive = all(min(values) > 0 for values in group["values"].values())
        require(positive, field, "holds 0: everything takes time and memory")


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile, by linear interpolation of the sorted values."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def ratios(values: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Each value over the reference's of the same round."""
    return [value / base for value, base in zip(values, reference, strict=True)]


def busy(load: Mapping[str, Sequence[float]], threads: int) -> str | None:
    """A sentence if a load average was above the bound; at the end, `threads` are our own."""
    before, after = load["start"][0], load["end"][0]
    if before <= BUSY and after <= threads + BUSY:
        return None
    return (
        f"The machine was busy: its load average was {before:.2f} at the start (bound {BUSY}) and "
        f"{after:.2f} at the end (bound {threads + BUSY}). Do not rely on the times."
    )


def grids(record: Mapping[str, Any]) -> list[Grid]:
    """A table for each group; all say so where the machine was busy."""
    return [_grid(group, record["busy"]) for group in record["groups"]]


def _grid(group: Mapping[str, Any], warning: str | None = None) -> Grid:
    unit, tokens, (reference, *_) = group["unit"], group["tokens"], group["values"].values()
    labels = published.our_labels(group["table"]) if group["table"] else {}
    at_paper_size = group["scale"] == "paper" and unit == "ms"
    paper = published.ms_per_batch(group["table"]) if at_paper_size else {}
    lines = []
    for case, values in group["values"].items():
        middle = quartiles(values)[1]
        of = quartiles(ratios(values, reference))
        lines.append(
            [
                labels.get(case, case),
                f"{middle:,.2f}",
                _spread(quartiles(values)),
                number(of[1], 3),
                ABSENT if values is reference else _spread(of, 3),
                *([f"{1000 * tokens[case] / middle:,.0f}"] if tokens else []),
                *([number(paper.get(case), 0)] if paper else []),
            ]
        )
    header = ["case", f"median {unit}", "quartiles", "ratio", "ratio's quartiles"]
    header += [*(["tokens/s"] if tokens else []), *(["ms paper"] if paper else [])]
    return Grid(f"{group['part']}: {group['title']}", header, lines, [warning] if warning else [])


def _spread(of: tuple[float, float, float], digits: int = 2) -> str:
    return f"{of[0]:,.{digits}f} to {of[2]:,.{digits}f}"


def curve_figure(group: Mapping[str, Any]) -> "Figure":
    """The medians of a group by its axis, with a band between the quartiles."""
    at = [float(case) for case in group["values"]]
    low, middle, high = zip(*map(quartiles, group["values"].values()), strict=True)
    with new_figure(WIDTH, 3.2) as figure:
        axes = figure.subplots()
        axes.plot(at, middle, **look(0))
        axes.fill_between(at, low, high, color=look(0)["color"], alpha=0.18, linewidth=0)
        axes.set_title(group["title"])
        axes.set_xlabel(group["axis"])
        axes.set_ylabel(group["unit"])
        rule(axes, "both")
        scale_axis(axes.xaxis, min(at), max(at))
        scale_axis(axes.yaxis, min(low), max(high))
    return figure


def write_page(folder: str | Path) -> Path:
    """Writes README.md and the curves, as PNG and SVG, from the records in the folder.

    A `notes.md` in it is included as it is. Equal records give equal files.

    Raises:
        InputError: no record there, or a malformed one.
    """
    folder = Path(folder)
    records = {path: read(path) for path in sorted(folder.glob("*.json"))}
    if not records:
        raise InputError(
            f"there is no record in {folder}; write one with `define bench --output "
            f"{folder / 'record.json'}`"
        )
    blocks = [
        "# Performance",
        f"Generated from the records by `define bench --report {shown_path(folder)}`. Do not edit "
        "this file: numbers come from the records in this folder, prose from `notes.md`.",
        *notes(folder),
        "Cases of one table were measured in turn, A B A B. The ratio is to the table's first "
        "case, round by round: the median of the rounds and their quartiles.",
    ]
    for path, record in records.items():
        blocks += [f"## {path.stem}", "\n".join(f"* {fact}" for fact in _facts(record))]
        blocks += [f"**{record['busy']}**"] if record["busy"] else []
        for part, of in groupby(record["groups"], key=lambda group: group["part"]):
            blocks.append(f"### {part}")
            for group in of:
                blocks += [group["title"], markdown(_grid(group))]
                if group["axis"]:
                    stem = f"{path.stem}_{part}_{group['axis']}"
                    blocks.append(image(curve_figure(group), folder, stem, group["title"]))
    write(folder / "README.md", "\n\n".join(block.strip("\n") for block in blocks) + "\n")
    return folder / "README.md"


def _facts(record: Mapping[str, Any]) -> list[str]:
    load, origin = record["load_average"], record["provenance"]
    return [
        f"command: `{origin['command']}`",
        *origins.facts([origin]),
        f"cores: {record['cores']}; allocator: {record['allocator']}; clock: {record['clock']}",
        f"load average: {load['start'][0]:.2f} at the start, {load['end'][0]:.2f} at the end",
        f"text: {origin['data']['name']}, {origin['data']['types']:,} types",
    ]
