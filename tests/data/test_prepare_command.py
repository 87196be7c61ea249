"""`define prepare` from its arguments to what it prints."""

import argparse

import pytest

from define.cli.prepare import add_parser
from define.errors import InputError


def call(*arguments: str) -> int:
    parser = argparse.ArgumentParser(prog="define")
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["prepare", *arguments])
    return args.run(args)


def test_summary_and_folder(toy, toy_source, tmp_path, capsys):
    assert call("toy", "--source", str(toy_source), "--output", str(tmp_path / "data")) == 0
    printed = capsys.readouterr().out
    for part in (
        "Licence: None.",
        "train 12, valid 3, test 5",
        "Types: 5",
        str(tmp_path / "data" / "toy"),
    ):
        assert part in printed
    assert (tmp_path / "data" / "toy" / "meta.json").exists()


def test_defaults_come_from_the_environment(toy, toy_source, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEFINE_DATA_SOURCE", str(toy_source))
    monkeypatch.setenv("DEFINE_DATA", str(tmp_path / "here"))
    assert call("toy", "--quiet") == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "here" / "toy" / "meta.json").exists()


def test_no_download(toy, tmp_path, monkeypatch):
    monkeypatch.delenv("DEFINE_DATA_SOURCE", raising=False)
    with pytest.raises(InputError, match="switched off"):
        call("toy", "--no-download", "--output", str(tmp_path))


def test_unknown_corpus_is_refused_by_the_parser(capsys):
    with pytest.raises(SystemExit) as raised:
        call("penn")
    assert raised.value.code == 2
    assert "ptb" in capsys.readouterr().err


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit):
        call("--help")
    assert "define prepare ptb --source" in capsys.readouterr().out
