"""scripts/steps.sh: one measured step of every row of a table."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from define.results import steps

ROOT = Path(__file__).parents[1]


def script(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [ROOT / "scripts" / "steps.sh", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "DEFINE_VENV": sys.prefix, **environment},
    )


@pytest.mark.parametrize("arguments", [(), ("--streams", "4"), ("table_9",)])
def test_without_a_known_table_it_explains_itself(arguments):
    done = script(*arguments)
    assert done.returncode == 2
    assert "table_9" in done.stderr or "usage:" in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_every_row_is_measured_and_a_failing_one_stops_no_other(tmp_path):
    short = ["--streams", "1", "--updates", "1", "--warm-up", "0", "task.bptt=2", "common.cpu=true"]
    # Only the rows with DeFINE read the key: their table has 128 dimensions.
    done = script("table_1c", *short, "model.expand_dim=100", DEFINE_REPORTS=str(tmp_path))
    assert done.returncode == 2
    assert "k = 100" in done.stderr
    rows = {"awd_lstm", "awd_lstm_linear", "awd_lstm_wide", "awd_lstm_mlp"}
    written = {path.stem for path in (tmp_path / "table_1c" / "steps").glob("*.json")}
    assert written == rows
    for row in rows:
        record = steps.read(tmp_path / "table_1c" / "steps" / f"{row}.json")
        assert (record.row, record.streams, record.paper_streams) == (row, 1, 20)
