"""scripts/reproduce.sh from nothing to the tables and reports, and its dry run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduce")
    return {f"DEFINE_{name.upper()}": str(folder / name) for name in ("data", "runs", "reports")}


def _reproduce(places, *arguments, root=ROOT):
    return subprocess.run(
        [root / "scripts" / "reproduce.sh", *arguments],
        env={**os.environ, "DEFINE_VENV": sys.prefix, **places},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_smoke_scale_trains_every_row_once_and_prints_the_table(places):
    first = _reproduce(places, "table_1c", "--scale", "smoke", "--quiet", "threads=1")
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
    report = Path(places["DEFINE_REPORTS"]) / "table_1c" / "smoke" / "python_docs"
    assert "# Table 1c" in (report / "README.md").read_text(encoding="utf-8")
    assert (report / "valid_ppl.png").stat().st_size > 10_000
    assert f"wrote {report / 'README.md'}" in first.stderr

    written = {path: path.stat().st_mtime_ns for path in paths}
    second = _reproduce(places, "table_1c", "--scale", "smoke", "--quiet", "threads=1")
    assert second.returncode == 0, second.stderr
    assert {path: path.stat().st_mtime_ns for path in paths} == written


@pytest.mark.slow
def test_paper_scale_dry_run_shows_recipe_and_sizes(places):
    shown = _reproduce(places, "table_1c", "--scale", "paper", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    for text in ("24,221,600", "20,920,224", "seed: 141", "weight_dropout: 0.5", "nonmono: 5"):
        assert text in shown.stdout
    assert not list(Path(places["DEFINE_RUNS"]).rglob("paper/**/record.json"))


def _clone(folder: Path, rows: tuple[str, ...]) -> Path:
    """The script above a copy of the configs with these rows alone, and nothing to set up."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    experiments = folder / "configs" / "experiment"
    for path in experiments.glob("*/*.yaml"):
        if path.relative_to(experiments).with_suffix("").as_posix() not in rows:
            path.unlink()
    for table in experiments.iterdir():
        if not list(table.iterdir()):
            table.rmdir()
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "reproduce.sh", folder / "scripts")
    (folder / "scripts" / "setup.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (folder / "scripts" / "setup.sh").chmod(0o755)
    return folder


@pytest.mark.slow
def test_two_tables_each_to_its_report_though_a_row_fails(places, tmp_path):
    rows = ("table_1a/lstm_r2", "table_1a/lstm_r3", "table_2/txl_64")
    root = _clone(tmp_path / "clone", rows)
    bad = root / "configs" / "experiment" / "table_1a" / "lstm_r3.yaml"
    bad.write_text(bad.read_text(encoding="utf-8") + "  layers: 0\n", encoding="utf-8")
    own = {name: str(tmp_path / name) for name in ("DEFINE_RUNS", "DEFINE_REPORTS")}
    own |= {"DEFINE_DATA": places["DEFINE_DATA"], "DEFINE_CONFIGS": str(root / "configs")}
    tables = ("table_1a", "table_2")
    options = ("--scale", "smoke", "--quiet", "threads=1")
    result = _reproduce(own, *tables, *options, root=root)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == "error: failed: table_1a"
    assert "define: layers = 0 must be at least 1" in result.stderr
    found = {
        "/".join(path.parts[-6:-1])
        for path in Path(own["DEFINE_RUNS"]).rglob("record.json")
        if json.loads(path.read_text(encoding="utf-8"))["status"] == "finished"
    }
    assert found == {f"{row}/smoke/python_docs/seed_1" for row in (rows[0], rows[2])}
    for table in tables:
        report = Path(own["DEFINE_REPORTS"]) / table / "smoke" / "python_docs"
        text = (report / "README.md").read_text(encoding="utf-8")
        assert f"# Table {table.removeprefix('table_')}" in text
        assert (report / "valid_ppl.png").is_file() and "](valid_ppl.png)" in text
        assert (
            f"Table {table.removeprefix('table_')}, scale smoke, data python_docs" in result.stdout
        )


@pytest.mark.slow
def test_the_full_recipes_of_two_tables_need_no_data(tmp_path):
    rows = ("table_1a/lstm_r1", "table_2/txl_64_define")
    root = _clone(tmp_path / "clone", rows)
    own = {f"DEFINE_{name}": str(tmp_path / name) for name in ("DATA", "RUNS", "REPORTS")}
    own["DEFINE_CONFIGS"] = str(root / "configs")
    shown = _reproduce(own, "table_1a", "table_2", "--scale", "paper", "--dry-run", root=root)
    assert shown.returncode == 0, shown.stderr
    for text in ("bptt: 140", "23,357,440", "bptt: 150", "max_update: 200000", "267,735 types"):
        assert text in shown.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["RUNS", "clone"]
    assert not list(tmp_path.rglob("record.json"))


FAKE_PYTHON = """\
#!/bin/sh
shift 2  # -m define
echo "$*" >>"$CALLS"
case $* in
  "train -m --corpora "*table_1a*) echo wikitext-2 ;;
  "train -m --corpora "*) echo ptb && echo python_docs ;;
esac
case $* in $FAILS) exit "$CODE" ;; esac
"""


@pytest.fixture
def scripted(tmp_path):
    """(pattern of the commands that fail, their code, arguments...) -> the process, the commands.

    The script runs above two tables with one row each, and a `define` that does nothing.
    """
    root = _clone(tmp_path / "clone", ("table_1a/lstm_r1", "table_1c/awd_lstm"))
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(FAKE_PYTHON, encoding="utf-8")
    python.chmod(0o755)
    calls = tmp_path / "calls"

    def run(fails: str, code: int, *arguments: str):
        calls.write_text("", encoding="utf-8")
        own = {"DEFINE_VENV": str(tmp_path / "venv"), "CALLS": str(calls), "CODE": str(code)}
        own |= {"FAILS": fails, "DEFINE_RUNS": "runs", "DEFINE_REPORTS": "reports"}
        process = _reproduce(own, *arguments, root=root)
        return process, calls.read_text(encoding="utf-8").splitlines()

    return run


LSTM = [
    "train -m --corpora experiment=table_1a/lstm_r1 scale=mini",
    "prepare wikitext-2",
    "train -m experiment=table_1a/lstm_r1 scale=mini",
    "compare --table 1a --scale mini --data wikitext-2 --runs runs "
    "--report reports/table_1a/mini/wikitext-2",
]
AWD_LSTM = [
    "train -m --corpora experiment=table_1c/awd_lstm scale=mini",
    "prepare ptb",
    "prepare python_docs",
    "train -m experiment=table_1c/awd_lstm scale=mini",
    *(
        f"compare --table 1c --scale mini --data {corpus} --runs runs "
        f"--report reports/table_1c/mini/{corpus}"
        for corpus in ("ptb", "python_docs")
    ),
]


def test_each_table_has_its_own_corpora(scripted):
    process, calls = scripted("nothing", 0, "table_1a", "table_1c")
    assert (process.returncode, process.stderr) == (0, "")
    assert calls == LSTM + AWD_LSTM


@pytest.mark.parametrize(
    ("fails", "code", "done"),
    [
        ("*--corpora*1a*", 2, LSTM[:1]),
        ("prepare*wikitext*", 2, LSTM[:2]),
        ("train*-m*experiment=table_1a*", 7, LSTM[:1]),
        ("train*-m?experiment=table_1a*", 7, LSTM),
        ("compare*1a*", 3, LSTM),
    ],
)
def test_a_table_that_fails_does_not_stop_the_others(fails, code, done, scripted):
    process, calls = scripted(fails, code, "table_1a", "table_1c")
    assert process.returncode == code
    assert process.stderr == "error: failed: table_1a\n"
    assert calls == done + AWD_LSTM


def test_the_exit_code_is_that_of_the_last_failure(scripted):
    process, calls = scripted("train*-m?experiment*", 9, "table_1a", "table_1c")
    assert process.returncode == 9
    assert process.stderr == "error: failed: table_1a table_1c\n"
    assert calls == LSTM + AWD_LSTM


def test_an_interruption_stops_all(scripted):
    process, calls = scripted("train*-m?experiment=table_1a*", 130, "table_1a", "table_1c")
    assert process.returncode == 130
    assert calls == LSTM[:3]


def test_arguments_reach_the_commands(scripted, tmp_path):
    arguments = ["--seeds", "3", "--scale", "paper", "--quiet", "--source", str(tmp_path), "a.b=1"]
    process, calls = scripted("nothing", 0, "table_1a", *arguments)
    assert process.returncode == 0
    assert calls[:3] == [
        "train -m --corpora experiment=table_1a/lstm_r1 scale=paper a.b=1",
        f"prepare wikitext-2 --quiet --source {tmp_path}",
        "train -m --quiet experiment=table_1a/lstm_r1 scale=paper a.b=1 seed=range(1,4)",
    ]
    process, calls = scripted("nothing", 0, "table_1a", "--dry-run", "--scale", "paper")
    assert process.returncode == 0
    assert calls == ["train -m --dry-run experiment=table_1a/lstm_r1 scale=paper"]


def test_the_demonstration_needs_no_argument(scripted):
    process, calls = scripted("nothing", 0)
    assert process.returncode == 0
    assert calls[3] == (
        "train -m experiment=table_1c/awd_lstm scale=mini data=python_docs +budget=demonstration"
    )


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
