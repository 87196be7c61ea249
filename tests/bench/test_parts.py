"""The parts of `define bench`: each runs at a tiny size, and compares like with like."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from define.bench import harness, parts
from define.bench.harness import Bench, busy, used_cores
from define.cli.bench import PARTS as EXPLAINED
from define.core.unit import DefineUnit, UnitConfig
from define.files import write_json
from define.runs.benchmarks import read

CASES = {
    "unit": [["floor", "unit", "input layer"]] * 2,
    "share": [["step", "unit"]] * 2,
    "steps": [["lstm_r1", "lstm_r2", "lstm_r3", "lstm_r4", "lstm_r5"]],
    "softmax": [["torch", "define"]] * 2,
    "loop": [["bare", "define train"]] * 2,
    "translation": [["fairseq", "transformer", "transformer_define"]] * 3,
}
"""Part -> the cases of its groups, quickly; the first table's alone."""


@pytest.mark.parametrize("part", parts.PARTS)
def test_a_part_makes_a_valid_record(part, place, monkeypatch):
    assert list(parts.PARTS) == list(EXPLAINED)
    monkeypatch.setattr(parts, "TABLES", ("1a",))
    monkeypatch.setattr(parts, "in_child", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(parts, "softmax_memory", lambda *arguments: 1.0)
    monkeypatch.setattr(harness, "used_cores", lambda: 0.0)
    options = Bench(quick=True, scale="smoke", quiet=True)
    harness.run({part: parts.PARTS[part]}, options, lambda r: write_json("r.json", r))
    record = read("r.json")
    groups = record["groups"]
    assert [list(group["values"]) for group in groups] == CASES[part]
    scored = {"steps": [True], "translation": [True, True, False]}.get(part, [False, False])
    assert [bool(group["tokens"]) for group in groups] == scored
    assert {group["part"] for group in groups} == {part}
    assert record["quick"] and record["provenance"]["threads"] == 1
    assert sorted(path.name for path in place.iterdir()) == ["r.json"]


@pytest.mark.parametrize(
    ("start", "end", "is_busy"), [(0.5, 0.5, False), (0.51, 0.0, True), (0.0, 0.51, True)]
)
def test_the_record_says_that_other_processes_used_the_machine(start, end, is_busy):
    assert (busy(start, end) is not None) == is_busy


def test_used_cores_are_the_busy_share_of_the_ticks(tmp_path, monkeypatch):
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 50 800 50 0 0 0 7 7\n")
    monkeypatch.setattr("builtins.open", lambda *args, **options: stat.open())
    monkeypatch.setattr(harness.os, "cpu_count", lambda: 4)
    later = "cpu  150 0 50 920 80 0 0 0 9 9\n"  # 50 of 200 ticks at work
    monkeypatch.setattr(harness.time, "sleep", lambda seconds: stat.write_text(later))
    assert used_cores() == pytest.approx(1.0)


class Flops(TorchDispatchMode):
    """Counts the operations of products; torch's own counter takes no `autograd.grad`."""

    total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        if count := flop_registry.get(function._overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=found)
        return found


@pytest.mark.parametrize("unit", ["released", "ours"])
def test_the_floor_has_the_unit_s_products_and_no_more(unit):
    config = UnitConfig(64, 128, 64, 3, 8, unit=unit)
    e_i = torch.randn(10, 64, requires_grad=True)
    counts = []
    for call in (
        parts.products(config, 10, False, "cpu"),
        parts.both_ways(DefineUnit(config), e_i),
    ):
        with Flops() as counter:
            call()
        counts.append(counter.total)
    assert counts[0] == counts[1] > 0


def test_both_softmaxes_have_as_many_parameters():
    grads = {name: parts.softmax_pass(name, 50_000, 2_000, "cpu")() for name in ("torch", "define")}
    sizes = {name: sum(grad.numel() for grad in of) for name, of in grads.items()}
    assert sizes["torch"] == sizes["define"]


def test_a_run_in_the_loops_takes_the_same_updates():
    off = [f"model.{key}_dropout=0" for key in ("unit", "output", "hidden", "input")]
    bench = Bench(streams=2)
    config = bench.config("table_1a/lstm_r3", "smoke", "task.autocast=none", *off)
    bare, taken = (bench.updates(config, 4) for _ in range(2))
    clock = iter(range(100)).__next__
    assert parts.bare_loop(bare, 4, False, clock)() == [1000.0 / 4]
    for _ in range(4):
        taken()
    for one, other in zip(
        bare.trainer.model.parameters(), taken.trainer.model.parameters(), strict=True
    ):
        torch.testing.assert_close(one, other)
    assert math.isfinite(taken.losses[-1])


def test_rounds_and_streams_of_the_options_come_first():
    assert (Bench(rounds=9, quick=True).turns(5), Bench(quick=True).turns(1)) == (9, 1)
    config = Bench().config("table_1a/lstm_r3", "smoke")
    assert Bench(streams=3).data(config, 1).fields["streams"] == 3


def test_a_table_of_the_papers_size_is_measured_in_pairs(monkeypatch):
    small = Bench.config
    monkeypatch.setattr(parts, "TABLES", ("1a",))
    monkeypatch.setattr(Bench, "config", lambda self, row, scale: small(self, row, "smoke"))
    groups = list(parts.steps(Bench(quick=True, scale="paper", quiet=True)))
    assert [list(group["values"]) for group in groups] == [
        ["lstm_r1", row] for row in ("lstm_r2", "lstm_r3", "lstm_r4", "lstm_r5")
    ]
    assert {group["scale"] for group in groups} == {"paper"}
