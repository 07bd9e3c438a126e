"""When clocks say that the host was suspended."""

from __future__ import annotations

import pytest

from agent.service.watch.resume import Suspended


class Clocks:
    """Two clocks that the test moves."""

    def __init__(self) -> None:
        self._boottime_s, self._monotonic_s = 5000.0, 4000.0  # it was suspended before, too

    def boottime_s(self) -> float:
        return self._boottime_s

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def run(self, for_s: float) -> None:
        self._boottime_s += for_s
        self._monotonic_s += for_s

    def suspend(self, for_s: float) -> None:
        self._boottime_s += for_s


@pytest.mark.parametrize(
    ("suspended_s", "told_s"),
    [
        pytest.param([], 0.0, id="awake"),
        pytest.param([8 * 3600.0], 8 * 3600.0, id="a-night"),
        pytest.param([2.0], 2.0, id="a-lid-closed-and-opened"),
        pytest.param([0.01], 0.0, id="read-one-after-the-other"),
        pytest.param([0.3, 0.3], 0.6, id="too-short-to-tell-adds-up"),
    ],
)
def test_suspended(suspended_s: list[float], told_s: float) -> None:
    clocks = Clocks()
    suspended = Suspended(clocks)

    for for_s in suspended_s:
        clocks.run(100)
        clocks.suspend(for_s)
    clocks.run(86400)

    assert suspended.since_s() == pytest.approx(told_s, abs=1e-6)


def test_each_suspend_is_told_once() -> None:
    clocks = Clocks()
    suspended = Suspended(clocks)

    clocks.suspend(60)
    assert suspended.since_s() == 60
    clocks.run(60)
    assert suspended.since_s() == 0
    clocks.suspend(30)
    assert suspended.since_s() == 30


def test_this_host_was_not_suspended_just_now() -> None:
    assert Suspended().since_s() == 0
