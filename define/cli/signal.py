"""`define params --signal`: what input layers pass on before training, and the first step."""

from typing import Any

from define.analysis import published
from define.analysis.compare import label as row_label
from define.report.grid import ABSENT, Grid, number

NOTES = (
    "grad: norm of the gradient at e_i for one of norm 1 at e_o. cos: mean cosine between e_o of "
    "two tokens. rank: effective rank of e_o. group: the fewest features of a group. skip: the "
    "smallest share of e_i in the variance of a layer's pre-activations.",
    "e_i, layers, e_o: root mean square. First step: norm of the update over norm of the part's "
    "weights, in percent, at the schedule's highest rate, with clipping, on a small generated "
    "batch.",
    "Limits: at least 8 features in a group, a skip of at least 1 %, a first step of at most 5 %.",
)


def table_rows(table: str, scale: str, measured: dict[tuple, dict[str, Any]]) -> dict[str, Any]:
    """Row -> the signal of its config at a scale, of the rows that can be built.

    Args:
        measured: what was measured before; filled here, since several rows may show one run.
    Raises:
        InputError: a config that training would refuse.
    """
    from define.train.compose import compose
    from define.train.counting import experiments

    found = {}
    for row, experiment in experiments(table).items():
        config = compose([f"experiment={experiment}", f"scale={scale}"])
        run = config.run.table, config.run.row
        if run not in measured:
            measured[run] = of_config(config)
        found[row] = measured[run]
    return found


def of_config(config) -> dict[str, Any]:
    """The fields of `define.bench.signal.measure`, and "remarks": the limits that they break."""
    from define.bench.signal import measure, remarks

    experiment, scale = f"table_{config.run.table}/{config.run.row}", config.run.scale
    signal = measure(config)
    return signal | {"remarks": remarks(experiment, scale, signal)}


def table_grid(table: str, scale: str, rows: list[dict[str, Any]]) -> Grid:
    """The figures of a table's rows, one line each."""
    labels = {row["row"]: row_label(row["label"], row["kind"]) for row in rows}
    beyond: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for remark in row["signal"]["remarks"]:
            beyond.setdefault((remark["rule"], remark["reason"]), []).append(labels[row["row"]])
    notes = [
        f"Beyond the limit of {rule}: {', '.join(own)}. {reason}"
        for (rule, reason), own in beyond.items()
    ]
    return _figures(
        f"Table {table}, {published.caption(table)}: signal at scale {scale}",
        {labels[row["row"]]: row["signal"] for row in rows},
        [*NOTES, *notes],
    )


def config_grids(name: str, signal: dict[str, Any]) -> list[Grid]:
    """The figures of one config, then those of each layer and each part."""
    layers = [
        [layer, number(size, 3), _percent(signal["skip_shares"].get(layer))]
        for layer, size in signal["sizes"].items()
    ]
    if "output" in signal["skip_shares"]:
        layers[-1][-1] = _percent(signal["skip_shares"]["output"])
    parts = [
        [part, _percent(step), *_largest(signal["largest_step"][part])]
        for part, step in signal["first_step"].items()
    ]
    notes = [f"{remark['breach']}. {remark['reason']}" for remark in signal["remarks"]]
    return [
        _figures(f"{name}: signal", {name: signal}, [*NOTES, *notes]),
        Grid("By layer", ["layer", "size", "e_i's share %"], layers),
        Grid("First step by part", ["part", "step %", "largest matrix", "its step %"], parts),
    ]


def _figures(title: str, signals: dict[str, dict[str, Any]], notes: list[str]) -> Grid:
    header = ["row", "\ngroup", "\nskip %", "\ngrad", "\ncos", "\nrank", "size\ne_i", "\nlayers"]
    first, *others = next(iter(signals.values()))["first_step"]
    header += ["\ne_o", f"first step %\n{first}", *(f"\n{part}" for part in others)]
    return Grid(title, header, [[row, *_cells(signal)] for row, signal in signals.items()], notes)


def _cells(signal: dict[str, Any]) -> list[str]:
    sizes = dict(signal["sizes"])
    ends = number(sizes.pop("e_i"), 3), number(sizes.pop("e_o"), 3)
    layers = [number(size) for size in (min(sizes.values()), max(sizes.values()))] if sizes else []
    features = signal["min_group_features"]
    return [
        ABSENT if features is None else str(features),
        _percent(signal["skip_share"]),
        number(signal["grad_e_i"]),
        number(signal["cosine"]),
        number(signal["effective_rank"], 0),
        ends[0],
        "-".join(dict.fromkeys(layers)) or ABSENT,
        ends[1],
        *map(_percent, signal["first_step"].values()),
    ]


def _percent(share: float | None) -> str:
    return number(None if share is None else 100 * share)


def _largest(step: dict[str, Any] | None) -> list[str]:
    return [ABSENT, ABSENT] if step is None else [step["name"], _percent(step["step"])]
