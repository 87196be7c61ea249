"""The translation task: no sentence is lost, tokens are counted; accumulation and precisions."""

import math
from itertools import islice

import pytest
import torch
from fairseq import tasks, utils
from fairseq.logging import metrics
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from fairseq.trainer import Trainer
from fairseq_cli.train import validate
from omegaconf import OmegaConf

from define import plugin
from define.errors import InputError
from define.evaluation.decodings import Decoding
from define.tasks.observer import Observed, Observer
from define.tasks.translation import DefineTranslationConfig, DefineTranslationTask
from define.train.compose import compose, fairseq_config
from define.train.decoding import load_model, translate

SPLITS = ("train", "valid", "test")


@pytest.fixture
def make_task(pair_corpus):
    """(class, config class, fields of the config) -> a task with all splits."""

    def make(task=DefineTranslationTask, config=DefineTranslationConfig, **fields):
        own = {"source_lang": "xa", "target_lang": "xb", "train_subset": "train"}
        own |= {"dataset_impl": "mmap", "required_seq_len_multiple": 1}
        made = task.setup_task(config(data=str(pair_corpus.folder), **own, **fields))
        for split in SPLITS:
            made.load_dataset(split)
        return made

    return make


def ids_of(iterator) -> list[int]:
    """Of the sentences of an epoch, in order."""
    return [i for batch in iterator.next_epoch_itr() if batch for i in batch["id"].tolist()]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(("max_tokens", "shards"), [(31, 1), (64, 3), (4096, 1)])
def test_every_sentence_comes_once_per_epoch(max_tokens, shards, split, make_task):
    task = make_task()
    dataset = task.dataset(split)
    iterators = [
        task.get_batch_iterator(
            dataset,
            max_tokens=max_tokens,
            required_batch_size_multiple=1,
            num_shards=shards,
            shard_id=shard,
            disable_iterator_cache=True,
        )
        for shard in range(shards)
    ]
    for _ in range(2):
        ids = [i for iterator in iterators for i in ids_of(iterator)]
        assert sorted(ids) == list(range(len(dataset)))


@pytest.mark.parametrize("cached", [True, False])
def test_batches_are_the_same_whatever_the_epoch_in_which_they_are_made(cached, make_task):
    """A run that is resumed makes them in a later epoch than one that is not."""

    def batches(task, epoch: int):
        iterator = task.get_batch_iterator(
            task.dataset("train"), max_tokens=64, epoch=epoch, disable_iterator_cache=not cached
        )
        return iterator, [batch.tolist() for batch in iterator.frozen_batches]

    made = {}
    for epoch in (1, 3):
        task = make_task()
        first, made[epoch] = batches(task, epoch)
        assert first.next_epoch_idx == epoch
        order = ids_of(first)
        second, again = batches(task, epoch + 1)
        assert (second is first) == cached
        assert second.next_epoch_idx == epoch + 1
        assert again == made[epoch]
        assert ids_of(second) != order, "batches come in another order in every epoch"
    assert made[1] == made[3]
    plain = [batches(make_task(TranslationTask, TranslationConfig), epoch)[1] for epoch in (1, 3)]
    assert plain[0] != plain[1], "fairseq's do not depend on it any more: ours are not needed"


def test_batches_in_multiples_would_lose_sentences_and_are_refused(make_task):
    rule = (
        r"required_batch_size_multiple = 8 makes fairseq drop the last sentences, which are "
        r"the longest; set it to 1 \(--required-batch-size-multiple 1\)"
    )
    task = make_task()
    with pytest.raises(InputError, match=rule):
        task.get_batch_iterator(
            task.dataset("valid"), max_tokens=64, required_batch_size_multiple=8
        )


