"""Streams predict each token once; window lengths follow AWD-LSTM's distribution."""

import math

import numpy as np
import pytest

from define.data.streams import PAD_TARGET, SlidingWindows, Streams, bptt_lengths
from define.errors import InputError

EOS = 0
FIRST_ID = 10
SIZES = [(1, 1, 1), (7, 3, 1), (10, 10, 5), (101, 8, 4), (997, 12, 3), (1000, 10, 2)]


def corpus(size: int) -> np.ndarray:
    """Tokens that name their own position, none of which is EOS."""
    return np.arange(FIRST_ID, FIRST_ID + size, dtype=np.int32)


def read(streams: Streams, lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """All windows of one shard, put together again: inputs and targets (steps, B)."""
    starts = np.cumsum([0, *lengths[:-1]])
    windows = [streams.window(int(start), n) for start, n in zip(starts, lengths, strict=True)]
    inputs, targets = zip(*windows, strict=True)
    return np.concatenate(inputs), np.concatenate(targets)


@pytest.mark.parametrize("burn_in", [0, 3, 500])
@pytest.mark.parametrize(("size", "batch_size", "shards"), SIZES)
def test_every_token_is_predicted_once_from_the_token_before_it(size, batch_size, shards, burn_in):
    tokens = corpus(size)
    times_predicted = np.zeros(size, dtype=int)
    steps, scored = set(), 0
    for shard in range(shards):
        streams = Streams(tokens, EOS, batch_size, shard, shards, burn_in)
        lengths = bptt_lengths(streams.steps, 9, seed=1, epoch=shard, random=True)
        inputs, targets = read(streams, lengths)
        assert inputs.dtype == targets.dtype == np.int64
        assert inputs.shape == targets.shape == (streams.steps, batch_size // shards)
        predicted = targets[targets != PAD_TARGET] - FIRST_ID
        np.add.at(times_predicted, predicted, 1)
        before = inputs[targets != PAD_TARGET]
        np.testing.assert_array_equal(before, np.where(predicted, predicted + FIRST_ID - 1, EOS))
        steps.add(streams.steps)
        scored += streams.scored_tokens
    assert (times_predicted == 1).all()
    assert len(steps) == 1, "all shards take the same number of steps"
    assert scored == size


@pytest.mark.parametrize(("size", "batch_size", "shards"), SIZES)
def test_streams_in_order_are_the_corpus(size, batch_size, shards):
    tokens = corpus(size)
    columns = []
    for shard in range(shards):
        streams = Streams(tokens, EOS, batch_size, shard, shards)
        _, targets = streams.window(0, streams.steps)
        columns += [column[column != PAD_TARGET] for column in targets.T]
    lengths = [len(column) for column in columns]
    assert len(columns) == batch_size
    assert max(lengths) - min(lengths) <= 1
    np.testing.assert_array_equal(np.concatenate(columns), tokens)


def test_a_stream_that_ends_early_is_padded_with_eos():
    inputs, targets = Streams(corpus(5), EOS, batch_size=2).window(0, 3)
    np.testing.assert_array_equal(targets, [[10, 12], [11, 13], [PAD_TARGET, 14]])
    np.testing.assert_array_equal(inputs, [[EOS, 11], [10, 12], [EOS, 13]])


def test_windows_do_not_depend_on_how_the_epoch_is_cut():
    streams = Streams(corpus(333), EOS, batch_size=7, burn_in=4)
    whole = streams.window(0, streams.steps)
    for lengths in ([1] * streams.steps, bptt_lengths(streams.steps, 8, 0, 0, random=True)):
        for expected, found in zip(whole, read(streams, lengths), strict=True):
            np.testing.assert_array_equal(found, expected)


def context_sums(tokens: np.ndarray, batch_size: int, burn_in: int, memory: int) -> dict[int, int]:
    """Position -> sum of the last `memory` inputs, as a model with that memory would see them."""
    streams = Streams(tokens, EOS, batch_size, burn_in=burn_in)
    inputs, targets = streams.window(0, streams.steps)
    sums = {}
    for column in range(batch_size):
        for step in np.flatnonzero(targets[:, column] != PAD_TARGET):
            seen = inputs[max(0, step - memory + 1) : step + 1, column]
            sums[int(targets[step, column])] = int(seen.sum())
    return sums


def test_burn_in_gives_batched_evaluation_the_context_of_batch_one():
    tokens, memory = corpus(211), 6
    alone = context_sums(tokens, batch_size=1, burn_in=0, memory=memory)
    assert context_sums(tokens, batch_size=9, burn_in=memory - 1, memory=memory) == alone
    assert context_sums(tokens, batch_size=9, burn_in=memory - 2, memory=memory) != alone


@pytest.mark.parametrize("burn_in", [0, 6, 12, 600])
@pytest.mark.parametrize(("size", "batch_size"), [(5, 1), (31, 6), (211, 9), (216, 4), (217, 36)])
def test_aligned_streams_have_the_windows_of_one_stream(size, batch_size, burn_in):
    tokens, length = corpus(size), 6
    one = Streams(tokens, EOS, 1)
    expected = [
        tuple(one.window(start, min(length, size - start))[0][:, 0])
        for start in range(0, size, length)
    ]
    streams = Streams(tokens, EOS, batch_size, burn_in=burn_in, alignment=length)
    times_predicted = np.zeros(size, dtype=int)
    for start in range(0, streams.steps, length):
        inputs, targets = streams.window(start, min(length, streams.steps - start))
        for column, own in zip(inputs.T, targets.T, strict=True):
            predicted = own[own != PAD_TARGET]
            np.add.at(times_predicted, predicted - FIRST_ID, 1)
            if len(predicted):
                assert tuple(column[: len(predicted)]) == expected[(predicted[0] - FIRST_ID) // 6]
                assert (own[: len(predicted)] == predicted).all()
    assert (times_predicted == 1).all()
    assert streams.scored_tokens == size


def test_lengths_of_aligned_streams_are_nearly_equal():
    _, targets = (streams := Streams(corpus(217), EOS, 4, alignment=6)).window(0, streams.steps)
    assert (targets != PAD_TARGET).sum(axis=0).tolist() == [54, 54, 54, 55]


@pytest.mark.parametrize("batch_size", [1, 4, 500])
@pytest.mark.parametrize(("length", "context"), [(1, 0), (1, 9), (7, 0), (7, 3), (5, 60), (300, 2)])
def test_sliding_windows_read_their_context(length, context, batch_size):
    size = 101
    windows = SlidingWindows(corpus(size), EOS, length, context, batch_size)
    stream = np.array([EOS, *corpus(size)])
    times_predicted = np.zeros(size, dtype=int)
    for index in range(len(windows)):
        inputs, targets = windows.batch(index)
        assert inputs.shape == targets.shape and inputs.dtype == targets.dtype == np.int64
        assert len(inputs) == context + length
        assert inputs.shape[1] <= batch_size
        for column, own in zip(inputs.T, targets.T, strict=True):
            steps = np.flatnonzero(own != PAD_TARGET)
            places = own[steps] - FIRST_ID
            np.add.at(times_predicted, places, 1)
            assert places[0] % length == 0 and len(places) == min(length, size - places[0])
            first = max(places[0] - context, 0)
            assert steps.tolist() == (places - first).tolist()
            np.testing.assert_array_equal(column[: steps[-1] + 1], stream[first : places[-1] + 1])
    assert (times_predicted == 1).all()


@pytest.mark.parametrize("change", [{"length": 0}, {"context": -1}, {"batch_size": 0}])
def test_bad_sliding_windows_are_named(change):
    arguments = {"tokens": corpus(11), "eos": EOS, "length": 3, "context": 1, "batch_size": 2}
    with pytest.raises(InputError, match="at least 1"):
        SlidingWindows(**{**arguments, **change})
    with pytest.raises(InputError, match="float64"):
        SlidingWindows(**{**arguments, "tokens": np.zeros(9)})
    with pytest.raises(ValueError, match="not within"):
        SlidingWindows(**arguments).batch(2)


def test_memory_mapped_tokens(tmp_path):
    np.save(tmp_path / "tokens.npy", corpus(50))
    mapped = np.load(tmp_path / "tokens.npy", mmap_mode="r")
    for expected, found in zip(
        Streams(corpus(50), EOS, 4).window(2, 5), Streams(mapped, EOS, 4).window(2, 5), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
        found[:] = 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"batch_size": 0}, "batch size of 0"),
        ({"batch_size": 12}, "11 tokens"),
        ({"batch_size": 4, "num_shards": 3}, "multiple of 3"),
        ({"shard": 2, "num_shards": 2}, "Shard 2 of 2"),
        ({"shard": -1}, "Shard -1"),
        ({"num_shards": 0}, "of 0"),
        ({"burn_in": -1}, "burn-in is -1"),
        ({"alignment": 0}, "alignment is 0"),
        ({"alignment": 6, "batch_size": 3}, "cut at multiples of 6; choose one from 1 to 2"),
        ({"tokens": np.zeros((3, 3), dtype=np.int32)}, "one-dimensional"),
        ({"tokens": np.zeros(9)}, "float64"),
    ],
)
def test_bad_arguments_are_named(change, named):
    arguments = {"tokens": corpus(11), "eos": EOS, "batch_size": 2} | change
    with pytest.raises(InputError, match=named):
        Streams(**arguments)


