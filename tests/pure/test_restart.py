"""When Docker is restarted."""

from __future__ import annotations

import pytest

from agent.decide.restart import When, restarting
from agent.policy import Restart


@pytest.mark.parametrize(
    ("mode", "containers", "now", "when", "because"),
    [
        (Restart.PROTECT, 0, False, When.NOW, "no container runs"),
        (Restart.WHEN_IDLE, 0, False, When.NOW, "no container runs"),
        (Restart.PROTECT, 1, False, When.LATER, "1 container runs; to restart all the same: docker-proxy-agent apply --now"),
        (Restart.WHEN_IDLE, 2, False, When.LATER, "2 containers run; to restart all the same: docker-proxy-agent apply --now"),
        (Restart.ALWAYS, 5, False, When.NOW, 'docker.restart = "always"'),
        (Restart.NEVER, 0, False, When.NEVER, 'docker.restart = "never": restart Docker by hand, or: docker-proxy-agent apply --now'),
        (Restart.NEVER, 3, True, When.NOW, "asked for by --now"),
        (Restart.PROTECT, 3, True, When.NOW, "asked for by --now"),
    ],
)  # fmt: skip
def test_when(mode: Restart, containers: int, now: bool, when: When, because: str) -> None:
    decided = restarting(mode, containers, is_asked_now=now)

    assert (decided.when, decided.because) == (when, because)


def test_what_cannot_be_restarted_is_not_even_by_now() -> None:
    assert restarting(Restart.ALWAYS, 0, is_asked_now=True, can_restart=False).when is When.LATER
