"""A network that comes and goes: how often Docker is restarted, and how soon it is right in the end."""

from __future__ import annotations

import pytest

from agent.decide.unsteady import Shaken

LASTS_S = 300
RESTART_S = 1  # from a change to its restart, where nothing waits


def flapping(period: int, lasts_s: int) -> tuple[int, int]:
    """The restarts, and how long after the last change Docker is right; it begins right, in one of two networks."""
    shaken, changed, restarts, here, in_docker = Shaken(), -1000, 0, 0, 0
    for now in range(lasts_s + 61):
        if now < lasts_s and now % period == 0:
            shaken, changed, here = shaken.left(changed, now), now, 1 - here
        if here != in_docker and now >= changed + RESTART_S and shaken.allowed_at(changed, now) <= now:
            shaken, in_docker, restarts, right = shaken.restarted(changed, now), here, restarts + 1, now
    assert here == in_docker
    return restarts, max(0, right - changed)


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
    assert shaken.left(250, 310) == Shaken()


def test_two_restarts_a_minute_apart_shake_nothing() -> None:
    assert Shaken().restarted(100, 101).restarted(150, 161).waits == 0
    assert Shaken().restarted(100, 101).restarted(150, 160).waits == 1
