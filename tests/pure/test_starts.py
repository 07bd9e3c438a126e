"""Whose a start of dockerd was, as one pass after another sees it."""

from __future__ import annotations

import pytest

from agent.docker.transaction import Applied
from agent.one_pass.seen import Offline, Pass
from agent.service.starts import Starts
from agent.values.dockerd import Cause, Phase, Reality, UnitState
from agent.values.snapshot import Snapshot

RESTARTED = Applied(restarted_s=0.6)
ROLLED_BACK = Applied(rolled_back="it did not come up")
WRITTEN = Applied(written=("/etc/docker/daemon.json",))


def made(invocation: str, outcome: Applied | None = None) -> Pass:
    """A pass that found this start of dockerd."""
    unit = UnitState(Phase.RUNNING if invocation else Phase.STOPPED, invocation=invocation)
    return Pass(Offline(snapshot=Snapshot(), reality=Reality(unit)), outcome)


@pytest.mark.parametrize(
    ("passes", "causes"),
    [
        pytest.param([made("a"), made("a")], [], id="the-first-was-before-us"),
        pytest.param([made("a"), made("b")], [Cause.OTHERS], id="another-one"),
        pytest.param([made(""), made("b")], [], id="one-that-did-not-run-when-we-came"),
        pytest.param([made("a"), made(""), made("a")], [], id="one-whose-look-failed"),
        pytest.param([made("a"), made(""), made("b")], [Cause.OTHERS], id="stopped-and-started"),
        pytest.param([made("a", WRITTEN), made("a")], [], id="written-only"),
        pytest.param([made("a", RESTARTED), made("b"), made("b")], [Cause.AGENT], id="ours"),
        pytest.param([made("a", ROLLED_BACK), made("c")], [Cause.AGENT], id="ours-in-vain"),
        pytest.param([made("a", RESTARTED), made("b"), made("c")], [Cause.AGENT, Cause.OTHERS], id="ours-then-theirs"),
        pytest.param([made("a"), made("b", RESTARTED), made("c")], [Cause.OTHERS, Cause.AGENT], id="theirs-then-ours"),
    ],
)
def test_whose_starts_these_are(passes: list[Pass], causes: list[Cause]) -> None:
    starts = Starts()

    assert [cause for done in passes for cause in starts.note(done)] == causes
