"""Translation runs from end to end: records, resumption, and fairseq's own commands."""

import json
import math
import re
import shlex
import warnings
from pathlib import Path

import pytest
import torch
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq_cli import generate, train
from omegaconf import DictConfig

import define
from define.cli.main import main
from define.core.embedding import DefineEmbedding
from define.data.parallel.pairs import PairCorpus
from define.evaluation import bleu
from define.runs import records

RUN = ["train", "--quiet", "experiment=table_3/transformer_define", "scale=smoke", "threads=1"]
RUN += ["model.unit_dropout=0.0"]  # so few updates learn too little with it


@pytest.fixture(scope="module")
def finished(pair_corpus, tmp_path_factory) -> Path:
    """The folder of a finished run, to be read only."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEFINE_DATA", str(pair_corpus.folder.parent))
        assert main([*RUN, f"run.dir={folder}"]) == 0
    return folder


def read(folder: Path) -> dict:
    return json.loads((folder / records.FILE_NAME).read_text(encoding="utf-8"))


def hypotheses(folder: Path, translation: str, name: str) -> str:
    return (folder / "hypotheses" / translation / f"{name}.txt").read_text(encoding="utf-8")


# The record.


def test_the_record_of_a_finished_run(finished, pair_corpus):
    record = read(finished)
    assert record["status"] == "finished"
    assert (record["table"], record["row"], record["scale"]) == ("3", "transformer_define", "smoke")
    updates = [epoch["updates"] for epoch in record["epochs"]]
    assert updates[-1] == 40 and updates == sorted(updates)
    best = min(record["epochs"], key=lambda epoch: epoch["valid"]["nll"])
    assert best["valid"]["nll"] < record["epochs"][0]["valid"]["nll"]
    assert record["final"]["valid"]["nll"] == pytest.approx(best["valid"]["nll"], rel=1e-6)
    for split, score in record["final"].items():
        assert score["scored_tokens"] == pair_corpus.meta["tokens"][split]
        assert score["ppl"] == math.exp(score["nll"])
    assert list(record["translations"]) == ["beam_5", "beam_5_uncached", "average_of_2"]
    for name, entry in record["translations"].items():
        for set_name, scores in entry["scores"].items():
            lines = hypotheses(finished, name, set_name).splitlines()
            reference = pair_corpus.reference(set_name)
            assert scores["sentences"] == len(lines) == len(reference)
            assert scores["bleu"] == bleu.score(lines, reference, "xb")["bleu"]
            assert scores["hypotheses_sha256"] == bleu.digest(lines)
    metrics = records.read(finished / records.FILE_NAME).metrics
    headline = record["translations"]["beam_5"]["scores"]
    for name in ("grammar_valid", "grammar_test"):
        assert metrics[f"{name}_bleu"] == headline[name]["bleu"]["score"]
    assert str(finished.parent) not in json.dumps(record), "a record must not name folders"


def test_hypotheses_with_and_without_the_fold_are_the_same(finished):
    translations = read(finished)["translations"]
    assert [translations[n]["settings"]["cache"] for n in list(translations)[:2]] == [True, False]
    for name in ("grammar_valid", "grammar_test"):
        assert len(set(hypotheses(finished, "beam_5", name).splitlines())) > 3
        assert hypotheses(finished, "beam_5", name) == hypotheses(finished, "beam_5_uncached", name)


@pytest.mark.parametrize(
    ("translation", "arguments"),
    [
        ("beam_5", []),
        ("beam_5", ["--no-cache"]),
        ("average_of_2", ["--average", "2"]),
    ],
)
def test_define_translate_gives_the_hypotheses_of_the_run(translation, arguments, finished, capsys):
    best = finished / "checkpoints" / "checkpoint_best.pt"
    own = ["--set", "grammar_test", "--max-len-b", "40", "--quiet"]
    assert main(["translate", str(best), *own, *arguments]) == 0
    assert capsys.readouterr().out == hypotheses(finished, translation, "grammar_test")


# Interruptions.


def outcome(folder: Path) -> dict:
    """All that a run left but times and the machine."""
    record = read(folder)
    for epoch in record["epochs"]:
        del epoch["seconds"]
    for entry in record["translations"].values():
        for scores in entry["scores"].values():
            del scores["seconds"]
    kept = ("status", "epochs", "final", "translations", "best_epoch", "parameters")
    left = {key: record[key] for key in kept}
    for path in sorted((folder / "checkpoints").iterdir()):
        checkpoint = torch.load(path, weights_only=True)
        extra, progress = checkpoint["extra_state"], checkpoint["optimizer_history"][-1]
        progress["lr_scheduler_state"].pop("best", None)  # see `outcome` in conftest.py
        left[path.name] = {
            "model": checkpoint["model"],
            "optimizer": checkpoint["last_optimizer_state"],
            "progress": progress,
            "position": extra["train_iterator"],
            "losses": (extra.get("val_loss"), extra.get("best")),
        }
    return left


# Two batches an update; checkpoints lie between epochs.
INTERRUPTED = [
    *("dataset.max_tokens=256", "optimization.max_update=14", "checkpoint.save_interval_updates=5"),
    *("~run.translations.beam_5", "~run.translations.beam_5_uncached"),
]


@pytest.fixture(scope="module")
def uninterrupted(pair_corpus, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEFINE_DATA", str(pair_corpus.folder.parent))
        assert main([*RUN, *INTERRUPTED, f"run.dir={folder}"]) == 0
    left = outcome(folder)
    assert {"checkpoint_last.pt", "checkpoint_best.pt"} < set(left)
    inside = [left[name]["position"]["iterations_in_epoch"] for name in left if ".pt" in name]
    assert any(inside), "a checkpoint must lie inside an epoch"
    return left


@pytest.mark.parametrize("updates", [[1], [7], [11], [6, 12]])
def test_resumed_is_uninterrupted(
    updates, uninterrupted, interrupt_at, pair_corpus, workplace, assert_same
):
    command = [*RUN, *INTERRUPTED, "run.dir=run"]
    for update in updates:
        interrupt_at(update)
        assert main(command) == 130
        assert read(workplace / "run")["status"] == "interrupted"
    assert main(command) == 0
    assert_same(outcome(workplace / "run"), uninterrupted)


def test_interrupted_while_it_translates(
    uninterrupted, pair_corpus, workplace, assert_same, monkeypatch
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    command = [*RUN, *INTERRUPTED, "run.dir=run"]
    with monkeypatch.context() as patch:
        patch.setattr("define.train.decoding.search", interrupted)
        assert main(command) == 130
    record = read(workplace / "run")
    assert (record["status"], record["final"]) == ("interrupted", None)
    assert not record.get("translations")
    assert main(command) == 0
    assert_same(outcome(workplace / "run"), uninterrupted)


def test_a_diverging_run_is_one_sentence(pair_corpus, workplace, capsys):
    assert main([*RUN, "optimization.lr=[1e30]", "run.dir=run"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("define: training has diverged (")
    assert captured.err.count("\n") == 1
    assert read(workplace / "run")["status"] == "failed"


@pytest.mark.parametrize("smoothing", ["1", "-0.1", "nan"])
def test_a_smoothing_that_is_no_probability_is_refused(smoothing, pair_corpus, workplace, capsys):
    assert main([*RUN, f"criterion.label_smoothing={smoothing}", "run.dir=run"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("define: criterion.label_smoothing = ") and error.count("\n") == 1
    assert not (workplace / "run").exists()


def test_factors_are_refused_where_parameters_are_flattened(pair_corpus, workplace, capsys):
    factor = "optimization.lr_factors.unit=0.5"
    assert main([*RUN, "common.fp16=true", factor, "run.dir=run"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("define: lr_factor_unit = 0.5 needs parameters that are marked by part")
    assert error.count("\n") == 1
    assert not (workplace / "run").exists()


def test_memory_efficient_precision_needs_fairseqs_adam(pair_corpus, workplace, capsys):
    assert main([*RUN, "common.fp16=true", "common.memory_efficient_fp16=true"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "define: common.memory_efficient_fp16 = true needs optimizer.use_old_adam = true:"
    )
    assert error.count("\n") == 1


# fairseq's own commands.

FLAGS = """
    --task define_translation --save-dir checkpoints --seed 1 --num-workers 0
    --criterion define_translation --label-smoothing 0.1 --optimizer define_adam --lr 0.01
    --lr-factor-unit 0.5 --lr-factor-context 0
    --max-tokens 512 --max-update 9 --no-epoch-checkpoints --dropout 0.2
    --model-dim 16 --inner-dim 32 --heads 2 --encoder-layers 1 --decoder-layers 2
