"""Records of `define bench` as grids, curves and a page."""

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from define.analysis import published
from define.analysis.environment import environment
from define.analysis.stats import quartiles, ratios
from define.errors import InputError
from define.report import figures
from define.report.grid import Grid, Number, markdown, num
from define.report.readme import image, notes, shown_path, write
from define.runs.benchmarks import read


def grids(record: Mapping[str, Any]) -> list[Grid]:
    """A table for each group, with a note if the machine was busy."""
    notes = [record["busy"]] if record["busy"] else []
    return [_grid(group, notes) for group in record["groups"]]


def _grid(group: Mapping[str, Any], notes: list[str]) -> Grid:
    unit, tokens, (reference, *_) = group["unit"], group["tokens"], group["values"].values()
    labels = published.our_labels(group["table"]) if group["table"] else {}
    at_paper_size = group["scale"] == "paper" and unit == "ms"
    paper = published.ms_per_batch(group["table"]) if at_paper_size else {}
    lines = []
    for case, values in group["values"].items():
        low, middle, high = quartiles(values)
        below, ratio, above = quartiles(ratios(values, reference))
        spread = None if values is reference else f"{below:,.3f} to {above:,.3f}"
        line = [labels.get(case, case), Number(middle, ",.2f"), f"{low:,.2f} to {high:,.2f}"]
        line += [Number(ratio, ".3f"), spread]
        line += [Number(1000 * tokens[case] / middle, ",.0f")] if tokens else []
        lines.append(line + ([num(paper.get(case), ".0f")] if paper else []))
    header = ["case", f"median {unit}", "quartiles", "ratio", "ratio's quartiles"]
    header += [*(["tokens/s"] if tokens else []), *(["ms paper"] if paper else [])]
    return Grid(f"{group['part']}: {group['title']}", header, lines, notes)


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
        for part, groups in groupby(record["groups"], key=lambda group: group["part"]):
            blocks.append(f"### {part}")
            for group in groups:
                blocks += [group["title"], markdown(_grid(group, []))]
                if group["axis"]:
                    stem = f"{path.stem}_{part}_{group['axis']}"
                    values = {float(at): quartiles(of) for at, of in group["values"].items()}
                    figure = figures.band(group["title"], group["axis"], group["unit"], values)
                    blocks.append(image(figure, folder, stem, group["title"]))
    write(folder / "README.md", "\n\n".join(block.strip("\n") for block in blocks) + "\n")
    return folder / "README.md"


def _facts(record: Mapping[str, Any]) -> list[str]:
    load, origin = record["load_average"], record["provenance"]
    return [
        f"command: `{origin['command']}`",
        *environment([origin]).facts(),
        f"cores: {record['cores']}; allocator: {record['allocator']}; clock: {record['clock']}",
        f"load average: {load['start'][0]:.2f} at the start, {load['end'][0]:.2f} at the end",
        f"text: {origin['data']['name']}, {origin['data']['types']:,} types",
    ]
