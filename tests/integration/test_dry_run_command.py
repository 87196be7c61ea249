"""`define train --dry-run`, and what `define train -m` prints without training."""

import re

import pytest
from omegaconf import OmegaConf

from define.cli.main import main
from define.train.compose import compose
from define.train.dry_run import cost, products


@pytest.mark.parametrize(
    ("experiment", "counts"),
    [
        ("awd_lstm", {"define": "0", "total": "24,221,600"}),
        ("awd_lstm_define", {"total": "21,354,526"}),
    ],
)
def test_dry_run_at_the_paper_s_scale(experiment, counts, workplace, capsys):
    overrides = [f"experiment=table_1c/{experiment}", "scale=paper"]
    assert main(["train", *overrides, "--dry-run"]) == 0
    output = capsys.readouterr().out
    names, values = re.search(r"Parameters, 10,000 types *\n(.*)\n(.*)\n", output).groups()
    shown = dict(zip(names.split(), values.split(), strict=True))
    assert {part: shown[part] for part in counts} == counts
    parts = [int(shown[part].replace(",", "")) for part in ("define", "context", "io")]
    assert f"{sum(parts):,}" == shown["total"]
    for text in ("hidden_dim: 1150", "nonmono: 5", "- 30.0", "epochs", "floating-point operations"):
        assert text in output
    assert "Nothing was trained" in output

    folder = workplace / "runs" / "table_1c" / experiment / "paper" / "ptb" / "seed_141"
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "fairseq.yaml"]
    written = OmegaConf.load(folder / "config.yaml")
    assert written == OmegaConf.to_container(compose(overrides), enum_to_str=True)
    assert str(folder / "fairseq.yaml") in output.replace("\n", "")
    assert f"--config-dir {folder} --config-name fairseq" in output.replace("\n", "")


def test_corpora_of_a_sweep_are_named_once_and_nothing_is_trained(workplace, capsys):
    rows = "table_1c/awd_lstm,table_1c/awd_lstm_define"
    assert main(["train", "-m", "--corpora", f"experiment={rows}", "data=ptb,python_docs"]) == 0
    assert capsys.readouterr().out == "ptb\npython_docs\n"
    assert main(["train", "--corpora", "experiment=table_1c/awd_lstm", "scale=smoke"]) == 0
    assert capsys.readouterr().out == "python_docs\n"
    assert main(["train", "-m", "--corpora", f"experiment={rows}", "scale=vast"]) == 2
    assert list(workplace.iterdir()) == []


def products_of(experiment: str, num_types: int, *overrides: str) -> dict[str, int]:
    return products(compose([f"experiment={experiment}", "scale=paper", *overrides]), num_types)


def lstm_products(*widths: int) -> int:
    """Of LSTM layers between these widths."""
    return sum(4 * (n + m) * m for n, m in zip(widths, widths[1:], strict=False))


def test_products_of_a_standard_softmax_are_a_look_up_and_a_product():
    context = lstm_products(400, 1150, 1150, 400)
    assert products_of("table_1c/awd_lstm", 10_000) == {"weights": context + 10_000 * 400}
    untied = products_of("table_1c/awd_lstm", 10_000, "model.tie_tables=false")
    assert untied == {"weights": context + 10_000 * 400}


def test_products_of_an_adaptive_softmax_have_its_projections_at_both_ends():
    types, context = 267_735, lstm_products(256, 1024, 1024, 1024, 256)
    tables = 20_000 * 256 + 20_000 * 64 + 160_000 * 16 + (types - 200_000) * 4
    projections = 256 * (64 + 16 + 4)
    weights = context + tables + 3 * 256 + 2 * projections
    assert products_of("table_1a/lstm_r2", types) == {"weights": weights}


def test_products_of_transformer_xl_have_the_attention_over_memory_and_segment():
    types, memory, segment, d, heads = 267_735, 100, 150, 384, 10 * 41
    overrides = [f"model.memory_length={memory}", "model.layers=3"]
    found = products_of("table_2/txl_64", types, *overrides)
    assert found["attention"] == 3 * (
        3 * (memory + segment) * heads + 2 * d * heads * memory // segment
    )
    layer = 5 * d * heads + 2 * d * 1920
    biases = 2 * heads
    io = types * 64 + 3 * 64 + 2 * 4 * 64 * d
    assert found["weights"] == 3 * layer + biases + io


def test_cost_is_six_operations_per_product_and_token():
    config = compose(["experiment=table_2/txl_64", "scale=paper"])
    per_token = sum(products(config, 267_735).values())
    budget = cost(config, 267_735)
    assert budget["tokens per update"] == "9,000 (60 streams x 150)"
    assert budget["updates"] == "200,000"
    tokens = 200_000 * 9_000
    assert budget["tokens"] == f"{tokens:,}"
    assert budget["floating-point operations"] == f"at most {6 * per_token * tokens:.2e}"
    config = compose(["experiment=table_1a/lstm_r2", "scale=paper"])
    budget = cost(config, 267_735)
    assert budget["tokens per update"] == "about 8,400 (60 streams x 140)"
    assert budget["tokens"] == f"{config.optimization.max_epoch * 103_227_021:,}"
