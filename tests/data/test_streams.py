"""Streams predict each token once; window lengths follow AWD-LSTM's distribution."""

import math

import numpy as np
import pytest

from define.core.outputs import IGNORED
from define.data.text.streams import SlidingWindows, Streams, bptt_lengths
from define.errors import InputError

EOS = 0
FIRST_ID = 10


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
@pytest.mark.parametrize(
    ("size", "batch_size", "shards"),
    [(1, 1, 1), (7, 3, 1), (10, 10, 5), (101, 8, 4), (997, 12, 3), (1000, 10, 2)],
)
def test_every_token_is_predicted_once_from_the_token_before_it(size, batch_size, shards, burn_in):
    tokens, columns, steps = corpus(size), [], set()
    for shard in range(shards):
        streams = Streams(tokens, EOS, batch_size, shard, shards, burn_in)
        lengths = bptt_lengths(streams.steps, 9, seed=1, epoch=shard, random=True)
        inputs, targets = read(streams, lengths)
        # Windows do not depend on how the epoch is cut.
        for whole, cut in zip(streams.window(0, streams.steps), (inputs, targets), strict=True):
            np.testing.assert_array_equal(whole, cut)
        assert inputs.dtype == targets.dtype == np.int64
        assert inputs.shape == targets.shape == (streams.steps, batch_size // shards)
        places = targets[targets != IGNORED] - FIRST_ID
        before = inputs[targets != IGNORED]
        np.testing.assert_array_equal(before, np.where(places, places + FIRST_ID - 1, EOS))
        columns += [column[column != IGNORED] for column in targets.T]
        steps.add(streams.steps)
    assert len(steps) == 1, "all shards take the same number of steps"
    # Streams in order are the corpus, in nearly equal parts.
    np.testing.assert_array_equal(np.concatenate(columns), tokens)
    lengths = list(map(len, columns))
    assert len(columns) == batch_size and max(lengths) - min(lengths) <= 1


def test_a_stream_that_ends_early_is_padded_with_eos():
    inputs, targets = Streams(corpus(5), EOS, batch_size=2).window(0, 3)
    np.testing.assert_array_equal(targets, [[10, 12], [11, 13], [IGNORED, 14]])
    np.testing.assert_array_equal(inputs, [[EOS, 11], [10, 12], [EOS, 13]])


def context_sums(tokens: np.ndarray, batch_size: int, burn_in: int, memory: int) -> dict[int, int]:
    """Position -> sum of the last `memory` inputs, as a model with that memory would see them."""
    streams = Streams(tokens, EOS, batch_size, burn_in=burn_in)
    inputs, targets = streams.window(0, streams.steps)
    sums = {}
    for column in range(batch_size):
        for step in np.flatnonzero(targets[:, column] != IGNORED):
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
            predicted = own[own != IGNORED]
            np.add.at(times_predicted, predicted - FIRST_ID, 1)
            if len(predicted):
                assert tuple(column[: len(predicted)]) == expected[(predicted[0] - FIRST_ID) // 6]
                assert (own[: len(predicted)] == predicted).all()
    assert (times_predicted == 1).all()


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
        assert len(inputs) == context + length and inputs.shape[1] <= batch_size
        for column, own in zip(inputs.T, targets.T, strict=True):
            steps = np.flatnonzero(own != IGNORED)
            places = own[steps] - FIRST_ID
            np.add.at(times_predicted, places, 1)
            assert places[0] % length == 0 and len(places) == min(length, size - places[0])
            first = max(places[0] - context, 0)
            assert steps.tolist() == (places - first).tolist()
            np.testing.assert_array_equal(column[: steps[-1] + 1], stream[first : places[-1] + 1])
    assert (times_predicted == 1).all()


def test_memory_mapped_tokens(tmp_path):
    np.save(tmp_path / "tokens.npy", corpus(50))
    mapped = np.load(tmp_path / "tokens.npy", mmap_mode="r")
    for expected, found in zip(
        Streams(corpus(50), EOS, 4).window(2, 5), Streams(mapped, EOS, 4).window(2, 5), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
        found[:] = 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"batch_size": 0}, "batch size of 0"),
        ({"batch_size": 12}, "11 tokens"),
        ({"batch_size": 4, "num_shards": 3}, "multiple of 3"),
        ({"alignment": 6, "batch_size": 3}, "cut at multiples of 6; choose one from 1 to 2"),
    ],
)
def test_batch_sizes_that_do_not_fit_are_named(arguments, named):
    with pytest.raises(InputError, match=named):
        Streams(corpus(11), EOS, **arguments)


@pytest.mark.parametrize("random", [False, True])
@pytest.mark.parametrize("steps", [1, 4, 5, 69, 70, 71, 4641])
def test_lengths_sum_to_the_steps(steps, random):
    for epoch in range(5):
        lengths = bptt_lengths(steps, 70, 1, epoch, random)
        assert sum(lengths) == steps and min(lengths) >= 1
        assert all(length >= 5 if random else length == 70 for length in lengths[:-1])


def test_lengths_depend_on_seed_and_epoch_alone():
    draw = bptt_lengths(5000, 70, seed=3, epoch=4, random=True)
    assert draw == bptt_lengths(5000, 70, seed=3, epoch=4, random=True)
    for seed, epoch in ((3, 5), (4, 4), (4, 3)):
        assert draw != bptt_lengths(5000, 70, seed, epoch, random=True)
    # A longer epoch begins with the same draws: only the cut last window differs.
    assert draw[:-1] == bptt_lengths(9000, 70, seed=3, epoch=4, random=True)[: len(draw) - 1]


def length_probabilities(bptt: int, short: float, std: float, minimum: int, maximum: int):
    """Closed form of P(length = k), k = 0..maximum, for max(minimum, int(normal(base, std)))."""

    def below(x: float, base: float) -> float:
        return 0.5 * (1 + math.erf((x - base) / (std * math.sqrt(2))))

    probabilities = np.zeros(maximum + 1)
    for weight, base in ((1 - short, bptt), (short, bptt / 2)):
        probabilities[minimum] += weight * below(minimum + 1, base)
        for k in range(minimum + 1, maximum + 1):
            probabilities[k] += weight * (below(k + 1, base) - below(k, base))
    return probabilities


@pytest.mark.parametrize("bptt", [70, 12])
def test_lengths_follow_the_closed_form(bptt):
    drawn = np.array(bptt_lengths(20_000 * bptt, bptt, seed=5, epoch=1, random=True)[:-1])
    largest = bptt + 60
    expected = length_probabilities(bptt, 0.05, 5.0, 5, largest) * len(drawn)
    counted = np.bincount(drawn, minlength=largest + 1)
    common = expected >= 10
    chi_squared = ((counted - expected)[common] ** 2 / expected[common]).sum()
    freedom = common.sum() - 1
    assert chi_squared < freedom + 4 * math.sqrt(2 * freedom)
    assert counted[~common].sum() < 2 * expected[~common].sum() + 10
    # The mean is below bptt: int() truncates, and one window in twenty is half as long.
    mean = (np.arange(largest + 1) * expected).sum() / len(drawn)
    assert drawn.mean() == pytest.approx(mean, abs=5 * drawn.std() / math.sqrt(len(drawn)))


@pytest.mark.parametrize("name", ["bptt", "minimum", "seed", "epoch"])
def test_bad_lengths_are_named(name):
    arguments = {"steps": 100, "bptt": 70, "seed": 1, "epoch": 1, "random": True, name: -1}
    with pytest.raises(InputError, match="= -1 must be at least"):
        bptt_lengths(**arguments)
