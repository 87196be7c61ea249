"""The report: complete, from records only, and the same each time."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from define.cli.main import main
from define.errors import InputError
from define.report.readme import write_report
from define.runs import journal

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
FOLDERS = ("steps", "evaluations", "significance")


def _files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


PUBLISHED = ("one_rate/table_1a", "one_rate/table_1b", "one_rate/table_3", "table_4a")
"""Reports that together have every section."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_reports_are_what_their_commands_write(here, name):
    report = EXPERIMENTS / name
    readme = (report / "README.md").read_text(encoding="utf-8")
    command = shlex.split(re.search("`define ([^`]+)`", readme)[1])
    places = {word for word in command if word.startswith("experiments/")}
    for place in places:
        shutil.copytree(EXPERIMENTS.parent / place, here / place)
    texts = ("README.md", "results.csv", "results.json")
    for text in texts:
        (here / "experiments" / name / text).unlink()
    assert main([*command, "--output", "table.txt"]) == 0
    for text in texts:
        assert (here / "experiments" / name / text).read_bytes() == (report / text).read_bytes()


def test_every_file_of_a_report_is_written(here, mini_runs):
    write_report("1c", None, "experiments/table_1c")
    output = here / "experiments" / "table_1c"
    text = (output / "README.md").read_text()
    assert "\n\n\n" not in text and "## Search" not in text and len(_cells(text, "Runs")) == 8
    assert len(json.loads((output / "results.json").read_text())) == 7
    assert (output / "results.csv").read_text().count("\n") == 8
    assert (output / "valid_ppl.png").stat().st_size > 10_000
    assert (output / "valid_ppl.svg").read_text().lstrip().startswith("<?xml")
    assert not list(output.glob("params*"))  # Table 1c has no series of sizes


def test_report_can_be_regenerated_from_its_own_records(here, mini_runs):
    output = here / "experiments" / "table_1c"
    write_report("1c", None, output)
    first = _files(output)
    assert "records/awd_lstm/mini/ptb/seed_1/record.json" in first
    write_report("1c", None, output)
    assert _files(output) == first
    mini_runs.rename(here / "gone")
    write_report("1c", None, output)
    assert _files(output) == first


def test_a_records_curves_go_with_it(here, put):
    path = put(here / "runs").with_name(journal.FILE_NAME)
    for event in (
        {"event": "started", "updates": 0, "commit": "0" * 40},
        {"event": "trained", "updates": 50, "train": {"nll": 6.0, "ppl": 403.4}},
        {"event": "failed", "reason": f"no space left in {here}"},
    ):
        journal.append(path, event)
    write_report("1c", None, "out")
    copy = here / "out/records/awd_lstm/mini/ptb/seed_1/journal.jsonl"
    assert journal.read(copy) == journal.read(path)[:2]
    first = _files(here / "out")
    write_report("1c", ["out"], "out")
    assert _files(here / "out").keys() == first.keys()
    assert copy.read_bytes() == first["records/awd_lstm/mini/ptb/seed_1/journal.jsonl"]


def test_no_folder_of_this_machine_is_named(here, mini_runs, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "report"
    write_report("1c", [mini_runs], elsewhere, ["mini"], ["ptb"])
    text = (elsewhere / "README.md").read_text()
    assert str(here) not in text and str(elsewhere.parent) not in text
    assert "--table 1c --scale mini --data ptb --runs runs --report report`" in text


def test_notes_and_search_are_included(here, mini_runs, put):
    (here / "notes.md").write_text("## What we think\n\nDepth & width.\n")
    for lr, ppl in ((0.004, 120.5), (0.008, 130.0)):
        config = {"seed": 1, "optimization": {"lr": [lr]}}
        put(here / "trials" / str(lr), curve=(ppl,), config=config)
    write_report("1c", [mini_runs], here, search=here / "trials")
    text = (here / "README.md").read_text()
    assert "\n\n## What we think\n\nDepth & width.\n\n## What was run" in text
    assert _cells(text, "Search")[0][1:] == ["0.004", "1", "120.50", "lowest"]
    write_report("1c", [mini_runs], here)
    assert (here / "README.md").read_text().split("## What was run")[1] == text.split(
        "## What was run"
    )[1]


def test_unfinished_and_dirty_runs_show(here, make_record):
    record = make_record(status="interrupted")
    record["provenance"]["dirty"] = True
    path = here / "runs" / "record.json"
    path.parent.mkdir()
    path.write_text(json.dumps(record))
    write_report("1c", None, "out")
    text = (here / "out" / "README.md").read_text()
    assert "## Paired" not in text and "## The paper's claims" not in text
    assert _cells(text, "Runs")[0][:4] == ["AWD-LSTM", "1", "interrupted", "-"]
    assert "(with uncommitted changes)" in text


def test_a_table_without_runs_has_a_report_too(here):
    write_report("1a", None, "out")
    text = (here / "out" / "README.md").read_text()
    assert "Nothing yet." in text and "not run" in text and "valid_ppl.png" not in text


@pytest.mark.parametrize("place", ["runs", *(f"out/{name}" for name in FOLDERS)])
def test_nothing_is_written_when_a_file_is_malformed(here, mini_runs, place):
    path = here / place / "record.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    with pytest.raises(InputError, match="record.json: field 'schema' is missing"):
        write_report("1c", None, "out")
    assert {f for f in (here / "out").rglob("*") if f.is_file()} <= {path}


def _cells(text, heading):
    """The cells of the tables below a heading."""
    part = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


TRANSLATED = "records/transformer_define/mini/multi30k/seed_2"


def test_the_headlines_hypotheses_are_kept_with_the_record(here, translation_runs):
    write_report("3", None, "3")
    first = _files(here / "3")
    run = translation_runs / "table_3/transformer_define/mini/seed_2"
    for name in ("val", "test_2016_flickr"):
        relative = f"hypotheses/beam_5/{name}.txt"
        assert first[f"{TRANSLATED}/{relative}"] == (run / relative).read_bytes()
    kept = [name for name in first if name.endswith(".txt")]
    assert len(kept) == 2 * 8 and all("/beam_5/" in name for name in kept)
    translation_runs.rename(here / "gone")
    write_report("3", ["3"], "3")
    again = _files(here / "3")
    assert again.keys() == first.keys()
    assert {name for name in first if again[name] != first[name]} == {"README.md"}  # its command


def test_hypotheses_that_were_not_scored_are_refused(here, translation_runs):
    path = translation_runs / "table_3/transformer_define/mini/seed_2/hypotheses/beam_5/val.txt"
    scored = path.read_bytes()
    path.write_bytes(scored[:-1])
    with pytest.raises(InputError, match="val.txt has the SHA-256 .*, but the scores in .*seed_2"):
        write_report("3", None, "3")
    path.unlink()
    with pytest.raises(InputError, match="beam_5/val.txt is missing; .*record.json has its scores"):
        write_report("3", None, "3")
    assert not (here / "3").exists()
    path.write_bytes(scored)
    write_report("3", None, "3")
    # The report's own copies count as well.
    (here / "3" / TRANSLATED / "hypotheses/beam_5/val.txt").write_text("other\n")
    with pytest.raises(InputError, match="3/records/.*val.txt has the SHA-256"):
        write_report("3", ["3"], "3")
