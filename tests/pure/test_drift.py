"""Somebody else changes our keys: how often that is put right."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent.decide.drift import Correcting, Correction, Drifts, drifted

FILE = "/etc/docker/daemon.json"


def answers(times: Sequence[float], drifts: Drifts | None = None, target: str = FILE) -> list[Correcting]:
    counted, given = drifts or Drifts(), []
    for now in times:
        counted, correction = drifted(counted, target, now)
        given.append(correction.answer)
    return given


@pytest.mark.parametrize(
    ("times", "last"),
    [
        pytest.param([0], Correcting.PUT_RIGHT, id="once"),
        pytest.param([0, 1, 2, 3], Correcting.PUT_RIGHT, id="four-times"),
        pytest.param([0, 1, 2, 3, 4], Correcting.GIVE_UP, id="the-fifth-in-ten-minutes"),
        pytest.param([0, 150, 300, 450, 599], Correcting.GIVE_UP, id="the-fifth-in-just-ten-minutes"),
        pytest.param([0, 150, 300, 450, 600], Correcting.PUT_RIGHT, id="the-fifth-after-ten-minutes"),
        pytest.param([0, 1, 2, 3, 4, 5], Correcting.LEAVE, id="given-up"),
        pytest.param([0, 1, 2, 3, 4, 99999], Correcting.LEAVE, id="given-up-for-good"),
    ],
)
def test_what_is_done_about_one_drift_after_the_other(times: list[float], last: Correcting) -> None:
    assert answers(times)[-1] is last


def test_how_a_drift_is_said() -> None:
    drifts, first = drifted(Drifts(), FILE, 0, "puppet (pid 812)")
    drifts, second = drifted(drifts, FILE, 1)
    for now in (2, 3):
        drifts, _ = drifted(drifts, FILE, now)
    drifts, fifth = drifted(drifts, FILE, 4, "puppet (pid 812)")
    drifts, sixth = drifted(drifts, FILE, 5)

    assert first == Correction(Correcting.PUT_RIGHT, "puppet (pid 812) changed the agent's keys (once in 10 min)")
    assert second == Correction(Correcting.PUT_RIGHT, "somebody else changed the agent's keys (2 times in 10 min)")
    assert fifth.because == "puppet (pid 812) changed the agent's keys 5 times in 10 min; the agent leaves them alone"
    # Who, what and how often stays known for as long as it is left to them.
    assert sixth == Correction(Correcting.LEAVE, fifth.because)


def test_targets_are_counted_apart() -> None:
    drifts = Drifts()
    for now in range(5):
        drifts, _ = drifted(drifts, FILE, now)

    assert answers([5], drifts) == [Correcting.LEAVE]
    assert answers([5], drifts, "/root/.docker/config.json") == [Correcting.PUT_RIGHT]
