"""scripts/reproduce.sh from nothing to the tables and reports, and its dry run."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from define.analysis import published

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


@pytest.fixture(scope="module")
def everything(places):
    """All tables at scale smoke from prepared data: (the process, its seconds)."""
    define = [sys.executable, "-m", "define", "prepare", "--quiet"]
    for corpus in ("python_docs", "grammar"):
        subprocess.run([*define, corpus], env={**os.environ, **places}, check=True)
    begin = time.monotonic()
    process = _reproduce(places, "all", "--scale", "smoke")
    return process, time.monotonic() - begin


@pytest.mark.slow
def test_all_tables_take_less_than_ten_minutes_at_scale_smoke(everything, places):
    process, seconds = everything
    assert process.returncode == 0, process.stderr
    assert seconds < 600
    records = [json.loads(p.read_text()) for p in Path(places["DEFINE_RUNS"]).rglob("record.json")]
    assert {record["status"] for record in records} == {"finished"}
    experiments = (ROOT / "configs" / "experiment").glob("table_*/*.yaml")
    own = [path for path in experiments if "\nrun:" in path.read_text(encoding="utf-8")]
    rows = {f"{path.parent.name.removeprefix('table_')}/{path.stem}" for path in own}
    assert {f"{record['table']}/{record['row']}" for record in records} == rows
    assert len(records) == len(rows)
    reports = Path(places["DEFINE_REPORTS"])
    page = (reports / "report.html").read_text(encoding="utf-8")
    for table in published.names():
        assert f"Table {table}, scale smoke" in process.stdout
        assert f"Table {table}" in page
        (readme,) = (reports / f"table_{table}").glob("smoke/*/README.md")
        assert f"wrote {readme}" in process.stderr
        assert f"# Table {table}: " in readme.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_same_command_again_trains_nothing(everything, places):
    written = {p: p.stat().st_mtime_ns for p in Path(places["DEFINE_RUNS"]).rglob("record.json")}
    again = _reproduce(places, "table_4a", "table_4b", "--scale", "smoke")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("is finished") == 8
    assert {path: path.stat().st_mtime_ns for path in written} == written


@pytest.mark.slow
def test_the_paper_scale_is_counted_without_data(tmp_path):
    own = {f"DEFINE_{name}": str(tmp_path / name) for name in ("DATA", "RUNS", "REPORTS")}
    shown = _reproduce(own, "table_1c", "table_4a", "--scale", "paper", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    for count in ("24,221,600", "21,354,526", "42,863,882"):
        assert count in shown.stdout
    assert not list(tmp_path.rglob("*"))


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
def test_a_row_that_fails_stops_no_other(places, everything, tmp_path):
    rows = ("table_1a/lstm_r2", "table_1a/lstm_r3", "table_2/txl_64")
    root = _clone(tmp_path / "clone", rows)
    bad = root / "configs" / "experiment" / "table_1a" / "lstm_r3.yaml"
    bad.write_text(bad.read_text(encoding="utf-8") + "  layers: 0\n", encoding="utf-8")
    own = {name: str(tmp_path / name) for name in ("DEFINE_RUNS", "DEFINE_REPORTS")}
    own |= {"DEFINE_DATA": places["DEFINE_DATA"], "DEFINE_CONFIGS": str(root / "configs")}
    result = _reproduce(own, "all", "--scale", "smoke", "--quiet", root=root)
    assert result.returncode == 1
    assert "layers = 0 must be at least 1" in result.stderr
    found = {
        "/".join(path.parts[-6:-1])
        for path in Path(own["DEFINE_RUNS"]).rglob("record.json")
        if json.loads(path.read_text(encoding="utf-8"))["status"] == "finished"
    }
    assert found == {f"{row}/smoke/python_docs/seed_1" for row in (rows[0], rows[2])}
    for table in ("table_1a", "table_2"):
        report = Path(own["DEFINE_REPORTS"]) / table / "smoke" / "python_docs"
        assert (report / "README.md").is_file() and (report / "valid_ppl.png").is_file()
    assert (Path(own["DEFINE_REPORTS"]) / "report.html").is_file()


FAKE_PYTHON = """\
#!/bin/sh
shift 2  # -m define
echo "$*" >>"$CALLS"
case $* in
  "train -m --corpora "*) echo wikitext-2 && echo ptb ;;
  "train -m "*) mkdir -p "$DEFINE_RUNS" ;;
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

    def run(fails: str, code: int, *arguments: str, **environment: str):
        calls.write_text("", encoding="utf-8")
        own = {"DEFINE_VENV": str(tmp_path / "venv"), "CALLS": str(calls), "CODE": str(code)}
        own |= {"FAILS": fails, "DEFINE_RUNS": "runs", "DEFINE_REPORTS": "reports"}
        own |= environment
        process = _reproduce(own, *arguments, root=root)
        return process, calls.read_text(encoding="utf-8").splitlines()

    return run