@pytest.mark.parametrize(
    ("split", "max_tokens", "multiple", "lost"),
    [
        *(("train", 4096, 8, 0), ("train", 4096, 7, 1), ("valid", 4096, 8, 5)),
        *(("test", 4096, 8, 1), ("test", 4096, 32, 17), ("test", 4096, 1, 0)),
        *(("train", 60, 8, 4), ("valid", 60, 8, 3), ("test", 60, 8, 4), ("train", 60, 1, 0)),
    ],
)
def test_what_fairseq_itself_loses(split, max_tokens, multiple, lost, make_task):
    """In training too: a last batch that is no multiple, which holds the longest sources."""
    dataset = make_task(TranslationTask, TranslationConfig).dataset(split)
    batches = dataset.batch_by_size(
        dataset.ordered_indices(), max_tokens=max_tokens, required_batch_size_multiple=multiple
    )
    kept = {i for batch in batches for i in batch.tolist()}
    left = set(range(len(dataset))) - kept
    assert len(left) == lost
    if left and kept:
        assert dataset.src_sizes[list(left)].min() >= dataset.src_sizes[list(kept)].max()


def test_an_unknown_precision_is_refused(make_task):
    with pytest.raises(InputError, match="task.autocast = 'fp8' is unknown; take none, bf16"):
        make_task(autocast="fp8")


# With fairseq's trainer.


@pytest.fixture
def make_trainer(pair_corpus, workplace):
    """(overrides of the smoke run...) -> fairseq's trainer."""

    def make(*overrides: str) -> Trainer:
        experiment = ["experiment=table_3/transformer_define", "scale=smoke", "run.dir=run"]
        plugin.register()
        cfg = OmegaConf.create(fairseq_config(compose([*experiment, *overrides])))
        metrics.reset()
        utils.set_torch_seed(1)
        task = tasks.setup_task(cfg.task)
        task.load_dataset("valid")
        task.load_dataset("test")
        return Trainer(cfg, task, task.build_model(cfg.model), task.build_criterion(cfg.criterion))

    return make


@pytest.fixture
def heard(monkeypatch):
    """What the observer hears."""
    told = []

    class Recorder(Observer):
        def begin(self):
            told.append(("begin",))

        def updated(self, update, tokens, lr, nll):
            told.append(("updated", update, tokens, lr, float(nll)))

        def validated(self, epoch, stats, averaged):
            told.append(("validated", epoch, stats["scored_tokens"], averaged))

    monkeypatch.setattr(Observed, "observer", Recorder())
    return told


def batches_of(trainer: Trainer, number: int) -> list[dict]:
    iterator = trainer.get_train_iterator(epoch=1).next_epoch_itr()
    trainer.begin_epoch(1)
    return list(islice(iterator, number))


def test_the_observer_hears_of_updates_and_validations(make_trainer, heard):
    trainer = make_trainer("dataset.max_tokens=64", "run.tokens_per_update=128")
    one, two, three = batches_of(trainer, 3)
    logs = [trainer.train_step([one, two]), trainer.train_step([three])]
    tokens = [batch["ntokens"] for batch in (one, two, three)]
    assert tokens == [
        int((b["target"] != trainer.task.tgt_dict.pad()).sum()) for b in (one, two, three)
    ]
    lr = trainer.cfg.optimization.lr[0] / 10  # the second of ten updates of warm-up
    assert heard[0] == ("begin",)
    assert heard[1][:3] == ("updated", 1, tokens[0] + tokens[1])
    assert heard[2][:3] == ("updated", 2, tokens[2])
    assert heard[2][3] == pytest.approx(lr)
    for event, log in zip(heard[1:3], logs, strict=True):
        assert event[4] / event[2] == pytest.approx(float(log["nll_loss"]) * math.log(2), rel=1e-6)
    epoch = trainer.get_train_iterator(epoch=1)
    validate(trainer.cfg, trainer, trainer.task, epoch, ["valid", "test"])
    sizes = [int(trainer.task.dataset(split).tgt_sizes.sum()) for split in ("valid", "test")]
    assert heard[3:] == [("validated", 1, size, False) for size in sizes]


