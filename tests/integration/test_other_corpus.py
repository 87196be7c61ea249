"""A checkpoint is read only with the corpus and the dictionary of its training."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fairseq import checkpoint_utils

from define.cli.main import main
from define.data.text import corpora
from define.data.text.prepare import prepare
from define.data.text.vocabulary import EOS
from define.errors import InputError
from define.evaluation import checkpoints
from define.tasks.language_modeling import LanguageModelingTaskConfig, StreamLanguageModelingTask
from define.train.decoding import task_for

OTHER_DICTIONARY = "dict.txt of the corpus 'python_docs' differs from the one used in training"
OTHER_TEXT = "valid.npy of the corpus 'python_docs' differs from the one used in training"


def lines_of(corpus: corpora.Corpus, split: str) -> list[str]:
    words = [corpus.vocabulary.types[i] for i in corpus.tokens[split]]
    return [line.strip() for line in " ".join(words).split(EOS)][:-1]


def swapped(line: str) -> str:
    """The line with two words in each other's place, everywhere."""
    return " ".join({"w3": "w24", "w24": "w3"}.get(word, word) for word in line.split())


@pytest.fixture
def other(tmp_path, monkeypatch, corpus):
    """Kind -> the folder of a corpus with as many types and tokens as the tiny one."""

    def make(kind: str) -> Path:
        text = {split: lines_of(corpus, split) for split in corpora.SPLITS}
        if kind == "dictionary":  # the same types in another order
            text["train"] = [swapped(line) for line in text["train"]]
        else:
            text["valid"].reverse()
        spec = corpora.CorpusSpec("python_docs", "Synthetic", "None.", generate=lambda: text)
        monkeypatch.setitem(corpora.REGISTRY, "python_docs", spec)
        folder = prepare("python_docs", tmp_path / kind / "python_docs").folder
        types = corpora.load(folder).vocabulary.types
        assert sorted(types) == sorted(corpus.vocabulary.types)
        assert (types == corpus.vocabulary.types) == (kind == "text")
        return folder

    return make


def evaluate(capsys, *arguments: str) -> tuple[int, str]:
    code = main(["evaluate", "--quiet", *map(str, arguments)])
    return code, capsys.readouterr().err


def test_evaluate_refuses_another(finished, other, capsys):
    best = finished / "checkpoints" / "checkpoint_best.pt"
    text, dictionary = other("text"), other("dictionary")
    assert evaluate(capsys, best, "--data", text) == (2, f"define: {sentence(OTHER_TEXT)}")
    assert evaluate(capsys, best, "--data", text, "--allow-other-corpus") == (0, "")
    for allowed in ([], ["--allow-other-corpus"]):
        code, err = evaluate(capsys, best, "--data", dictionary, *allowed)
        assert (code, err.startswith(f"define: {OTHER_DICTIONARY} ")) == (2, True)
    code, err = evaluate(capsys, best, "--allow-other-corpus", "--output", "x.json")
    assert code == 2 and "leave out --allow-other-corpus" in err


def sentence(opening: str) -> str:
    return (
        f"{opening} (it must have the same SHA-256); name the corpus 'python_docs' as it was "
        "prepared for the training (`define evaluate` and `define translate` read another with "
        "--allow-other-corpus)\n"
    )


def test_a_checkpoint_of_an_earlier_version(finished, other, capsys, tmp_path, checkpoint_of):
    old = checkpoint_of(finished, "checkpoint_best")
    del old["task_state"]
    alone = tmp_path / "alone" / "checkpoints" / "old.pt"
    alone.parent.mkdir(parents=True)
    torch.save(old, alone)
    assert evaluate(capsys, alone, "--data", other("text")) == (0, "")
    shutil.copy(finished / "record.json", alone.parents[1])
    code, err = evaluate(capsys, alone, "--data", other("text"))
    assert (code, err.startswith(f"define: {OTHER_TEXT}")) == (2, True)


def test_a_run_does_not_resume_on_another(
    train, interrupt_at, other, capsys, monkeypatch, workplace
):
    overrides = ["optimization.max_epoch=2", "run.dir=run"]
    interrupt_at(1)
    assert train(*overrides) == 130
    before = (workplace / "run" / "record.json").read_bytes()
    monkeypatch.setenv("DEFINE_DATA", str(other("dictionary").parent))
    capsys.readouterr()
    assert train(*overrides) == 2
    assert capsys.readouterr().err.startswith(
        "define: dict.txt of the corpus 'python_docs' differs "
    )
    assert (workplace / "run" / "record.json").read_bytes() == before


def test_fairseqs_own_readers_refuse_another(finished, other):
    best = finished / "checkpoints" / "checkpoint_best.pt"
    task = StreamLanguageModelingTask(LanguageModelingTaskConfig(data=str(other("dictionary"))))
    with pytest.raises(InputError, match=OTHER_DICTIONARY):  # as fairseq-generate does
        checkpoint_utils.load_model_ensemble([str(best)], task=task)
    saved = torch.load(best, weights_only=True)["extra_state"]
    with pytest.raises(InputError, match=OTHER_DICTIONARY):  # as a fairseq-train that resumes
        task.set_checkpoint_dict(saved[type(task).__name__])


# Translation.


def test_translate_refuses_another(save_translator, pair_corpus, workplace, capsys, monkeypatch):
    path = workplace / "checkpoint_best.pt"
    save_translator(path)
    saved = torch.load(path, weights_only=True)

    def translate(*options: str, **changed) -> tuple[int, str]:
        state = {"corpus": {**pair_corpus.identity, **changed}}
        torch.save({**saved, "task_state": state}, path)
        code = main(["translate", str(path), "--set", "grammar_test", "--quiet", *options])
        return code, capsys.readouterr().err

    assert translate("--max-len-b", "3") == (0, "")
    other_text = {"sha256": {"train.xa-xb.xa.bin": "0" * 64}}
    code, err = translate(**other_text)
    assert code == 2 and err.startswith(
        "define: train.xa-xb.xa.bin of the corpus 'grammar' differs "
    )
    assert translate("--max-len-b", "3", "--allow-other-corpus", **other_text) == (0, "")
    code, err = translate("--allow-other-corpus", dictionaries={"dict.xa.txt": "0" * 64})
    assert code == 2 and err.startswith("define: dict.xa.txt of the corpus 'grammar' differs ")
    task = task_for(saved, pair_corpus)
    with pytest.raises(InputError, match="dict.xa.txt"):
        task.load_state_dict(torch.load(path, weights_only=True)["task_state"])


def test_of_a_folder_by_fairseq_preprocess_the_dictionary_counts(
    save_translator, pair_corpus, workplace
):
    path = workplace / "checkpoint_best.pt"
    save_translator(path)
    folder = workplace / "preprocessed"
    shutil.copytree(pair_corpus.folder, folder)
    (folder / "meta.json").unlink()
    (folder / "valid.xa-xb.xa.bin").write_bytes(b"")  # other text
    corpus = replace(pair_corpus, folder=folder)

    def load() -> None:
        task_for(checkpoints.load(path), corpus).load_state_dict({"corpus": pair_corpus.identity})

    load()
    dictionary = folder / "dict.xb.txt"
    first, second, *rest = dictionary.read_text(encoding="utf-8").splitlines()
    dictionary.write_text("\n".join([second, first, *rest]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="dict.xb.txt"):
        load()
