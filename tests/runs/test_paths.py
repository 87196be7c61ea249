"""Where everything is: environment variables, of which an empty one counts as unset."""

import re
from pathlib import Path

import pytest

from define.cli.main import main
from define.runs import paths, provenance, records
from define.train.compose import compose
from define.train.run_folder import published_config

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("folder", "variable", "default"),
    [
        (paths.data, "DEFINE_DATA", Path("data")),
        (paths.source, "DEFINE_DATA_SOURCE", None),
        (paths.runs, "DEFINE_RUNS", Path("runs")),
        (paths.reports, "DEFINE_REPORTS", Path("reports")),
        (paths.configs, "DEFINE_CONFIGS", ROOT / "configs"),
    ],
)
def test_an_empty_variable_counts_as_unset(folder, variable, default, monkeypatch):
    monkeypatch.setenv(variable, "elsewhere")
    assert folder() == Path("elsewhere")
    monkeypatch.setenv(variable, "")
    assert folder() == default
    monkeypatch.delenv(variable)
    assert folder() == default


def test_only_one_module_reads_the_variables_of_folders():
    names = "DATA|DATA_SOURCE|RUNS|REPORTS|CONFIGS|SWEEP"
    reading = rf"""(environ(\.get\(|\[)|getenv\(|oc\.env:)['"]?DEFINE_({names})\b"""
    readers = [
        path.relative_to(ROOT).as_posix()
        for folder in ("define", "configs")
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in (".py", ".yaml") and re.search(reading, path.read_text(encoding="utf-8"))
    ]
    assert readers == []


def test_a_config_follows_the_variables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for runs, expected in (("", tmp_path / "runs"), (str(tmp_path / "b"), tmp_path / "b")):
        monkeypatch.setenv("DEFINE_RUNS", runs)
        monkeypatch.setenv("DEFINE_DATA", runs.replace("/b", "/d"))
        config = compose(["experiment=table_1c/awd_lstm", "scale=smoke"])
        assert Path(config.run.dir).is_relative_to(expected)
        data = tmp_path / ("d" if runs else "data")
        assert Path(config.task.data) == data / config.run.corpus


def test_no_sweep_of_no_name(monkeypatch):
    meta = {"name": "ptb", "sha256": {}, "tokens": {}, "types": 1}
    for value, expected in (("mine", "mine"), ("", None)):
        monkeypatch.setenv("DEFINE_SWEEP", value)
        assert provenance.collect(meta, cpu=True, threads=1).get("sweep") == expected


def test_comparison_and_report_find_runs_where_the_variable_says(
    tmp_path, put, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEFINE_RUNS", "elsewhere")
    monkeypatch.setenv("DEFINE_REPORTS", "pages")
    put(tmp_path / "elsewhere", seed=4, test_ppl=111.5)
    put(tmp_path / "experiments", row="awd_lstm_define", test_ppl=108.25)
    put(tmp_path / "runs", row="awd_lstm_wide", test_ppl=104.75)
    assert main(["compare", "--table", "1c", "--format", "csv"]) == 0
    shown = capsys.readouterr().out
    assert "111.5" in shown and "108.25" in shown and "104.75" not in shown
    assert main(["report"]) == 0
    page = (tmp_path / "pages" / "report.html").read_text(encoding="utf-8")
    assert "../elsewhere/table_1c/awd_lstm/mini/seed_4/record.json" in page
    assert main(["status", "--json"]) == 0
    assert not (tmp_path / "reports").exists()


def test_the_page_links_the_reports_of_the_tables(tmp_path, put, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "runs")
    put(tmp_path / "runs", scale="smoke", curve=(400.0,))
    assert main(["report", "--output", "out/page.html", "--tables", "out/tables"]) == 0
    page = (tmp_path / "out" / "page.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"]*README\.md)"', page)
    assert sorted(links) == [f"tables/table_1c/{s}/ptb/README.md" for s in ("mini", "smoke")]
    assert all((tmp_path / "out" / link).is_file() for link in links)


def test_a_dry_run_of_a_finished_run_writes_nothing(tmp_path, make_record, monkeypatch):
    monkeypatch.setenv("DEFINE_RUNS", str(tmp_path))
    overrides = ["experiment=table_1c/awd_lstm", "scale=smoke"]
    config = compose(overrides)
    folder = Path(config.run.dir)
    record = make_record(scale="smoke", config=published_config(config))
    records.write(folder / records.FILE_NAME, record)
    (folder / "config.yaml").write_text("as it was\n")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert main(["train", *overrides, "threads=1", "--dry-run"]) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
