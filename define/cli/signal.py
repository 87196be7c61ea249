"""`define params --signal`: what input layers pass on before training, and the first step."""

from typing import Any

from define.analysis import published
from define.analysis.compare import label as row_label
from define.report.grid import Cell, Grid, num, text

NOTES = (
    "grad: norm of the gradient at e_i for one of norm 1 at e_o. cos: mean cosine between e_o of "
    "two tokens. rank: effective rank of e_o. group: the fewest features of a group. skip: the "
    "smallest share of e_i in the variance of a layer's pre-activations.",
    "e_i, layers, e_o: root mean square. First step: norm of the update over norm of the part's "
    "weights, in percent, at the schedule's highest rate, with clipping, on a small generated "
    "batch.",
    "Limits: at least 8 features in a group, a skip of at least 1 %, a first step of at most 5 %.",
)
NO_REASON = "No reason for this is on record."
IDENTITY = ("table", "row", "label", "kind")
Rows = list[dict[str, Any]]


def of_tables(tables: dict[str, Rows], scale: str) -> dict[str, Rows]:
    """The rows that can be built, with their "scale" and "signal"; counts at paper scale only.

    Args:
        tables: table -> its rows as `define.cli.params.count` has them.
    Raises:
        InputError: a config that training would refuse.
    """
    from define.train.counting import experiments

    measured: dict[tuple[str, str], dict[str, Any]] = {}  # several rows may show one run
    found = {}
    for table, rows in tables.items():
        found[table], own = [], experiments(table)
        for row in rows:
            if row["row"] in own:
                words = [f"experiment={own[row['row']]}", f"scale={scale}"]
                signal = _of_config(words, measured)["signal"]
                kept = row if scale == "paper" else {key: row[key] for key in IDENTITY}
                found[table].append({**kept, "scale": scale, "signal": signal})
    return found


def of_overrides(overrides: list[str]) -> tuple[Rows, list[Grid]]:
    """The signal of one config: its row, and tables of its figures, layers and parts."""
    row = _of_config(overrides, {})
    name, signal = f"{row['row']}, scale {row['scale']}", row["signal"]
    shares = dict(signal["skip_shares"])
    if "output" in shares:
        shares["e_o"] = shares.pop("output")
    layers = [
        [layer, num(size, ".3f"), _percent(shares.get(layer))]
        for layer, size in signal["sizes"].items()
    ]
    largest = {part: step or {} for part, step in signal["largest_step"].items()}
    parts = [
        [part, _percent(step), largest[part].get("name"), _percent(largest[part].get("step"))]
        for part, step in signal["first_step"].items()
    ]
    notes = [f"{remark['breach']}. {remark['reason']}" for remark in signal["remarks"]]
    return [row], [
        _figures(f"{name}: signal", {name: signal}, notes),
        Grid("By layer", ["layer", "size", "e_i's share %"], layers),
        Grid("First step by part", ["part", "step %", "largest matrix", "its step %"], parts),
    ]


def _of_config(overrides: list[str], measured: dict[tuple[str, str], Any]) -> dict[str, Any]:
    """A config's "table", "row", "scale" and "signal", with the "remarks" on limits in it."""
    from define.bench.signal import measure, remarks
    from define.train.compose import compose

    config = compose(overrides)
    table, row, scale = config.run.table, config.run.row, config.run.scale
    if (table, row) not in measured:
        signal = measure(config)
        found = remarks(f"table_{table}/{row}", scale, signal)
        measured[table, row] = signal | {
            "remarks": [remark | {"reason": remark["reason"] or NO_REASON} for remark in found]
        }
    return {"table": table, "row": row, "scale": scale, "signal": measured[table, row]}


def grid(table: str, rows: Rows) -> Grid:
    """The figures of a table's rows, one line each."""
    labels = [row_label(row["label"], row["kind"]) for row in rows]
    beyond: dict[tuple[str, str], list[str]] = {}
    for label, row in zip(labels, rows, strict=True):
        for remark in row["signal"]["remarks"]:
            beyond.setdefault((remark["rule"], remark["reason"]), []).append(label)
    notes = [
        f"Beyond the limit of {rule}: {', '.join(own)}. {reason}"
        for (rule, reason), own in beyond.items()
    ]
    title = f"Table {table}, {published.caption(table)}: signal at scale {rows[0]['scale']}"
    signals = dict(zip(labels, (row["signal"] for row in rows), strict=True))
    return _figures(title, signals, notes)


def _figures(title: str, signals: dict[str, dict[str, Any]], notes: list[str]) -> Grid:
    header = ["row", "\ngroup", "\nskip %", "\ngrad", "\ncos", "\nrank", "size\ne_i", "\nlayers"]
    first, *others = next(iter(signals.values()))["first_step"]
    header += ["\ne_o", f"first step %\n{first}", *(f"\n{part}" for part in others)]
    rows = [[row, *_cells(signal)] for row, signal in signals.items()]
    return Grid(title, header, rows, [*NOTES, *notes])


def _cells(signal: dict[str, Any]) -> list[Cell]:
    e_i, *layers, e_o = signal["sizes"].values()
    span = dict.fromkeys(text(num(size)) for size in (min(layers), max(layers))) if layers else ()
    return [
        signal["min_group_features"],
        _percent(signal["skip_share"]),
        *(num(signal["grad_e_i"]), num(signal["cosine"]), num(signal["effective_rank"], ".0f")),
        *(num(e_i, ".3f"), "-".join(span) or None, num(e_o, ".3f")),
        *map(_percent, signal["first_step"].values()),
    ]


def _percent(share: float | None) -> Cell:
    return num(None if share is None else 100 * share)
