"""`define train --dry-run`: one screen, nothing written; what else prints and trains nothing."""

import pytest
import yaml
from omegaconf import OmegaConf

from define.cli.main import main
from define.train.compose import compose, fairseq_config


def shown(capsys, *words: str) -> str:
    assert main(["train", *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("experiment", "scale", "texts"),
    [
        (
            "table_1c/awd_lstm_define",
            "paper",
            [
                "The config is the paper's recipe.",
                "parameters 21,354,526 (define 1,6",
                "epochs 500",
            ],
        ),
        (
            "table_1a/lstm_r3",
            "mini",
            ["layers 4 -> 2", "lr [14 x 20.0, 2.0] -> [0.06219]", "bptt 140 -> 35", "seed 1"],
        ),
        (
            "table_3/transformer_define",
            "smoke",
            ["nominal: the corpus is not prepared", "cache False)", "prepare the corpus"],
        ),
    ],
)
def test_a_dry_run_is_one_screen_and_writes_nothing(
    experiment, scale, texts, workplace, capsys, monkeypatch
):
    monkeypatch.setenv("DEFINE_DATA", "none")  # other tests prepare corpora in the shared folder
    out = shown(capsys, f"experiment={experiment}", f"scale={scale}", "--dry-run")
    *lines, folder = out.splitlines()
    assert len(lines) < 39
    # The test's own folder may be longer than a line.
    assert max(len(line) for line in lines if str(workplace) not in line) <= 80
    flat = " ".join(out.split())
    for text in [*texts, "FLOPs at most", "Nothing was trained or written"]:
        assert text in flat
    assert folder.startswith(f"{workplace}/runs/{experiment}/{scale}/")
    assert list(workplace.iterdir()) == []


def test_a_dry_run_reads_the_prepared_corpus(workplace, pair_corpus, capsys):
    out = shown(capsys, "experiment=table_3/transformer", "scale=smoke", "--dry-run")
    flat = " ".join(out.split())
    assert f"{pair_corpus.source_types} + {pair_corpus.types} types" in flat
    assert "not prepared" not in flat and "at mean lengths of sentences" in flat


def test_full_prints_the_whole_config_and_fairseq_its_part(workplace, capsys):
    words = ["experiment=table_1c/awd_lstm", "scale=smoke"]
    config = compose(words)
    out = shown(capsys, *words, "--dry-run", "--full")
    assert OmegaConf.to_yaml(config) in out
    assert yaml.safe_load(shown(capsys, *words, "--fairseq")) == fairseq_config(config)
    assert main(["train", *words, "--full"]) == 2
    assert main(["train", "-m", *words, "--fairseq"]) == 2


def test_a_row_that_the_paper_does_not_have(workplace, capsys):
    assert "has no recipe" in shown(capsys, "run.table=mine", "run.row=own", "--dry-run")


def test_corpora_of_a_sweep_are_named_once_and_nothing_is_trained(workplace, capsys):
    rows = "experiment=table_1c/awd_lstm,table_1c/awd_lstm_define"
    assert shown(capsys, "-m", "--corpora", rows, "data=ptb,python_docs") == "ptb\npython_docs\n"
    assert shown(capsys, "--corpora", "experiment=table_1c/awd_lstm", "scale=smoke") == (
        "python_docs\n"
    )
    assert main(["train", "-m", "--corpora", rows, "scale=vast"]) == 2
    assert list(workplace.iterdir()) == []
