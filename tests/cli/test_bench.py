"""`define bench`: what it prints, writes and refuses; the parts are tested with the harness."""

import json

import pytest

from define.cli.main import main
from define.runs.benchmarks import read


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty folder to work in, and no corpus."""
    monkeypatch.setenv("DEFINE_DATA", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)


QUICK = ["bench", "share", "--quick", "--scale", "smoke", "--rounds", "1"]


def test_the_table_the_record_and_the_page_agree(tmp_path, capsys):
    assert main([*QUICK, "--output", "record.json"]) == 0
    out = capsys.readouterr().out
    groups = read("record.json")["groups"]
    assert len(groups) == 2
    for group in groups:
        assert f"share: {group['title']}" in out and f"{group['values']['step'][0]:,.2f}" in out
    assert main(["bench", "--report", str(tmp_path)]) == 0
    assert groups[0]["title"] in (tmp_path / "README.md").read_text()


def test_json_on_the_screen_is_the_file(capsys):
    assert main([*QUICK, "--json", "--output", "record.json"]) == 0
    with open("record.json", encoding="utf-8") as stream:
        assert json.loads(capsys.readouterr().out) == json.load(stream)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["units"], "part 'units' is unknown; take some of unit, share"),
        (["unit", "--rounds", "0"], "--rounds 0 must be at least 1"),
        (["unit", "--threads", "-1"], "--threads -1 must be at least 1"),
        (["share", "--scale", "huge"], "huge"),
        (["--report", "."], "there is no record in ."),
    ],
)
def test_bad_values_are_one_sentence(arguments, sentence, capsys):
    assert main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("define: ") and err.count("\n") == 1
    assert sentence in err
