"""`define prepare` from its arguments to what it prints."""

import argparse

import pytest

from define.cli.prepare import add_parser
from define.data.parallel.pairs import PairSpec, load
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


@pytest.fixture
def toy_pairs(register_pairs) -> PairSpec:
    """Registers the parallel corpus "toy-pairs", with an empty pair and a long one."""
    text = [(f"a{n} b", f"x{n}") for n in range(30)]
    long = ("a1 b " * 9, "x1")
    texts = {"train": [*text, ("", "x"), long], "valid": text[:2], "test": text[:3]}
    return register_pairs("toy-pairs", texts, pieces=30)


def test_summary_of_a_parallel_corpus(toy_pairs, tmp_path, capsys):
    words = ["toy-pairs", "--output", str(tmp_path), "--subwords", "25", "--max-length", "9"]
    assert call(*words) == 0
    corpus = load(tmp_path / "toy-pairs")
    assert (corpus.meta["subwords"]["pieces"], corpus.meta["max_length"]) == (25, 9)
    tokens = corpus.meta["tokens"]
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["Toy pairs", "Licence: None."]
    for line in (
        "Pairs: train 30, valid 2, test 3",
        "Left out of train: 1 empty, 1 too long",
        "Subwords (xb), one <eos> per line included: "
        f"train {tokens['train']}, valid {tokens['valid']}, test {tokens['test']}",
        f"Types (xa), 4 special symbols included: {corpus.source_types}",
        f"Prepared in {corpus.folder}",
    ):
        assert line in printed
    assert call("toy-pairs", "--output", str(tmp_path), "--quiet") == 0
    assert load(tmp_path / "toy-pairs").meta["subwords"]["pieces"] == 30
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("option", ["--subwords", "--max-length"])
def test_options_of_parallel_corpora(option, toy, toy_pairs, toy_source, tmp_path):
    expected = rf"{option} is for parallel corpora \(multi30k, .* tokens of toy are"
    with pytest.raises(InputError, match=expected):
        call("toy", "--source", str(toy_source), "--output", str(tmp_path), option, "5")
    with pytest.raises(InputError, match=f"{option} is 0, but must be at least 1"):
        call("toy-pairs", "--output", str(tmp_path), option, "0")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


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
