"""When a directory has told too much."""

from __future__ import annotations

import pytest

from agent.service.watch.brake import MOST, REST_S, WITHIN_S, Brake
from agent.service.watch.paths import GATHER_S


@pytest.mark.parametrize(
    ("apart_s", "news", "enough"),
    [
        pytest.param(0.001, 1000, 1, id="a-storm-is-said-once"),
        pytest.param(0.001, MOST - 1, 0, id="an-editors-save"),
        pytest.param(0.2, 100, 0, id="now-and-then"),
        pytest.param(WITHIN_S / MOST * 1.1, 100, 0, id="just-not-too-much"),
    ],
)
def test_what_is_too_much(apart_s: float, news: int, enough: int) -> None:
    brake = Brake()

    assert sum(brake.is_enough(1000 + apart_s * number) for number in range(news)) == enough


def test_a_thousand_touches_a_second_are_few_that_are_heard() -> None:
    """By a clock that is moved: what is listened to in a minute of them, and how late a change is seen at most."""
    heard, rests_until, brake = 0, 0.0, Brake()

    for number in range(60_000):
        now = number / 1000
        if now < rests_until:
            continue
        heard += 1
        if brake.is_enough(now):
            rests_until, brake = now + REST_S, Brake()

    assert heard < 60_000 * 0.03
    assert REST_S + 2 * GATHER_S < 1.0
