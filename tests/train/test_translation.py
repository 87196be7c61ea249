"""The translation workload: what it refuses, its loss, and the scores of its evaluation sets."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fairseq import tasks
from omegaconf import OmegaConf

from define.errors import InputError
from define.evaluation import bleu
from define.evaluation.decodings import Decoding
from define.train import decoding, translation
from define.train.compose import compose, fairseq_config

SHORT = {"beam": 2, "max_len_b": 9}


@pytest.fixture
def config(workplace, pair_corpus):
    """(overrides...) -> a smoke run on the tiny corpus, in the folder `run`."""
    return lambda *overrides: compose(
        ["experiment=table_3/transformer_define", "scale=smoke", "run.dir=run", *overrides]
    )


def one_by_one(model, task, split: str) -> tuple[float, int]:
    """Nats per target token of a split, and how many; one sentence at a time, without padding."""
    task.load_dataset(split)
    total, scored, data = 0.0, 0, task.dataset(split)
    for source, target in zip(data.src, data.tgt, strict=True):
        before = torch.cat([target[-1:], target[:-1]])  # fairseq begins with </s>
        sizes = torch.tensor([len(source)])
        with torch.no_grad():
            output, _ = model(source[None], sizes, before[None])
        log_probs = output[0].double().log_softmax(-1)
        total -= sum(log_probs[i, t].item() for i, t in enumerate(target.tolist()))
        scored += len(target)
    return total / scored, scored


# Before training.


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["run.translations.average_of_2.average=3"],
            "run.translations.average_of_2 averages 3 checkpoints, but 2 are kept; set checkpoint",
        ),
        (["checkpoint.keep_interval_updates=1"], "average_of_2 averages 2 checkpoints, but 1 are"),
        (["checkpoint.save_interval_updates=0"], "average_of_2 averages 2 checkpoints, but 0 are"),
        (
            ["dataset.max_tokens=null", "run.tokens_per_update=0"],
            "batches have no size; set dataset.max_tokens",
        ),
        (["run.translations.beam_5.beam=0"], "run.translations.beam_5: beam = 0 must be at least"),
    ],
)
def test_recipes_that_cannot_be_scored_are_refused(overrides, sentence, config):
    with pytest.raises(InputError, match=sentence):
        translation.check_recipe(config(*overrides))


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["checkpoint.keep_interval_updates=-1", "run.translations.average_of_2.average=9"],
        [
            *("checkpoint.save_interval_updates=0", "checkpoint.no_epoch_checkpoints=false"),
            "checkpoint.keep_last_epochs=2",
        ],
    ],
)
def test_recipes_that_keep_enough_checkpoints_are_taken(overrides, config):
    translation.check_recipe(config(*overrides))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["data_root=nowhere"], "There is no prepared corpus in .*/nowhere/grammar"),
        (
            ["task.target_lang=de"],
            "task.source_lang and target_lang are xa and de, but grammar translates xa to xb; set",
        ),
        (["model.share=all"], "share = all needs one dictionary for both languages"),
        (["model.heads=3"], "model_dim = 16 must be a multiple of model.heads = 3"),
    ],
)
def test_what_could_not_be_trained_is_refused(overrides, sentence, config):
    with pytest.raises(InputError, match=sentence):
        translation.check(config(*overrides), translation.load(config(*overrides)))


# After training.


@pytest.fixture
def scored(config, pair_corpus, save_translator):
    """(translations, overrides...) -> what is scored of an untrained model."""

    def score(translations: dict, *overrides: str, corpus=pair_corpus) -> dict:
        own = config(*overrides)
        own.run.translations = translations
        folder = Path(own.checkpoint.save_dir)
        save_translator(folder / "checkpoint_best.pt", seed=3)
        for number in (1, 2):
            save_translator(folder / f"checkpoint{number}.pt", seed=number)
        return translation.score(own, corpus, quiet=True)

    return score


@pytest.fixture
def loaded(config):
    """(settings) -> the task of a run, and the model that was scored."""

    def load(**settings):
        own = config()
        task = tasks.setup_task(OmegaConf.create(fairseq_config(own)["task"]))
        best = Path(own.checkpoint.save_dir) / "checkpoint_best.pt"
        return task, decoding.load_model(best, task, Decoding(**settings))

    return load


def test_every_set_is_translated_and_scored_by_every_decoding(scored, pair_corpus, workplace):
    found = scored({"plain": SHORT, "computed": {**SHORT, "cache": False}})
    assert list(found) == ["translations", "final"]
    assert list(found["translations"]) == ["plain", "computed"]
    for name, cache in (("plain", True), ("computed", False)):
        entry = found["translations"][name]
        assert entry["settings"] == Decoding(**SHORT, cache=cache).settings()
        assert list(entry["scores"]) == ["grammar_valid", "grammar_test"]
        for set_name, scores in entry["scores"].items():
            path = workplace / "run" / "hypotheses" / name / f"{set_name}.txt"
            lines = path.read_text("utf-8").splitlines()
            expected = bleu.score(lines, pair_corpus.reference(set_name), "xb")
            assert scores.pop("seconds") > 0
            assert scores == {**expected, "hypotheses_sha256": bleu.digest(lines)}
    one, other = (found["translations"][name]["scores"] for name in ("plain", "computed"))
    assert one == other
    json.dumps(found)  # a record holds plain values only


def test_the_hypotheses_are_those_of_the_raw_text(scored, loaded, pair_corpus, workplace):
    scored({"plain": SHORT})
    task, model = loaded()
    for name in ("grammar_valid", "grammar_test"):
        data = decoding.encode(pair_corpus.source_text(name), task, pair_corpus.subwords("xa"))
        subwords = pair_corpus.subwords()
        lines = decoding.translate(model, task, data, subwords, Decoding(**SHORT), quiet=True)
        text = (workplace / "run" / "hypotheses" / "plain" / f"{name}.txt").read_text("utf-8")
        assert text == "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("average", [0, 2])
def test_the_final_loss_is_that_of_the_headline(average, scored, loaded, pair_corpus):
    final = scored({"a": {**SHORT, "average": average}, "b": SHORT})["final"]
    task, model = loaded(average=average, cache=False)
    assert list(final) == ["valid", "test"]
    for split, score in final.items():
        nll, tokens = one_by_one(model, task, split)
        assert score["scored_tokens"] == tokens == pair_corpus.meta["tokens"][split]
        assert score["nll"] == pytest.approx(nll, rel=1e-6)


def test_averages_are_scored_as_such(scored):
    found = scored({"plain": SHORT, "average": {**SHORT, "average": 2}})["translations"]
    digests = [entry["scores"]["grammar_valid"]["hypotheses_sha256"] for entry in found.values()]
    assert digests[0] != digests[1]


def test_trials_of_a_search_do_not_see_the_test_set(scored, pair_corpus, monkeypatch, workplace):
    read, cls = [], type(pair_corpus)
    reference = cls.reference
    monkeypatch.setattr(
        cls, "reference", lambda self, name: read.append(name) or reference(self, name)
    )
    found = scored({"plain": SHORT}, "run.score_test=false")
    assert read == list(found["translations"]["plain"]["scores"]) == ["grammar_valid"]
    assert list(found["final"]) == ["valid"]
    hypotheses = workplace / "run" / "hypotheses" / "plain"
    assert [path.name for path in hypotheses.iterdir()] == ["grammar_valid.txt"]


def test_a_set_within_another_is_not_translated_again(scored, pair_corpus, tmp_path, monkeypatch):
    lines = [16, 0, 5]
    folder = tmp_path / "nested"
    shutil.copytree(pair_corpus.folder, folder)
    whole = pair_corpus.reference("grammar_test")
    (folder / "references" / "part.xb").write_text("\n".join(whole[i] for i in lines), "utf-8")
    part = {"set": "part", "split": "test", "sentences": 3, "within": "grammar_test"}
    sets = [{**part, "lines": lines}, *pair_corpus.sets]
    corpus = replace(pair_corpus, folder=folder, meta={**pair_corpus.meta, "sets": sets})
    translated, translate = [], decoding.translate

    def spied(*arguments):
        translated.append(translate(*arguments))
        return translated[-1]

    monkeypatch.setattr(decoding, "translate", spied)
    scores = scored({"plain": SHORT}, corpus=corpus)["translations"]["plain"]["scores"]
    assert set(scores) == {"part", "grammar_valid", "grammar_test"}
    assert [len(hypotheses) for hypotheses in translated] == [21, 17]
    picked = [translated[1][line] for line in lines]
    assert scores["part"]["hypotheses_sha256"] == bleu.digest(picked)
    assert (scores["part"]["sentences"], scores["part"]["seconds"]) == (3, 0)
    assert scores["part"]["bleu"] == bleu.score(picked, corpus.reference("part"), "xb")["bleu"]


def test_a_loss_that_leaves_tokens_out_is_an_error(scored, loaded, monkeypatch):
    scored({"plain": SHORT})
    task, model = loaded()
    batches = task.get_batch_iterator
    monkeypatch.setattr(
        task, "get_batch_iterator", lambda data, **o: batches(data, **o, num_shards=2, shard_id=1)
    )
    with pytest.raises(RuntimeError, match=r"scored \d+ tokens of 174: a number would mean noth"):
        translation.loss(model, task, "valid", max_tokens=40)