ROWS = "experiment=table_1a/lstm_r1,table_1c/awd_lstm scale=mini"
CALLS = [
    f"train -m --corpora {ROWS}",
    "prepare wikitext-2",
    "prepare ptb",
    f"train -m {ROWS} hydra/launcher=joblib hydra.launcher.n_jobs=3 threads=1",
    "compare --table 1a --table 1c --scale mini --runs runs",
    "report --scale mini --runs runs --output reports/report.html --tables reports",
]


def test_all_tables_are_one_sweep_and_end_in_the_report(scripted):
    process, calls = scripted("nothing", 0, "all", "--jobs", "3")
    assert (process.returncode, process.stderr) == (0, "")
    assert calls == CALLS


@pytest.mark.parametrize(
    ("fails", "code", "done"),
    [
        ("*--corpora*", 2, CALLS[:1]),
        ("prepare*wikitext*", 2, CALLS),
        ("train*-m?experiment*", 1, CALLS),
        ("compare*", 3, CALLS),
        ("report*", 3, CALLS),
        ("train*-m?experiment*", 130, CALLS[:4]),
    ],
)
def test_what_follows_a_failure(fails, code, done, scripted):
    process, calls = scripted(fails, code, "table_1a", "table_1c", "--jobs", "3")
    assert (process.returncode, calls) == (code, done)


def test_arguments_reach_the_commands(scripted, tmp_path):
    arguments = ["--seeds", "3", "--scale", "paper", "--quiet", "--source", str(tmp_path), "a.b=1"]
    process, calls = scripted("nothing", 0, "table_1a", "--jobs", "1", *arguments)
    assert process.returncode == 0
    assert calls[:2] + calls[3:4] == [
        "train -m --corpora experiment=table_1a/lstm_r1 scale=paper a.b=1",
        f"prepare wikitext-2 --quiet --source {tmp_path}",
        "train -m --quiet --seeds 1-3 experiment=table_1a/lstm_r1 scale=paper a.b=1",
    ]
    process, calls = scripted("nothing", 0, "table_1a", "--dry-run", "--scale", "paper")
    assert process.returncode == 0
    assert calls == ["train -m --dry-run experiment=table_1a/lstm_r1 scale=paper"]


def test_as_many_rows_at_once_as_there_are_cores_or_gpus(scripted, tmp_path):
    cores = len(os.sched_getaffinity(0))
    _, calls = scripted("nothing", 0, "table_1a")
    assert ("joblib" in calls[3]) == (cores > 1)
    assert cores == 1 or f"hydra.launcher.n_jobs={cores} threads=1" in calls[3]
    (tmp_path / "bin").mkdir()
    listing = tmp_path / "bin" / "nvidia-smi"
    listing.write_text("#!/bin/sh\nprintf 'GPU 0\\nGPU 1\\nGPU 2\\nGPU 3\\nGPU 4\\n'\n")
    listing.chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    _, calls = scripted("nothing", 0, "table_1a", "--scale", "paper", PATH=path)
    assert "hydra.launcher.n_jobs=5" in calls[3]


def test_the_demonstration_needs_no_argument(scripted):
    process, calls = scripted("nothing", 0, "--jobs", "1")
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
