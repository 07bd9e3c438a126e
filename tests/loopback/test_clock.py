"""When something was, by the wall's clock, though another one tells it that stands still in suspend."""

from __future__ import annotations

import datetime as dt
import time

from agent.system.clock import Moments


class Clocks:
    """Two clocks of a host that was suspended for a while."""

    def __init__(self, suspended_s: float = 0.0) -> None:
        self.suspended_s = suspended_s

    def monotonic_s(self) -> float:
        return time.monotonic()

    def boottime_s(self) -> float:
        return time.monotonic() + self.suspended_s


def ago(moments: Moments, seconds: float) -> float | None:
    """How long ago that was, as it says; None: it is not known."""
    text = moments.at(time.monotonic() - seconds)
    return time.time() - dt.datetime.fromisoformat(text).timestamp() if text else None


def test_a_moment_is_as_long_ago_as_it_was() -> None:
    said = ago(Moments(Clocks()), 120)

    assert said is not None
    assert 120 <= said < 121
    assert Moments(Clocks()).at(0.0) == ""


def test_a_moment_has_one_text() -> None:
    moments, moment = Moments(Clocks()), time.monotonic()

    assert len({moments.at(moment) for _ in range(1000)}) == 1


def test_of_what_was_before_a_suspend_nobody_knows_when_it_was() -> None:
    clocks = Clocks()
    moments = Moments(clocks)
    moments.note()
    assert ago(moments, 120) is not None

    clocks.suspended_s = 3600

    assert ago(moments, 120) is None
    assert ago(moments, 0) is not None
    assert ago(Moments(clocks), 120) is None