@pytest.mark.parametrize(("start", "length"), [(-1, 2), (0, 0), (5, 2), (6, 1)])
def test_windows_outside_the_streams_are_refused(start, length):
    with pytest.raises(ValueError, match="not within"):
        Streams(corpus(11), EOS, 2).window(start, length)


@pytest.mark.parametrize("random", [False, True])
@pytest.mark.parametrize("steps", [1, 4, 5, 69, 70, 71, 4641])
def test_lengths_sum_to_the_steps(steps, random):
    for epoch in range(5):
        lengths = bptt_lengths(steps, 70, 1, epoch, random)
        assert sum(lengths) == steps
        assert min(lengths) >= 1
        assert all(length >= 5 for length in lengths[:-1])


def test_fixed_lengths():
    assert bptt_lengths(150, 70, 1, 1, random=False) == [70, 70, 10]


def test_lengths_depend_on_seed_and_epoch_alone():
    draw = bptt_lengths(5000, 70, seed=3, epoch=4, random=True)
    assert draw == bptt_lengths(5000, 70, seed=3, epoch=4, random=True)
    assert draw != bptt_lengths(5000, 70, seed=3, epoch=5, random=True)
    assert draw != bptt_lengths(5000, 70, seed=4, epoch=4, random=True)
    assert draw != bptt_lengths(5000, 70, seed=4, epoch=3, random=True)
    # A longer epoch begins with the same draws: only the cut last window differs.
    assert draw[:-1] == bptt_lengths(9000, 70, seed=3, epoch=4, random=True)[: len(draw) - 1]


