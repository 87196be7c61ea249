"""`define train`: its record, its second start, and what it refuses before it trains."""

import hashlib
import json
import math
from pathlib import Path

import pytest

from define.data.text import corpora
from define.evaluation.checkpoints import build
from define.evaluation.perplexity import evaluate
from define.train.observer import RunObserver


def read(folder: Path) -> dict:
    return json.loads((folder / "record.json").read_text(encoding="utf-8"))


def digests(folder: Path) -> dict[str, str]:
    """Every file below `folder` with its content and its time."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        + str(path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_record_of_a_finished_run(finished, corpus):
    record = read(finished)
    assert record["status"] == "finished"
    assert (record["table"], record["row"], record["scale"]) == ("1c", "awd_lstm_define", "smoke")
    assert [epoch["epoch"] for epoch in record["epochs"]] == [1, 2, 3, 4, 5]
    for epoch in record["epochs"]:
        assert epoch["train"]["ppl"] == math.exp(epoch["train"]["nll"])
        assert epoch["valid"]["ppl"] == math.exp(epoch["valid"]["nll"])
        assert epoch["valid"]["scored_tokens"] == len(corpus.tokens["valid"])
        assert epoch["lr"] == 2.0
        assert epoch["seconds"] > 0
    updates = [epoch["updates"] for epoch in record["epochs"]]
    assert updates == sorted(set(updates))
    best = min(record["epochs"], key=lambda epoch: epoch["valid"]["nll"])
    assert record["best_epoch"] == best["epoch"]
    assert record["final"]["valid"]["nll"] == pytest.approx(best["valid"]["nll"], rel=1e-6)
    assert record["final"]["test"]["scored_tokens"] == len(corpus.tokens["test"])
    speed = record["speed"]
    assert speed["seconds"] == pytest.approx(sum(e["seconds"] for e in record["epochs"]))
    assert speed["ms_per_update"] == pytest.approx(1000 * speed["seconds"] / updates[-1])
    assert speed["tokens_per_second"] == pytest.approx(5 * 1213 / speed["seconds"])
    assert record["provenance"]["data"]["types"] == corpus.types
    files = {path.name for path in finished.iterdir()}
    assert files == {
        *("record.json", "journal.jsonl", "config.yaml", "fairseq.yaml", "train.log"),
        *("checkpoints", ".lock"),
    }
    for place in (finished.parent, corpus.folder.parent):
        assert str(place) not in json.dumps(record), "a record must not name this machine's folders"


def test_the_learning_rate_of_the_record_is_that_of_the_last_update(train, workplace):
    overrides = ["experiment=table_2/txl_64", "model.cutoffs=[20,30,40]", "optimization.lr=[0.01]"]
    assert train(*overrides, "optimization.max_update=10", "run.dir=run") == 0
    epochs = read(workplace / "run")["epochs"]
    assert [epoch["updates"] for epoch in epochs] == [8, 10]
    for epoch in epochs:
        done = (epoch["updates"] - 1) / 10
        assert epoch["lr"] == pytest.approx(0.01 * (1 + math.cos(math.pi * done)) / 2)


def test_nats_and_bits_are_not_mixed(train, workplace, corpus, checkpoint_of, monkeypatch):
    heard, validated = [], RunObserver.validated

    def spied(self, epoch, stats, averaged):
        heard.append(stats)
        validated(self, epoch, stats, averaged)

    monkeypatch.setattr(RunObserver, "validated", spied)
    assert train("optimization.max_epoch=1", "run.dir=run") == 0
    (stats,), (epoch,) = heard, read(workplace / "run")["epochs"]
    assert epoch["valid"]["nll"] == stats["nll_loss"] * math.log(2)
    assert epoch["valid"]["ppl"] == pytest.approx(stats["ppl"], rel=1e-9)
    model = build(checkpoint_of(workplace / "run"), corpus.types)
    score = evaluate(model, corpus.tokens["valid"], corpus.eos, batch_size=4)
    assert score.nll == pytest.approx(epoch["valid"]["nll"], rel=1e-6)
    assert score.ppl == pytest.approx(epoch["valid"]["ppl"], rel=1e-5)


def test_a_validation_that_skips_tokens_is_an_error(train, workplace):
    with pytest.raises(RuntimeError, match="validation scored 160 tokens, but the corpus has 329"):
        train("dataset.max_valid_steps=1", "run.dir=run")
    record = read(workplace / "run")
    assert (record["status"], record["epochs"], record["final"]) == ("failed", [], None)


def test_the_corpus_is_read_once_and_a_finished_run_is_not_trained_again(
    train, workplace, capsys, monkeypatch
):
    read, load = [], corpora.load
    monkeypatch.setattr(corpora, "load", lambda folder: read.append(folder) or load(folder))
    assert train("optimization.max_epoch=1", "run.dir=run") == 0
    assert len(read) == 1
    said, before = capsys.readouterr(), digests(workplace / "run")
    assert train("optimization.max_epoch=1", "run.dir=run") == 0
    assert capsys.readouterr().out.splitlines()[-1] == said.out.splitlines()[-1]
    assert digests(workplace / "run") == before


@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
def test_another_config_in_the_folder_of_a_run(flags, finished, train, capsys):
    before = digests(finished)
    changed = ["optimization.max_epoch=5", "optimization.lr=[2.0]", "optimizer.nonmono=1"]
    assert train(*changed, f"run.dir={finished}", *flags) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"define: {finished} holds a run with another config ")
    assert "(optimizer.nonmono was 0, is 1)" in captured.err
    assert captured.err.count("\n") == 1
    assert digests(finished) == before


def test_foreign_checkpoints_are_not_touched(train, workplace, capsys):
    mine = workplace / "mine" / "thesis.pt"
    mine.parent.mkdir()
    mine.write_text("years of work")
    assert train("checkpoint.save_dir=mine", "run.dir=run") == 2
    assert "mine is there without a run record" in capsys.readouterr().err
    assert mine.read_text() == "years of work"
    assert not (workplace / "run").exists()


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("model.depht=3", "depht"),
        ("+model.depht=3", "model.depht is unknown"),
        ("nothing=1", "nothing"),
        ("+nothing=1", "nothing is unknown"),
        ("+optimization.nothing=1", "optimization.nothing is unknown"),
        ("experiment=table_1c/gru", "there is no 'gru' in experiment/table_1c"),
        ("scale=huge", "huge"),
        ("scale=", "scale"),
        ("model.depth=deep", "deep"),
        ("seed=one", "one"),
        ("seed=-1", "seed = -1"),
        ("threads=0", "threads = 0"),
        ("wandb=maybe", "wandb = 'maybe'"),
        ("model.map_dim=0", "model.map_dim = 0 and"),
        ("model.map_dim=17", "(n) = 17 cannot be split into 2"),
        ("model.expand_dim=8", "is smaller than model.map_dim"),
        ("model.layers=0", "layers = 0"),
        ("model.word_dropout=1.0", "word_dropout = 1.0"),
        ("model.connection=glue", "connection = 'glue'"),
        ("task.bptt=0", "task.bptt = 0"),
        ("task.min_bptt=0", "task.min_bptt = 0 must be at least 1"),
        ("task.train_tokens=-1", "task.train_tokens = -1"),
        ("task.autocast=fp8", "task.autocast = 'fp8'"),
        ("task.bptt_std=-1", "task.bptt_std = -1"),
        ("task.short_bptt_probability=2", "task.short_bptt_probability = 2"),
        ("criterion.ar=-1", "criterion.ar = -1"),
        ("optimizer.nonmono=-1", "optimizer.nonmono = -1"),
        ("common.bf16=true", "task.autocast=bf16"),
        ("dataset.disable_validation=true", "validation"),
        ("dataset.batch_size=null", "dataset.batch_size"),
        ("dataset.batch_size=5000", "5000"),
        ("dataset.batch_size_valid=5000", "5000"),
        ("optimization.lr=[]", "optimization.lr"),
        ("optimization.lr=[0.0]", "optimization.lr"),
        ("optimization.max_epoch=0", "never end"),
        ("checkpoint.best_checkpoint_metric=bleu", "best_checkpoint_metric = bleu cannot"),
        ("checkpoint.maximize_best_checkpoint_metric=true", "keep the worst epoch"),
        ("distributed_training.pipeline_model_parallel=true", "pipeline_model_parallel = true"),
        ("data_root=/nowhere", "no prepared corpus in /nowhere/python_docs"),
        ("task.data=/nowhere", "no prepared corpus in /nowhere"),
    ],
)
def test_bad_values_are_refused_before_anything_is_left(override, named, train, workplace, capsys):
    assert train(override) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("define: ") and captured.err.count("\n") == 1
    assert named in captured.err
    assert list(workplace.iterdir()) == []


def test_processes_that_fairseq_does_not_join_are_refused(train, workplace, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # as torchrun does
    assert train("optimization.max_update=2", "run.dir=run") == 2
    assert capsys.readouterr().err.startswith(
        "define: WORLD_SIZE = 2 processes were started, but fairseq joins 1: "
    )


@pytest.mark.parametrize("overrides", [["optimization.clip_norm=0"], []])
def test_a_diverging_run_is_one_sentence(overrides, train, workplace, capsys):
    assert train("optimization.lr=[1e9]", "run.dir=run", *overrides) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("define: training has diverged (")
    assert "((" not in captured.err
    assert captured.err.count("\n") == 1
    assert read(workplace / "run")["status"] == "failed"
    assert not list(workplace.rglob("crash.pt"))


def test_a_validation_that_is_not_finite_fails_the_run_and_changes_no_result(
    finished, train, workplace, capsys
):
    run = "optimization.max_epoch=5", "optimization.lr=[2.0]", "optimizer.nonmono=0", "run.dir=run"
    validated = RunObserver.validated

    def third_is_nan(observer, epoch, stats, averaged):
        validated(observer, epoch, stats | ({"nll_loss": math.nan} if epoch == 3 else {}), averaged)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunObserver, "validated", third_is_nan)
        assert train(*run) == 2
    captured = capsys.readouterr()
    assert "training has diverged (the validation loss at update " in captured.err
    assert captured.err.startswith("define: ") and captured.err.count("\n") == 1
    record = read(workplace / "run")
    assert (record["status"], len(record["epochs"])) == ("failed", 2)
    assert train(*run) == 0
    assert read(workplace / "run")["final"] == read(finished)["final"]
