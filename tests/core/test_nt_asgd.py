"""NT-ASGD against torch.optim.ASGD, its trigger against the published condition, its swaps."""

import io
import itertools

import pytest
import torch
from torch import nn

from define.core.nt_asgd import NTASGD, NonMonotoneTrigger

WEIGHT_DECAY = 0.01
SHAPES = [(3, 2), (4,), ()]


def make_parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(1)
    return [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
        for shape in SHAPES
    ]


def set_gradients(parameters: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for p in parameters:
        p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64) + p.detach()


def run(optimizer: NTASGD, parameters: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        set_gradients(parameters, step)
        optimizer.step()


def values(parameters: list[nn.Parameter]) -> list[torch.Tensor]:
    return [p.detach().clone() for p in parameters]


def all_equal(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_iterates_and_averages_are_those_of_torch_at_every_step():
    ours, theirs = make_parameters(), make_parameters()
    optimizer = NTASGD(ours, lr=0.1, weight_decay=WEIGHT_DECAY)
    sgd = torch.optim.SGD(theirs, lr=0.1, weight_decay=WEIGHT_DECAY)
    for step in range(3):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        optimizer.step()
        sgd.step()
        torch.testing.assert_close(ours, theirs)
    optimizer.use_averages()
    torch.testing.assert_close(ours, theirs)  # nothing averaged yet, nothing to swap in

    optimizer.start_averaging()
    asgd = torch.optim.ASGD(theirs, lr=0.1, lambd=0, t0=0, weight_decay=WEIGHT_DECAY)
    for step in range(3, 12):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        optimizer.step()
        asgd.step()
        torch.testing.assert_close(ours, theirs)
        optimizer.use_averages()
        torch.testing.assert_close(values(ours), [asgd.state[p]["ax"] for p in theirs])
        optimizer.use_raw()


def test_the_average_is_the_mean_of_the_iterates_from_the_second_step_on():
    parameters = make_parameters()
    optimizer = NTASGD(parameters, lr=0.1)
    optimizer.start_averaging()
    iterates = []
    for step in range(6):
        run(optimizer, parameters, range(step, step + 1))
        iterates.append(values(parameters))
        optimizer.use_averages()
        seen = iterates[1:] or iterates
        means = [torch.stack(history).mean(0) for history in zip(*seen, strict=True)]
        torch.testing.assert_close(values(parameters), means)
        optimizer.use_raw()


def step_sizes(optimizer: torch.optim.Optimizer, p: nn.Parameter) -> list[float]:
    sizes = []
    for lr in (1.0, 10.0, 100.0):
        for group in optimizer.param_groups:
            group["lr"] = lr
        before = p.item()
        p.grad = torch.ones_like(p)
        optimizer.step()
        sizes.append(before - p.item())
    return sizes


@pytest.mark.parametrize("averaging", [False, True])
def test_a_learning_rate_holds_for_the_step_it_is_set_for(averaging):
    p = nn.Parameter(torch.zeros((), dtype=torch.float64))
    optimizer = NTASGD([p], lr=1.0)
    if averaging:
        optimizer.start_averaging()
    assert step_sizes(optimizer, p) == [1, 10, 100]


def test_torchs_asgd_applies_it_one_step_late():
    p = nn.Parameter(torch.zeros((), dtype=torch.float64))
    assert step_sizes(torch.optim.ASGD([p], lr=1.0, lambd=0, t0=0), p) == [1, 1, 10]


def test_parameters_without_gradient_are_averaged_too():
    idle, busy = make_parameters()[:2]
    before = idle.detach().clone()
    optimizer = NTASGD([idle, busy], lr=0.1, weight_decay=WEIGHT_DECAY)
    optimizer.start_averaging()
    run(optimizer, [busy], range(3))
    optimizer.use_averages()
    assert torch.equal(idle, before)
    optimizer.use_raw()
    idle.grad = torch.ones_like(idle)
    optimizer.step()
    optimizer.use_averages()
    # 3 steps are averaged (the 2nd to the 4th), the last of which moved it
    torch.testing.assert_close(idle.detach(), before - 0.1 * (1 + WEIGHT_DECAY * before) / 3)


def test_swapping_restores_every_bit_and_twice_is_once():
    parameters = make_parameters()
    optimizer = NTASGD(parameters, lr=0.1)
    optimizer.start_averaging()
    run(optimizer, parameters, range(5))
    raw = values(parameters)
    optimizer.use_raw()
    assert all_equal(values(parameters), raw) and not optimizer.swapped
    optimizer.use_averages()
    means = values(parameters)
    assert optimizer.swapped and not all_equal(means, raw)
    optimizer.use_averages()
    assert all_equal(values(parameters), means)
    optimizer.use_raw()
    optimizer.use_raw()
    assert all_equal(values(parameters), raw) and not optimizer.swapped
    optimizer.use_averages()
    assert all_equal(values(parameters), means)


def test_there_is_nothing_to_swap_before_the_first_averaged_step():
    parameters = make_parameters()
    optimizer = NTASGD(parameters, lr=0.1)
    for start in (False, True):
        if start:
            optimizer.start_averaging()
        raw = values(parameters)
        optimizer.use_averages()
        assert all_equal(values(parameters), raw) and not optimizer.swapped


def test_a_step_while_swapped_goes_on_from_the_raw_values():
    parameters, twins = make_parameters(), make_parameters()
    optimizer, twin = NTASGD(parameters, lr=0.1), NTASGD(twins, lr=0.1)
    for each in (optimizer, twin):
        each.start_averaging()
    for step in range(5):
        for own in (parameters, twins):
            generator = torch.Generator().manual_seed(step)
            for p in own:
                p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        optimizer.step()
        twin.step()
        assert all_equal(values(parameters), values(twins)) and not optimizer.swapped
        optimizer.use_averages()


def test_a_closure_sees_the_raw_values():
    parameters = make_parameters()
    optimizer = NTASGD(parameters, lr=0.1)
    optimizer.start_averaging()
    run(optimizer, parameters, range(3))
    raw = values(parameters)
    optimizer.use_averages()
    seen = []

    def closure() -> torch.Tensor:
        seen.extend(values(parameters))
        loss = sum((p * p).sum() for p in parameters)
        optimizer.zero_grad()
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    assert all_equal(seen, raw)
    assert loss.item() == pytest.approx(sum((p * p).sum().item() for p in raw))
    torch.testing.assert_close(values(parameters), [0.8 * p for p in raw])


@pytest.mark.parametrize("averaged_steps, swapped", [(0, False), (1, False), (4, False), (4, True)])
def test_a_run_that_was_saved_goes_on_bit_for_bit(averaged_steps, swapped):
    parameters = make_parameters()
    optimizer = NTASGD(parameters, lr=0.1, weight_decay=WEIGHT_DECAY)
    run(optimizer, parameters, range(3))
    if averaged_steps:
        optimizer.start_averaging()
        run(optimizer, parameters, range(3, 3 + averaged_steps))
    if swapped:
        optimizer.use_averages()
    file = io.BytesIO()
    torch.save({"parameters": values(parameters), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    resumed = [nn.Parameter(p) for p in saved["parameters"]]
    other = NTASGD(resumed, lr=5.0)
    given = saved["optimizer"]
    keys = set(given)
    other.load_state_dict(given)
    assert set(given) == keys  # loading leaves the dictionary as it was
    assert other.swapped == swapped and other.averaging == bool(averaged_steps)
    assert other.param_groups[0]["lr"] == 0.1
    for step, (each, own) in itertools.product(
        range(10, 14), [(optimizer, parameters), (other, resumed)]
    ):
        run(each, own, range(step, step + 1))
    assert all_equal(values(parameters), values(resumed))
    optimizer.use_averages()
    other.use_averages()
    assert all_equal(values(parameters), values(resumed))


def fired_at(losses: list[float], nonmono: int) -> list[int]:
    trigger = NonMonotoneTrigger(nonmono)
    return [index for index, loss in enumerate(losses) if trigger.observe(loss)]


@pytest.mark.parametrize(
    "losses, nonmono, expected",
    [
        # validation 6 is the first with a loss older than the last five
        ([1, 2, 3, 4, 5, 6, 7], 5, [6]),
        ([1, 2, 3, 4, 5, 6], 5, []),
        ([7, 6, 5, 4, 3, 2, 1], 2, []),
        # worse than all of the last two, but not than what came before them
        ([9, 5, 4, 6, 3], 2, []),
        ([9, 5, 4, 6, 5.5, 3], 2, [4]),
        # equal to the best is not worse
        ([4, 4, 4, 4, 4], 2, []),
        ([4, 5, 5, 4.001], 2, [3]),
        ([3, 2, 4, 1, 2], 1, [2]),
        ([3, 2, 4, 1, 2], 0, [2, 4]),
    ],
)
def test_the_trigger_fires_exactly_when_the_published_condition_holds(losses, nonmono, expected):
    assert fired_at(losses, nonmono) == expected


def test_the_trigger_is_the_published_condition_on_all_short_histories():
    for losses in itertools.product((1.0, 2.0, 3.0), repeat=6):
        for nonmono in (1, 2, 3):
            expected = [
                t
                for t in range(6)
                if len(losses[:t]) > nonmono and losses[t] > min(losses[:t][:-nonmono])
            ]
            assert fired_at(list(losses), nonmono) == expected
