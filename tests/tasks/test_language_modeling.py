"""The task's iterators: every token once, exact positions, and what it refuses."""

import numpy as np
import pytest
import torch
from fairseq import distributed_utils
from omegaconf import OmegaConf

from define.core.outputs import IGNORED
from define.core.state import map_state
from define.errors import InputError
from define.tasks.language_modeling import (
    LanguageModelingTaskConfig,
    StreamLanguageModelingTask,
    gather,
    own_columns,
)

RANDOM = {"bptt": 13, "random_bptt": True, "bptt_std": 3.0, "short_bptt_probability": 0.3}


@pytest.fixture
def make_task(corpus):
    """(fields of the task's config) -> the task, with its training and validation split."""

    def make(**fields) -> StreamLanguageModelingTask:
        task = StreamLanguageModelingTask(
            LanguageModelingTaskConfig(data=str(corpus.folder), **fields)
        )
        for split in ("train", "valid"):
            task.load_dataset(split)
        return task

    return make


def batches_of(task, split="train", streams=4, **arguments):
    return task.get_batch_iterator(task.dataset(split), max_sentences=streams, **arguments)


def targets_of(iterator) -> tuple[torch.Tensor, list[int]]:
    """All targets (T, B) of the rest of an epoch, and the lengths of its windows."""
    samples = list(iterator.next_epoch_itr())
    return torch.cat([s["target"] for s in samples]), [s["length"] for s in samples]


@pytest.mark.parametrize("split", ["train", "valid"])
@pytest.mark.parametrize(
    ("train_tokens", "streams", "shards"), [(1213, 4, 2), (0, 3, 1), (17, 5, 3)]
)
def test_every_token_is_predicted_once_per_epoch(
    split, train_tokens, streams, shards, make_task, corpus
):
    task = make_task(train_tokens=train_tokens, **RANDOM)
    tokens = corpus.tokens[split]
    if split == "train":
        tokens = tokens[: train_tokens or None]
    iterators = [
        batches_of(task, split, streams, num_shards=shards, shard_id=shard)
        for shard in range(shards)
    ]
    windows = []
    for _ in range(3):
        columns, lengths = [], []
        for iterator in iterators:
            targets, own = targets_of(iterator)
            assert targets.shape[1] == streams
            columns += [column[column != IGNORED].numpy() for column in targets.T]
            lengths.append(own)
        np.testing.assert_array_equal(np.concatenate(columns), tokens)
        assert all(own == lengths[0] for own in lengths), "workers must step together"
        windows.append(lengths[0])
    assert sum(windows[0]) == -(-len(tokens) // (streams * shards))
    if split == "valid":
        assert windows[0] == windows[1] and set(windows[0][:-1]) <= {RANDOM["bptt"]}
    elif sum(windows[0]) > 50:
        assert windows[0] != windows[1] != windows[2]


def test_samples_count_what_they_score(make_task):
    samples = list(batches_of(make_task(train_tokens=1213)).next_epoch_itr())
    assert [s["first"] for s in samples] == [True] + [False] * (len(samples) - 1)
    for sample in samples:
        assert sample["ntokens"] == int((sample["target"] != IGNORED).sum())
        assert sample["length"] == len(sample["target"]) == len(sample["net_input"]["src_tokens"])
    assert sum(s["ntokens"] for s in samples) == 1213


@pytest.mark.parametrize("done", [0, 1, 5])
def test_the_iterator_restores_its_position(done, make_task):
    task = make_task(**RANDOM)
    iterator = batches_of(task, seed=7)
    list(iterator.next_epoch_itr())
    samples = iterator.next_epoch_itr()
    for _ in range(done):
        next(samples)
    assert iterator.iterations_in_epoch == done and not iterator.end_of_epoch()
    restored = batches_of(task, seed=7)
    restored.load_state_dict(iterator.state_dict())
    assert restored.next_epoch_idx == 2
    rest = list(samples)
    again = list(restored.next_epoch_itr())
    assert len(again) == len(rest) > 0
    for one, other in zip(rest, again, strict=True):
        assert torch.equal(one["target"], other["target"])
        assert one["first"] == other["first"]
    assert restored.end_of_epoch() and restored.next_epoch_idx == 3
    assert restored.state_dict() == iterator.state_dict()


def test_a_position_inside_an_epoch_holds_for_its_number_of_streams(make_task):
    task = make_task()
    iterator = batches_of(task, streams=6)
    samples = iterator.next_epoch_itr()
    next(samples)
    batches_of(task, streams=3, num_shards=2).load_state_dict(iterator.state_dict())
    with pytest.raises(InputError, match="6 streams, but this run has 4"):
        batches_of(task, streams=4).load_state_dict(iterator.state_dict())
    list(samples)
    batches_of(task, streams=4).load_state_dict(iterator.state_dict())


def test_without_a_group_a_worker_owns_all_columns():
    state = tuple((torch.rand(1, 3, 2), torch.rand(1, 3, 2)) for _ in range(2))
    sample = {"nsentences": 3, "target": torch.zeros(1)}
    for layer, restored in zip(state, own_columns(state, sample), strict=True):
        for one, other in zip(layer, restored, strict=True):
            assert torch.equal(one, other)


STATES = {
    "lstm": tuple((torch.rand(1, 6, 2), torch.rand(1, 6, 3)) for _ in range(2)),
    "transformer_xl": tuple(torch.rand(4, 6, 5) for _ in range(3)),
    "empty memory": (torch.rand(0, 6, 5),) * 2,
    "one tensor": torch.rand(2, 6, 3),
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
def test_workers_columns_are_gathered_side_by_side_and_given_back(state, monkeypatch):
    """Three workers with two columns each; a gathered state is all of them on each worker."""
    parts = [map_state(lambda whole, r=r: whole[:, 2 * r : 2 * r + 2], state) for r in range(3)]
    leaves = [iter(leaves_of(part)) for part in parts]
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed_utils, "get_data_parallel_group", lambda: "group")
    monkeypatch.setattr(
        distributed_utils, "all_gather", lambda own, group: [next(leaf) for leaf in leaves]
    )
    gathered = gather(parts[1])
    torch.testing.assert_close(gathered, state, rtol=0, atol=0)
    sample = {"nsentences": 2, "target": torch.zeros(1)}
    for rank, part in enumerate(parts):
        monkeypatch.setattr(distributed_utils, "get_data_parallel_rank", lambda rank=rank: rank)
        torch.testing.assert_close(own_columns(gathered, sample), part, rtol=0, atol=0)


def leaves_of(state) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state]
    return [leaf for part in state for leaf in leaves_of(part)]


def test_a_gathered_state_is_that_of_the_only_worker():
    assert gather(None) is None
    for state in STATES.values():
        torch.testing.assert_close(gather(state), state, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"autocast": "fp8"}, "task.autocast = 'fp8'"),
        ({"bptt": 0}, "task.bptt = 0"),
        ({"train_tokens": -3}, "task.train_tokens = -3"),
    ],
)
def test_bad_values_are_named(fields, named, make_task):
    with pytest.raises(InputError, match=named):
        make_task(**fields)


def test_the_number_of_streams_is_needed(make_task):
    with pytest.raises(InputError, match="dataset.batch_size"):
        batches_of(make_task(), streams=None)


def test_a_criterion_without_state_is_refused(make_task):
    config = OmegaConf.create({"_name": "cross_entropy", "sentence_avg": True})
    with pytest.raises(InputError, match="--criterion define_language_modeling"):
        make_task().build_criterion(config)
