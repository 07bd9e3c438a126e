"""How long each step took, by a clock that is given."""

from __future__ import annotations

from agent.probe.stopwatch import Step, Stopwatch
from agent.values.verdict import Timings


def test_each_step_has_its_own_time_and_one_not_reached_has_none() -> None:
    now = [10.0]
    watch = Stopwatch(lambda: now[0])
    for step, at in ((Step.RESOLVE, 10.0), (Step.CONNECT, 10.002), (Step.PROXY, 10.012)):
        now[0] = at
        watch.enter(step, f"at {step.value}")
    now[0] = 10.1

    assert watch.timings() == Timings(resolve=2.0, connect=10.0, proxy=88.0, total=100.0)
    assert (watch.step, watch.doing) == (Step.PROXY, "at proxy")


def test_a_step_that_is_taken_twice_is_added_up() -> None:
    now = [0.0]
    watch = Stopwatch(lambda: now[0])
    for step, at in ((Step.PROXY, 0.0), (Step.PROXY, 0.5)):
        now[0] = at
        watch.enter(step, "")
    now[0] = 0.75

    assert watch.timings() == Timings(proxy=750.0, total=750.0)