def length_probabilities(bptt: int, short: float, std: float, minimum: int, maximum: int):
    """Closed form of P(length = k), k = 0..maximum, for max(minimum, int(normal(base, std)))."""

    def below(x: float, base: float) -> float:
        return 0.5 * (1 + math.erf((x - base) / (std * math.sqrt(2))))

    probabilities = np.zeros(maximum + 1)
    for weight, base in ((1 - short, bptt), (short, bptt / 2)):
        probabilities[minimum] += weight * below(minimum + 1, base)
        for k in range(minimum + 1, maximum):
            probabilities[k] += weight * (below(k + 1, base) - below(k, base))
        probabilities[maximum] += weight * (1 - below(maximum, base))
    return probabilities


@pytest.mark.parametrize(("bptt", "maximum"), [(70, None), (70, 72), (12, None)])
def test_lengths_follow_the_closed_form(bptt, maximum):
    drawn = np.array(
        bptt_lengths(50_000 * bptt, bptt, seed=5, epoch=1, random=True, maximum=maximum)[:-1]
    )
    largest = maximum or bptt + 60
    expected = length_probabilities(bptt, 0.05, 5.0, 5, largest) * len(drawn)
    counted = np.bincount(drawn, minlength=largest + 1)
    assert len(counted) == largest + 1
    common = expected >= 10
    chi_squared = ((counted - expected)[common] ** 2 / expected[common]).sum()
    freedom = common.sum() - 1
    assert chi_squared < freedom + 4 * math.sqrt(2 * freedom)
    assert counted[~common].sum() < 2 * expected[~common].sum() + 10
    # The mean is below bptt: int() truncates, and one window in twenty is half as long.
    mean = (np.arange(largest + 1) * expected).sum() / len(drawn)
    assert abs(drawn.mean() - mean) < 4 * drawn.std() / math.sqrt(len(drawn))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"steps": 0}, "at least 1"),
        ({"bptt": 0}, "at least 1"),
        ({"minimum": 0}, "at least 1"),
        ({"maximum": 4}, "longest window, 4"),
        ({"seed": -1}, "Seed -1"),
        ({"epoch": -1}, "epoch -1"),
    ],
)
def test_bad_lengths_are_named(change, named):
    arguments = {"steps": 100, "bptt": 70, "seed": 1, "epoch": 1, "random": True} | change
    with pytest.raises(InputError, match=named):
        bptt_lengths(**arguments)
