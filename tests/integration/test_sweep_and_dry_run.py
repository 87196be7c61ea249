"""`define train -m` and `define train --dry-run`."""

import json
import os
import re
import signal
import time

import pytest
from omegaconf import OmegaConf

from define.cli import train as cli_train
from define.cli.main import main
from define.cli.train import jobs
from define.errors import InputError
from define.launch.compose import compose
from define.launch.dry_run import cost, products


def test_jobs_are_all_combinations_in_order():
    assert jobs(["a=1,2", "seed=range(1,3)", "c=x"]) == [
        ["a=1", "seed=1", "c=x"],
        ["a=1", "seed=2", "c=x"],
        ["a=2", "seed=1", "c=x"],
        ["a=2", "seed=2", "c=x"],
    ]
    assert jobs([]) == [[]]
    with pytest.raises(InputError, match="override"):
        jobs(["a=[1,"])


def test_every_job_has_a_process_and_failures_do_not_stop_the_sweep(spawn_train, workplace):
    process = spawn_train("-m", "optimization.max_epoch=1", "seed=-1,7")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    lines = output.splitlines()
    assert [line[:5] for line in lines if re.match(r"\[\d/\d\]", line)] == ["[1/2]", "[2/2]"]
    refused = "define: seed = -1 must be at least 0 and threads = 1 at least 1"
    assert lines.index(refused) < lines.index(next(li for li in lines if li.startswith("[2/2]")))
    assert lines[-1].startswith("define: failed with exit code 2: ")
    assert "seed=-1" in lines[-1]
    (record,) = (workplace / "runs").rglob("record.json")
    assert record.parent.name == "seed_7"
    assert json.loads(record.read_text(encoding="utf-8"))["status"] == "finished"


def test_a_sweep_starts_processes_and_reports_their_worst_code(monkeypatch, capsys):
    started, codes = [], iter([0, 1, 130])

    def call(command):
        started.append((os.getpid(), command))
        return next(codes)

    monkeypatch.setattr(cli_train, "_run_job", call)
    assert main(["train", "-m", "--quiet", "--dry-run", "seed=1,2,3", "threads=1"]) == 130
    flags = ["-m", "define", "train", "--dry-run", "--quiet"]
    assert [command[1:] for _, command in started] == [
        [*flags, f"seed={seed}", "threads=1"] for seed in (1, 2, 3)
    ]
    failed = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in failed] == [
        " failed with exit code 1",
        " failed with exit code 130",
    ]


def test_an_interrupted_sweep_lets_its_job_leave_a_whole_record(spawn_train, workplace):
    process = spawn_train("-m", "seed=1,2", "optimization.max_epoch=500")
    path, deadline = None, time.monotonic() + 60
    while time.monotonic() < deadline:
        path = next((workplace / "runs").rglob("record.json"), None)
        if path is not None and json.loads(path.read_text(encoding="utf-8"))["epochs"]:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "[2/2]" not in output
    assert json.loads(path.read_text(encoding="utf-8"))["status"] == "interrupted"


@pytest.mark.parametrize(
    ("experiment", "counts"),
    [
        ("awd_lstm", {"define": "0", "total": "24,221,600"}),
        ("awd_lstm_define", {"total": "20,920,224"}),
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
