"""When Docker may be restarted again: the rule as a table, with its reasons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decide.rate import Asked, allowed_at
from agent.decide.unsteady import Shaken

NOW = 1000.0
CHANGED = "the network changed since Docker was last started"
UNSTEADY = "the network keeps changing: Docker is restarted once it has been stable for"


@pytest.mark.parametrize(
    ("before", "changed", "asked", "at", "because"),
    [
        pytest.param(None, 0, Asked.AGENT, NOW, "Docker was not started recently", id="never-started"),
        pytest.param(900, 0, Asked.AGENT, NOW, "Docker was last started 100 s ago", id="long-ago"),
        pytest.param(970, 0, Asked.AGENT, NOW, "Docker was last started 30 s ago", id="just-its-turn"),
        pytest.param(
            990, 0, Asked.AGENT, 1020,
            "at most one restart in 30 s in one network (docker.min_interval)", id="within-one-network",
        ),
        pytest.param(
            990, 0, Asked.PERSON, 1020,
            "at most one restart in 30 s in one network (docker.min_interval)", id="a-person-waits-and-is-told",
        ),
        pytest.param(990, 0, Asked.NOW, NOW, "requested with --now", id="now-skips"),
        pytest.param(
            990, 995, Asked.AGENT, NOW, "the network changed since Docker was last started", id="network-change"
        ),
        pytest.param(
            990, 990, Asked.AGENT, 1020,
            "at most one restart in 30 s in one network (docker.min_interval)", id="that-change-had-its-restart",
        ),
    ],
)  # fmt: skip
def test_allowed_in_a_steady_network(
    before: float | None, changed: float, asked: Asked, at: float, because: str
) -> None:
    allowed = allowed_at(before, changed, 30, NOW, asked=asked)

    assert (allowed.at, allowed.because) == (at, because)


@pytest.mark.parametrize(
    ("before", "changed", "shaken", "asked", "then"),
    [
        pytest.param(990, 995, Shaken(990), Asked.AGENT, (NOW, CHANGED), id="one-before"),
        pytest.param(990, 995, Shaken(990, 1), Asked.AGENT, (1005, f"{UNSTEADY} 10 s"), id="two-before"),
        pytest.param(
            990, 995, Shaken(990, 3), Asked.PERSON,
            (1035, f"{UNSTEADY} 40 s"),
            id="a-person-waits-and-is-told",
        ),
        pytest.param(990, 995, Shaken(990, 3), Asked.NOW, (NOW, "requested with --now"), id="now-skips"),
        pytest.param(
            955, 995, Shaken(955, 2), Asked.AGENT, (1015, f"{UNSTEADY} 20 s"),
            id="whatever-the-interval-allows",
        ),
        pytest.param(940, 950, Shaken(940, 3), Asked.AGENT, (1000, CHANGED), id="it-has-stood-for-40-s"),
        pytest.param(900, 940, Shaken(900, 3), Asked.AGENT, (1000, CHANGED), id="it-is-steady"),
        pytest.param(
            990, 985, Shaken(990, 2), Asked.AGENT,
            (1020, "at most one restart in 30 s in one network (docker.min_interval)"), id="it-had-its-restart",
        ),
        pytest.param(
            None, 985, Shaken(990, 2), Asked.AGENT, (NOW, "Docker was not started recently"), id="by-the-agent-before",
        ),
        pytest.param(None, 995, Shaken(990, 1), Asked.AGENT, (1005, f"{UNSTEADY} 10 s"), id="another-agent-waits"),
    ],
)  # fmt: skip
def test_allowed_in_an_unsteady_one(
    before: float | None, changed: float, shaken: Shaken, asked: Asked, then: tuple[float, str]
) -> None:
    allowed = allowed_at(before, changed, 30, NOW, asked=asked, shaken=shaken)

    assert (allowed.at, allowed.because) == then


@pytest.mark.parametrize(
    ("asked", "how"), [(Asked.AGENT, ""), (Asked.PERSON, "; to restart now: docker-proxy-agent apply --now")]
)
def test_it_is_told_by_a_moment_that_stays_true(asked: Asked, how: str) -> None:
    told = {allowed_at(990, 0, 30, now, asked=asked).waits("10:05:12") for now in (991.0, 1019.0)}

    interval = "at most one restart in 30 s in one network (docker.min_interval)"
    assert told == {f"{interval}: not before 10:05:12{how}"}


@given(
    st.none() | st.integers(900, 1000),
    st.integers(900, 1000),
    st.integers(0, 300),
    st.builds(Shaken, st.none() | st.integers(900, 1000), st.integers(0, 3)),
)
def test_who_comes_back_when_told_may(before: int | None, changed: int, min_interval: int, shaken: Shaken) -> None:
    then = allowed_at(before, changed, min_interval, NOW, shaken=shaken).at

    assert allowed_at(before, changed, min_interval, then, shaken=shaken).is_now(then)