def test_a_dummy_batch_is_not_counted(make_trainer, heard):
    """What a device gets that has no batch left; its gradient is ignored."""
    losses = []
    for dummies in ([], [{}]):
        trainer = make_trainer("dataset.max_tokens=64")
        (batch,) = batches_of(trainer, 1)
        trainer.train_step([batch, *dummies])
        assert heard[-1][:3] == ("updated", 1, batch["ntokens"])
        losses.append(heard[-1][4])
    assert losses[0] == losses[1]


def test_a_validation_that_skips_tokens_is_an_error(make_trainer):
    trainer = make_trainer("dataset.max_tokens_valid=60", "dataset.max_valid_steps=0")
    epoch = trainer.get_train_iterator(epoch=1)
    with pytest.raises(RuntimeError, match=r"validation scored \d+ tokens, but the corpus has 174"):
        validate(trainer.cfg, trainer, trainer.task, epoch, ["valid"])


def test_four_small_batches_are_one_large_one(make_trainer, monkeypatch):
    # fairseq takes the softmax in float32, whatever the model's precision is.
    monkeypatch.setattr(utils, "log_softmax", lambda x, dim, onnx_trace=False: x.log_softmax(dim))
    monkeypatch.setattr(Trainer, "clip_grad_norm", lambda *_: torch.zeros(()))  # float32 only
    found = {}
    for name in ("small", "large"):
        trainer = make_trainer(
            "dataset.max_tokens=64", "model.dropout=0.0", "model.unit_dropout=0.0"
        )
        trainer.model.double()
        batches = batches_of(trainer, 4)
        if name == "large":
            dataset = trainer.task.dataset("train")
            ids = [i for batch in batches for i in batch["id"].tolist()]
            assert len(set(ids)) == len(ids) > 8
            batches = [dataset.collater([dataset[i] for i in ids])]
        losses = [trainer.criterion(trainer.model, batch)[0].item() for batch in batches]
        trainer.train_step(batches)
        gradients = {name: p.grad for name, p in trainer.model.named_parameters()}
        found[name] = {"loss": torch.tensor(sum(losses), dtype=torch.float64), **gradients}
    assert all(gradient.dtype == torch.float64 for gradient in found["small"].values())
    torch.testing.assert_close(found["small"], found["large"], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("overrides", "dtype"),
    [
        (["common.bf16=true"], torch.bfloat16),
        # Gradients are flattened on a GPU only.
        (["common.fp16=true", "common.fp16_no_flatten_grads=true"], torch.float16),
    ],
    ids=["bf16", "fp16"],
)
def test_fairseqs_half_precision_trains_and_its_checkpoint_translates(
    overrides, dtype, make_trainer, pair_corpus
):
    trainer = make_trainer("dataset.max_tokens=64", *overrides)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    for batch in batches_of(trainer, 2):  # the rate of the first update is zero
        trainer.train_step([batch])
    assert trainer.get_num_updates() == 2
    after = list(trainer.model.parameters())
    assert {p.dtype for p in after} == {dtype}
    assert all(p.isfinite().all() for p in after)
    changed = [not torch.equal(p, q) for p, q in zip(after, before, strict=True)]
    assert sum(changed) > len(changed) / 2
    trainer.consolidate_optimizer()
    trainer.save_checkpoint("half.pt", {})
    model = load_model("half.pt", trainer.task, Decoding())
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    data = trainer.task.dataset("test")
    subwords = pair_corpus.subwords()
    assert len(translate(model, trainer.task, data, subwords, Decoding(max_len_b=9), True)) == 17


def test_autocast_changes_products_and_not_weights(make_trainer):
    losses = {}
    for precision in ("none", "bf16"):
        trainer = make_trainer(
            f"task.autocast={precision}", "model.dropout=0.0", "model.unit_dropout=0.0"
        )
        (batch,) = batches_of(trainer, 1)
        _, _, log = trainer.task.valid_step(batch, trainer.model, trainer.criterion)
        losses[precision] = log["loss"].item()
        trainer.train_step([batch])
        assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}
    assert losses["bf16"] != losses["none"]
    assert losses["bf16"] == pytest.approx(losses["none"], rel=0.01)