"""
SIZES = {
    "define_transformer": "--map-dim 8 --expand-dim 32 --reduce-dim 16 --max-groups 4",
    "define_transformer_tiny_plain": "--map-dim 16",
}


def config_of(parser, corpus: PairCorpus, words: str) -> DictConfig:
    """What a command of fairseq makes of its flags."""
    flags = f"--user-dir {define.__path__[0]} --cpu --required-batch-size-multiple 1 {words}"
    flags += " --source-lang xa --target-lang xb"
    # A dictionary of Python may have spaces.
    arguments = options.parse_args_and_arch(parser, [str(corpus.folder), *shlex.split(flags)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Hydra on how fairseq calls it
        return convert_namespace_to_omegaconf(arguments)


def generated(capsys, corpus: PairCorpus, words: str) -> str:
    """The detokenised text that fairseq-generate prints for the test set, in its order."""
    words += " --path checkpoints/checkpoint_last.pt --beam 5 --max-len-b 9 --gen-subset test"
    words += " --remove-bpe sentencepiece"
    generate.main(config_of(options.get_generation_parser(), corpus, words))
    found = re.findall(r"^D-(\d+)\t\S+\t(.*)$", capsys.readouterr().out, re.MULTILINE)
    assert len(found) == 17
    return "".join(f"{line}\n" for _, line in sorted(found, key=lambda pair: int(pair[0])))


@pytest.mark.parametrize("name", SIZES)
def test_fairseq_train_and_generate(name, pair_corpus, workplace, capsys, monkeypatch):
    words = f"--arch {name} {SIZES[name]} {FLAGS}"
    train.main(config_of(options.get_training_parser(), pair_corpus, words))
    checkpoint = torch.load("checkpoints/checkpoint_last.pt", weights_only=True)
    section = checkpoint["cfg"]["model"]
    assert (section["_name"], section["dropout"], section["decoder_layers"]) == (name, 0.2, 2)
    assert (section["input"] == "table") == ("plain" in name)
    assert checkpoint["optimizer_history"][-1]["num_updates"] == 9
    groups = checkpoint["last_optimizer_state"]["param_groups"]
    assert {group.get("lr_factor") for group in groups} == (
        {None, 1.0, 0.0} if "plain" in name else {None, 1.0, 0.0, 0.5}
    )

    folds, fold = [], DefineEmbedding.cache
    monkeypatch.setattr(DefineEmbedding, "cache", lambda self: folds.append(1) or fold(self))
    found = {
        task: generated(capsys, pair_corpus, f"--task {task}")
        for task in ("define_translation", "translation")
    }
    assert len(folds) == 4  # source and target, twice
    override = """--task translation --model-overrides "{'cache': False}" """
    found["without the fold"] = generated(capsys, pair_corpus, override)
    assert len(folds) == 4
    arguments = ["--set", "grammar_test", "--max-len-b", "9", "--quiet"]
    assert main(["translate", "checkpoints/checkpoint_last.pt", *arguments]) == 0
    expected = capsys.readouterr().out
    assert len(set(expected.splitlines())) > 1
    assert found == dict.fromkeys(found, expected)
