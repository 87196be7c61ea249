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
    names, values = re.search(r"Parameters *\n(.*)\n(.*)\n", output).groups()
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
