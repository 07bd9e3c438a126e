"""A network that comes and goes: how often Docker is restarted, and how soon it is right in the end."""

from __future__ import annotations

import pytest

from agent.decide.history import History, moved
from agent.decide.rate import allowed_at
from agent.decide.unsteady import STEADY, Shaken

LASTS_S = 300
RESTART_S = 1  # from a change to its restart, where nothing waits


def flapping(period: int, lasts_s: int) -> tuple[int, int]:
    """The restarts, and how long after the last change Docker is right; it begins right, in one of two networks."""
    shaken, history, starts = STEADY, moved(History(), "one", -1000), [-1000]
    here = in_docker = "one"
    for now in range(lasts_s + 61):
        if now < lasts_s and now % period == 0:
            here = "other" if here == "one" else "one"
            shaken, history = shaken.left(history.changed, now), moved(history, here, now)
        is_due = here != in_docker and now >= history.changed + RESTART_S
        if is_due and allowed_at(starts[-1], history.changed, 30, now, shaken=shaken).is_now(now):
            shaken, in_docker = shaken.restarted(history.changed, now), here
            starts.append(now)
    assert here == in_docker
    return len(starts) - 1, max(0, round(starts[-1] - history.changed))


@pytest.mark.parametrize(
    ("period", "most", "within_s"), [(3, 3, 15), (7, 3, 15), (12, 5, 45), (25, 5, 45)]
)  # fmt: skip
def test_flapping_for_five_minutes(period: int, most: int, within_s: int) -> None:
    # It ends once in either network: in one of the two Docker is right already.
    ends = [flapping(period, LASTS_S), flapping(period, LASTS_S + period)]

    assert all(2 <= restarts <= most for restarts, _ in ends)
    assert 0 < max(right_s for _, right_s in ends) <= within_s


def test_the_waits_grow_and_end_when_one_network_has_stood() -> None:
    shaken, waits = Shaken(), []
    for now in (100, 130, 160, 200, 250):
        shaken = shaken.restarted(now - 10, now)
        waits.append(shaken.allowed_at(now, now) - now)

    assert waits == [0, 10, 20, 40, 40]
    assert shaken.allowed_at(250, 310) == 310
    assert shaken.left(250, 309) == shaken
    assert shaken.left(250, 310) == STEADY


def test_two_restarts_a_minute_apart_shake_nothing() -> None:
    assert STEADY.restarted(100, 101).restarted(150, 161).waits == 0
    assert STEADY.restarted(100, 101).restarted(150, 160).waits == 1


def test_it_says_when_it_is_steady_again() -> None:
    assert Shaken(100, 2).steady_at(120, 179) == 180
    assert Shaken(100, 2).steady_at(120, 180) is None
    assert Shaken(100).steady_at(120, 130) is None
