"""A rate per part: against separate torch optimizers, saved and restored, and what is refused."""

import copy
import math
from functools import partial

import pytest
import torch
from fairseq import optim
from omegaconf import OmegaConf
from torch import nn

from define.core.nt_asgd import NTASGD
from define.core.parts import PARTS
from define.errors import InputError
from define.optim.adam import FusedAdam
from define.optim.by_part import SCALED
from define.runs.recipe import DERIVED

LR, DECAY, STEPS = 0.1, 0.02, 6
NAMES = ("define_adam", "define_sgd", "define_nt_asgd")
FACTORS = {"lr_factor_unit": 0.06, "lr_factor_table": 3.0, "weight_decay_factor_table": 0.0}
FACTORS |= {"weight_decay_factor_unit": 5.0, "lr_factor_output": 0.0}
RATES = {"table": (3.0, 0.0), "unit": (0.06, 5.0), "context": (1.0, 1.0), "output": (0.0, 1.0)}
"""Part -> the factors of FACTORS on its learning rate and its weight decay."""


def parameters(marked: bool = True) -> list[nn.Parameter]:
    """Two of each part, in mixed order; one of the context's is not marked."""
    torch.manual_seed(0)
    made = []
    for index, part in enumerate([*PARTS, *reversed(PARTS)]):
        p = nn.Parameter(torch.randn(3, 2 + index))
        if marked and index != 2:
            p.param_group = part
        p.part = part
        made.append(p)
    return made


@pytest.fixture
def build(build_optimizer):
    """(name, parameters, fields of its config...) -> fairseq's optimizer of LR and DECAY."""
    return partial(build_optimizer, lr=LR, weight_decay=DECAY)


def draw_gradients(params: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator)


def plain(name: str, params: list[nn.Parameter], lr: float, weight_decay: float):
    """The optimizer of one rate."""
    if name == "define_sgd":
        return torch.optim.SGD(params, lr=lr, weight_decay=weight_decay, fused=True)
    kind = {"define_adam": FusedAdam, "define_nt_asgd": NTASGD}[name]
    return kind(params, lr=lr, weight_decay=weight_decay)


@pytest.mark.parametrize("name", NAMES)
def test_parts_train_as_with_an_optimizer_each(name, build):
    ours, theirs = parameters(), parameters()
    optimizer = build(name, ours, **FACTORS)
    separate = {
        part: plain(name, [p for p in theirs if p.part == part], LR * rate, DECAY * decay)
        for part, (rate, decay) in RATES.items()
    }
    for step in range(STEPS):
        base = LR / (1 + step)
        optimizer.set_lr(base)
        assert optimizer.get_lr() == base
        draw_gradients(ours, step)
        draw_gradients(theirs, step)
        optimizer.step()
        for part, own in separate.items():
            own.param_groups[0]["lr"] = base * RATES[part][0]
            own.step()
        if name == "define_nt_asgd" and step == 2:
            optimizer.optimizer.start_averaging()
            for own in separate.values():
                own.start_averaging()
        assert all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))
    if name == "define_nt_asgd":
        optimizer.optimizer.use_averages()
        for own in separate.values():
            own.use_averages()
        assert all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))
    frozen = [(p, q) for p, q in zip(ours, parameters(), strict=True) if torch.equal(p, q)]
    assert [p.part for p, _ in frozen] == ["output", "output"]


@pytest.mark.parametrize("name", NAMES)
def test_with_all_factors_1_nothing_changes(name, build):
    """One group in the order of the parameters: the bits are those of the plain optimizer."""
    ours, theirs = parameters(), parameters()
    optimizer = build(name, ours)
    (group,) = optimizer.param_groups
    assert all(p is q for p, q in zip(group["params"], ours, strict=True))
    other = plain(name, theirs, LR, DECAY)
    for step in range(STEPS):
        draw_gradients(ours, step)
        draw_gradients(theirs, step)
        optimizer.step()
        other.step()
        assert all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_state_restores_base_rate_and_factors(name, build):
    whole = parameters()
    optimizer = build(name, whole, **FACTORS)
    rate = LR * math.pi / 7  # of which no factor gives a round number
    for step in range(3):
        draw_gradients(whole, step)
        optimizer.step()
    optimizer.set_lr(rate)
    state = copy.deepcopy(optimizer.state_dict())
    parts = [nn.Parameter(p.detach().clone()) for p in whole]
    for p, q in zip(parts, whole, strict=True):
        if hasattr(q, "param_group"):
            p.param_group = q.param_group
    other = build(name, parts, **FACTORS)
    other.load_state_dict(state)
    assert other.get_lr() == rate
    for step in range(3, 6):
        for own, params in ((optimizer, whole), (other, parts)):
            draw_gradients(params, step)
            own.step()
    assert all(torch.equal(p, q) for p, q in zip(whole, parts, strict=True))


def test_overrides_of_a_saved_state_are_base_values(build):
    params = parameters()
    optimizer = build("define_sgd", params, **FACTORS)
    optimizer.load_state_dict(optimizer.state_dict(), {"weight_decay": 0.5, "lr": 2.0})
    found = {
        getattr(p, "param_group", "context"): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert found == {part: (2.0 * lr, 0.5 * decay) for part, (lr, decay) in RATES.items()}
    assert optimizer.get_lr() == 2.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_a_factor_is_finite_and_not_negative(name, value, build):
    with pytest.raises(InputError, match=r"lr_factor_unit = \S+ must be a finite number"):
        build(name, parameters(), lr_factor_unit=value)


@pytest.mark.parametrize("name", NAMES)
def test_factors_need_marked_parameters(name, build):
    rule = "weight_decay_factor_table = 0.0 needs parameters that are marked by part, but none is"
    with pytest.raises(InputError, match=rule):
        build(name, parameters(marked=False), weight_decay_factor_table=0.0)
    assert len(build(name, parameters(marked=False)).param_groups) == 1


def in_precision(build, name: str, params: list[nn.Parameter], **common) -> optim.FP16Optimizer:
    """fairseq's wrapper around an optimizer with FACTORS."""
    config = {"common": {"tpu": False, "fp16_scale_window": 128, **common}}
    config["optimizer"] = build(name, params, **FACTORS).cfg
    return optim.FP16Optimizer.build_optimizer(OmegaConf.create(config), params)


def test_bf16_keeps_the_parts_and_fp16_flattens_them_away(monkeypatch, build):
    half = parameters()
    for p in half:
        p.data = p.data.bfloat16()
    optimizer = in_precision(build, "define_sgd", half, bf16=True)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == [LR, *(LR * RATES[part][0] for part in PARTS)]
    assert optimizer.get_lr() == LR
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    with pytest.raises(InputError, match="but none is: .* fairseq's fp16 loses the marks"):
        in_precision(build, "define_sgd", parameters(), fp16=True)


def test_options_that_follow_from_others_are_known_as_such():
    options = {f"optimizer.{name}_factor_{part}" for name in SCALED for part in PARTS}
    assert {key for key in DERIVED if "_factor_" in key} == options
