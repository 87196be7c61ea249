"""scripts/reproduce.sh from nothing to the table, and its dry run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduce")
    return {"DEFINE_DATA": str(folder / "data"), "DEFINE_RUNS": str(folder / "runs")}


def _reproduce(places, *arguments):
    return subprocess.run(
        [ROOT / "scripts" / "reproduce.sh", *arguments],
        env={**os.environ, **places, "DEFINE_VENV": sys.prefix},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_smoke_scale_trains_every_row_once_and_prints_the_table(places):
    first = _reproduce(places, "table_1c", "--scale", "smoke", "--quiet")
    assert first.returncode == 0, first.stderr
    assert "Table 1c, scale smoke, data python_docs: perplexity" in first.stdout
    runs = Path(places["DEFINE_RUNS"])
    paths = sorted(runs.rglob("record.json"))
    experiments = sorted((ROOT / "configs" / "experiment" / "table_1c").glob("*.yaml"))
    assert [path.parts[-5] for path in paths] == [path.stem for path in experiments]
    for path in paths:
        record = json.loads(path.read_text())
        assert record["status"] == "finished"
        assert f"{record['final']['test']['ppl']:.2f}" in first.stdout
    assert (runs / "table_1c" / "validation_smoke.png").stat().st_size > 10_000

    written = {path: path.stat().st_mtime_ns for path in paths}
    second = _reproduce(places, "table_1c", "--scale", "smoke", "--quiet")
    assert second.returncode == 0, second.stderr
    assert {path: path.stat().st_mtime_ns for path in paths} == written


@pytest.mark.slow
def test_paper_scale_dry_run_shows_recipe_and_sizes(places):
    shown = _reproduce(places, "table_1c", "--scale", "paper", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    for text in ("24,221,600", "20,920,224", "seed: 141", "weight_dropout: 0.5", "nonmono: 5"):
        assert text in shown.stdout
    assert not list(Path(places["DEFINE_RUNS"]).rglob("paper/**/record.json"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["table_9"], "there is no table 'table_9'"),
        (["--seeds", "0"], "--seeds is '0'"),
        (["--scale", "huge"], "--scale is 'huge'"),
        (["--scale"], "--scale needs a value"),
        (["--fast"], "'--fast' is neither"),
    ],
)
def test_bad_arguments_are_one_sentence(places, arguments, sentence):
    refused = _reproduce(places, *arguments)
    assert refused.returncode == 2
    assert sentence in refused.stderr and refused.stderr.count("\n") == 1
    assert refused.stdout == ""
