#!/usr/bin/env python
"""Writes the generated parts of README.md: the picture of the unit and the table of results.

The picture is drawn from the composed config of a row, the table from experiments/*/results.json.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon, Rectangle

from define.core.registry import MODELS, config_from
from define.core.unit import UnitConfig
from define.files import atomic_write
from define.train.compose import compose

ROOT = Path(__file__).resolve().parents[1]
ROW = "table_1a/lstm_r3"
PICTURE = Path("docs/images/unit.svg")
BEGIN, END = "<!-- results: begin -->\n", "<!-- results: end -->\n"
EMBEDDING, HIDDEN, LINE = "#e8935b", "#5b8fc4", "#666666"


def unit_config(row: str) -> UnitConfig:
    """The unit of a row at scale paper."""
    model = compose([f"experiment={row}", "scale=paper"]).model
    return config_from(MODELS[model["_name"]][0], model).unit_config()


def draw_unit(config: UnitConfig) -> Figure:
    """Each layer's input, split into its groups, and its output; heights are widths."""
    layers = config.layer_shapes()
    if config.reduce:
        layers.append(config.reduce_shape())
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 8}):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.axis("off")
        _bar(axes, 0, [(config.n, EMBEDDING)])
        axes.text(0.15, -config.n / 2 - 40, f"$e_i$\nn = {config.n}", ha="center", va="top")
        x, width, e_i_right = 0.3, config.n, 0.3
        if config.released:
            _maps(axes, x, 1.0, [(config.n, config.mixed_dim)])
            _bar(axes, 1.0, [(config.mixed_dim, EMBEDDING)])
            bottom = -config.mixed_dim / 2 - 40
            axes.text(1.15, bottom, f"projected\n$e_i$: {config.mixed_dim}", ha="center", va="top")
            x, width, e_i_right = 1.3, config.mixed_dim, 1.3
        top = max(max(n_in, n_out) for n_in, n_out, _ in layers) / 2 + 90
        for number, (n_in, n_out, groups) in enumerate(layers, start=1):
            skip = n_in - width
            last = config.reduce and number == len(layers)
            left = x + 0.5
            chunk = [(width // groups, EMBEDDING if number == 1 else HIDDEN)]
            if skip:
                chunk.insert(0, (skip // groups, EMBEDDING))
                path = [(e_i_right - 0.15, config.mixed_dim / 2 + 8), (left + 0.15, n_in / 2 + 8)]
                axes.plot([path[0][0]] * 2 + [path[1][0]], [path[0][1], top, top], color=EMBEDDING)
                axes.add_patch(_arrow((path[1][0], top), path[1], EMBEDDING))
            axes.add_patch(_arrow((x + 0.05, 0), (left - 0.05, 0), LINE))
            _bar(axes, left, chunk * groups, groups)
            _maps(axes, left + 0.3, left + 1.1, [(n_in // groups, n_out // groups)] * groups)
            _bar(axes, left + 1.1, [(n_out // groups, HIDDEN)] * groups, groups)
            label = "output layer" if last else f"layer {number}"
            text = f"{label}\n{n_in} → {n_out}\n{groups} group{'s' if groups > 1 else ''}"
            axes.text(left + 0.7, -max(n_in, n_out) / 2 - 40, text, ha="center", va="top")
            x, width = left + 1.4, n_out
        axes.text(x + 0.1, 0, f"$e_o$\nm = {config.output_dim}", va="center")
        if config.skip_dim:
            axes.text((x + 1.3) / 2, top + 20, "skip connection from $e_i$", ha="center")
        axes.set_xlim(-0.1, x + 0.9)
        axes.set_ylim(-top - 150, top + 90)
    return figure


def _bar(axes: Axes, left: float, parts: list[tuple[int, str]], groups: int = 1) -> None:
    """A vector, centred on 0, with its parts from top to bottom and gaps between groups."""
    total = sum(size for size, _ in parts)
    y, per_group = total / 2, len(parts) // groups
    for index, (size, colour) in enumerate(parts):
        y -= size
        axes.add_patch(Rectangle((left, y), 0.3, size, facecolor=colour, edgecolor="none"))
        if (index + 1) % per_group == 0 and index + 1 < len(parts):
            axes.plot([left - 0.04, left + 0.34], [y, y], color="white", linewidth=1.5)


def _maps(axes: Axes, left: float, right: float, groups: list[tuple[int, int]]) -> None:
    """The matrices of a layer, one for each group (width in, width out)."""
    y_in, y_out = (sum(group[side] for group in groups) / 2 for side in (0, 1))
    for n_in, n_out in groups:
        corners = [(left, y_in), (right, y_out), (right, y_out - n_out), (left, y_in - n_in)]
        axes.add_patch(Polygon(corners, facecolor="#dddddd", edgecolor="white"))
        y_in, y_out = y_in - n_in, y_out - n_out


def _arrow(start: tuple[float, float], end: tuple[float, float], colour: str) -> FancyArrowPatch:
    return FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=8, color=colour)


def headline(metrics: Mapping[str, object]) -> str:
    """The metric to show: BLEU on the last test set of a translation, else test perplexity."""
    return ([name for name in metrics if name.endswith("_bleu")] or ["test_ppl"])[-1]


def results_table() -> str:
    """The finished rows of every report under experiments/, as Markdown.

    A run that several tables share is listed with the first of them.
    """
    listed: set[tuple[float, int]] = set()
    lines = [
        "| table | row | paper | ours | seeds | scale, corpus |",
        "|---|---|---:|---:|---:|---|",
    ]
    for path in sorted((ROOT / "experiments").glob("table_*/results.json")):
        table = path.parent.relative_to(ROOT).as_posix()
        for row in json.loads(path.read_text(encoding="utf-8")):
            if row["status"] != "finished":
                continue
            ours = row["ours"][headline(row["ours"])]
            if (shown := (ours["mean"], row["parameters"]["total"])) in listed:
                continue
            listed.add(shown)
            half = "" if ours["high"] is None else f" ± {(ours['high'] - ours['low']) / 2:.1f}"
            cells = [
                f"[{row['table']}]({table}/README.md)",
                row["label"] if row["kind"] == "paper" else f"{row['label']} (our control)",
                str(row["published"].get(headline(row["published"]), "–")),
                f"{ours['mean']:.1f}{half}",
                str(len(row["seeds"])),
                f"{row['scale']}, {row['data']}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def with_results(readme: str) -> str:
    """README.md with the current table of results."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + results_table() + END + tail


def write_picture(path: Path) -> None:
    """Draws the unit of `ROW`; the same config gives the same bytes."""
    with matplotlib.rc_context({"svg.hashsalt": "unit", "svg.fonttype": "path"}):
        with atomic_write(path, "wb") as stream:
            draw_unit(unit_config(ROW)).savefig(stream, format="svg", metadata={"Date": None})


def main() -> int:
    write_picture(ROOT / PICTURE)
    readme = ROOT / "README.md"
    text = with_results(readme.read_text(encoding="utf-8"))
    with atomic_write(readme) as stream:
        stream.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
