"""Scaled, clipped and fused steps against loops over the parameters; saved states, new and old."""

import copy
import math

import pytest
import torch
from fairseq.optim.adam import Adam
from torch import nn

LR, DECAY, STEPS, MAX_NORM = 0.3, 0.05, 8, 1.5
BETAS, EPS = (0.8, 0.95), 1e-3
"""An eps that shows where it is added."""
MOMENTUM = 0.9
SHAPES = [(), (1,), (7, 3), (129,), (33, 17), (2, 5, 3)]
OPTIONS = {
    "define_adam": {"adam_betas": str(BETAS), "adam_eps": EPS},
    "define_sgd": {"momentum": MOMENTUM},
    "define_nt_asgd": {},
}


@pytest.fixture
def build(build_optimizer):
    """(name, parameters, fields of its config...) -> fairseq's optimizer of LR and OPTIONS."""

    def made(name: str, params: list[nn.Parameter], **fields):
        return build_optimizer(name, params, LR, weight_decay=DECAY, **OPTIONS[name], **fields)

    return made


@pytest.fixture
def restored(build):
    """(name, optimizer, parameters) -> one of copies of the parameters, from the saved state."""

    def made(name: str, optimizer, params: list[nn.Parameter]):
        copies = [nn.Parameter(p.detach().clone()) for p in params]
        other = build(name, copies)
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        return other, copies

    return made


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def gradients(step: int) -> list[torch.Tensor]:
    """Sums over 1 + step tokens, of means that are clipped in every other step."""
    generator = torch.Generator().manual_seed(10 + step)
    size = (1 + step) * (0.3 if step % 2 else 0.01)
    return [size * torch.randn(shape, generator=generator) for shape in SHAPES]


def rate(step: int) -> float:
    return LR / (1 + step)


class Loop:
    """The formulas in float64, one parameter and one operation at a time."""

    def __init__(self, name: str):
        self.name, self.iterates = name, []
        self.params = [p.detach().double() for p in parameters()]
        self.m = [torch.zeros_like(p) for p in self.params]
        self.v = [torch.zeros_like(p) for p in self.params]

    def step(self, step: int, average: bool) -> float:
        """One update; returns the norm of the gradient's mean over the tokens."""
        grads = [g.double() / (1 + step) for g in gradients(step)]
        norm = math.sqrt(sum(float((g * g).sum()) for g in grads))
        clip = min(1.0, MAX_NORM / (norm + 1e-6))
        for index, g in enumerate(grads):
            getattr(self, self.name)(index, clip * g, rate(step), step + 1)
        if average:
            self.iterates = [*self.iterates, list(self.params)]
        return norm

    def define_adam(self, index: int, g: torch.Tensor, lr: float, t: int) -> None:
        p, (beta1, beta2) = self.params[index], BETAS
        m = self.m[index] = beta1 * self.m[index] + (1 - beta1) * g
        v = self.v[index] = beta2 * self.v[index] + (1 - beta2) * g * g
        size = lr * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        self.params[index] = (1 - lr * DECAY) * p - size * m / (v.sqrt() + EPS)

    def define_sgd(self, index: int, g: torch.Tensor, lr: float, t: int) -> None:
        g = g + DECAY * self.params[index]
        self.m[index] = g if t == 1 else MOMENTUM * self.m[index] + g
        self.params[index] = self.params[index] - lr * self.m[index]

    def define_nt_asgd(self, index: int, g: torch.Tensor, lr: float, t: int) -> None:
        p = self.params[index]
        self.params[index] = p - lr * (g + DECAY * p)


def update(optimizer, params: list[nn.Parameter], step: int) -> torch.Tensor:
    """One update as fairseq takes it; returns the norm."""
    optimizer.zero_grad()
    for p, g in zip(params, gradients(step), strict=True):
        p.grad = g
    optimizer.set_lr(rate(step))
    optimizer.multiply_grads(1 / (1 + step))
    norm = optimizer.clip_grad_norm(MAX_NORM)
    optimizer.step()
    return norm


def assert_close(params: list[nn.Parameter], expected: list[torch.Tensor]) -> None:
    values = [p.detach().double() for p in params]
    torch.testing.assert_close(
        values, [e.detach().double() for e in expected], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_updates_are_those_of_the_formulas_and_go_on_from_a_saved_state(name, build, restored):
    params, loop = parameters(), Loop(name)
    optimizer = build(name, params)
    averaging, norms = name == "define_nt_asgd", []
    for step in range(STEPS):
        if averaging and step == 2:
            optimizer.optimizer.start_averaging()
        if step == 4:
            optimizer, params = restored(name, optimizer, params)
        norms.append(float(update(optimizer, params, step)))
        expected = loop.step(step, averaging and step >= 2)
        assert norms[-1] == pytest.approx(expected, rel=1e-5)
        assert_close(params, loop.params)
    assert min(norms) < MAX_NORM < max(norms)
    if averaging:
        optimizer.optimizer.use_averages()
        means = [torch.stack(each).mean(0) for each in zip(*loop.iterates[1:], strict=True)]
        assert_close(params, means)


@pytest.mark.parametrize("name", OPTIONS)
def test_factors_hold_for_one_step_with_and_without_clipping(name, build):
    """fairseq's wrapper for half precision scales after it has asked for the norm."""
    ours, theirs = parameters(), parameters()
    scaled, plain = (build(name, params) for params in (ours, theirs))
    scaled.multiply_grads(7.0)
    scaled.zero_grad()  # an update that was given up
    for step in range(3):
        for p, q, g in zip(ours, theirs, gradients(step), strict=True):
            p.grad, q.grad = 4 * g, g.clone()
        assert scaled.clip_grad_norm(0) == pytest.approx(4 * float(plain.clip_grad_norm(0)))
        scaled.multiply_grads(torch.tensor(0.5))
        scaled.multiply_grads(0.5)
        scaled.step()
        plain.step()
        assert all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))


def test_adam_goes_on_from_a_state_of_fairseqs_own(build, restored):
    params = parameters()
    old = build("define_adam", params, use_old_adam=True)
    assert type(old.optimizer) is Adam
    for step in range(3):
        update(old, params, step)
    new, copies = restored("define_adam", old, params)
    for step in range(3, 6):
        update(old, params, step)
        update(new, copies, step)
        assert_close(copies, params)
    assert all(group["fused"] for group in new.param_groups)


def test_nt_asgd_goes_on_from_a_state_without_the_options_of_fused_sgd(build, restored):
    params = parameters()
    optimizer = build("define_nt_asgd", params)
    optimizer.optimizer.start_averaging()
    for step in range(3):
        update(optimizer, params, step)
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        for key in group.keys() - {"params", "lr", "weight_decay"}:
            del group[key]
    other, copies = restored("define_nt_asgd", optimizer, params)
    other.load_state_dict(state)
    for step in range(3, 6):
        update(optimizer, params, step)
        update(other, copies, step)
    assert all(torch.equal(p, q) for p, q in zip(params, copies, strict=True))
