"""The harness: what is run when, what is timed, and a child's own memory."""

from define.train import timing
from define.train.timing import alternate, in_child, peak_memory_mib, timed


def test_cases_take_turns_and_the_warm_up_is_not_kept():
    order, number = [], iter(range(100))

    def case(name):
        return lambda: (order.append(name), [float(next(number))])[1]

    values = alternate({"a": case("a"), "b": case("b")}, rounds=2, warm_up=1)
    assert order == ["a", "b"] * 3
    assert values == {"a": [2.0, 4.0], "b": [3.0, 5.0]}


def test_a_case_may_measure_several_values_a_round():
    assert alternate({"a": lambda: [1.0, 2.0]}, rounds=2) == {"a": [1.0, 2.0, 1.0, 2.0]}


def test_a_time_is_in_ms_and_between_the_clocks_two_readings():
    readings, done = iter([10.0, 10.25]), []
    assert timed(lambda: done.append(len(done)), lambda: next(readings))() == [250.0]
    assert done == [0]


def test_a_gpus_clock_waits_for_its_work(monkeypatch):
    events = []
    monkeypatch.setattr(timing.torch.cuda, "synchronize", lambda: events.append("waited"))
    monkeypatch.setitem(timing.CLOCKS, "wall", lambda: events.append("read") or 1.0)
    assert timing.device_clock(cuda=True)() == 1.0
    assert events == ["waited", "read"]
    timing.device_clock(cuda=False)()
    assert events == ["waited", "read", "read"]


def test_a_childs_peak_memory_is_not_its_parents():
    pages = bytearray(600 << 20)
    own = peak_memory_mib()
    assert own > 600 and len(pages) == 600 << 20
    assert in_child(peak_memory_mib) < own - 100
