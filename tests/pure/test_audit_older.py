"""Records of the first schema are read under today's names."""

from __future__ import annotations

from typing import Any

import pytest

from agent.audit.chain import GENESIS, SCHEMA, Entry
from agent.audit.older import facts_of
from agent.values.events import Event
from agent.values.sentences import sentence


def entry(event: Event, facts: dict[str, Any], v: int = 1) -> Entry:
    return Entry(
        v=v, ts="2026-01-01T09:00:00.000000Z", seq=1, boot_id="b", pass_id="1", event=event.value, trigger="t",
        facts=facts, prev=GENESIS,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("event", "facts", "said"),
    [
        pytest.param(
            Event.NETWORK_CHANGED, {"network": "home", "was": "office"}, "The network changed: home, before: office"
        ),
        pytest.param(Event.NETWORK_CHANGED, {"network": "home", "was": "offline"}, "The network changed: home"),
        pytest.param(
            Event.UPSTREAM_CHOSEN,
            {"upstream": "corp", "was": "direct", "verdicts": {"corp": {"outcome": "ok", "ms": 84.1}, "x": "cut"}},
            "Chose corp instead of direct (corp ok 84 ms)",
        ),
        pytest.param(
            Event.APPLY_STARTED,
            {"desired": {"proxy": "direct"}, "targets": ["/etc/docker/daemon.json"], "restart": "now: nothing runs"},
            "Applying: direct, to be written to /etc/docker/daemon.json",
        ),
        pytest.param(
            Event.DOCKER_RESTARTED,
            {"took_s": 0.7, "settings": {"http": "http://proxy:3128"}, "because": "no container runs"},
            "Docker restarted (0.7 s): no container runs",
        ),
        pytest.param(
            Event.DRIFT_CORRECTED,
            {"target": "/etc/docker/daemon.json", "found": {"proxy": "direct"}, "who": "root at 12:00:00"},
            "Corrected /etc/docker/daemon.json, which had direct",
        ),
        pytest.param(
            Event.AGENT_STARTED,
            {"version": "1", "before": "was killed"},
            "The agent 1 started; the agent before: was killed",
        ),
        pytest.param(Event.GAVE_UP, {"target": "x", "because": "y"}, "Gave up on x: y"),
        pytest.param(
            Event.RESTART_DEFERRED, {"because": "3 containers run"}, "The restart of Docker waits: 3 containers run"
        ),
    ],
)
def test_an_old_record_reads_well(event: Event, facts: dict[str, Any], said: str) -> None:
    assert sentence(event, facts_of(entry(event, facts))) == said


def test_todays_records_are_as_they_are() -> None:
    facts = {"was": 1, "verdicts": {}, "target": "x"}

    assert facts_of(entry(Event.GAVE_UP, facts, v=SCHEMA)) == facts


def test_of_an_event_that_is_not_known_nothing_is_renamed() -> None:
    found = Entry(
        ts="", seq=1, boot_id="", pass_id="", event="teleported", trigger="", facts={"was": "x"}, prev=GENESIS
    )

    assert facts_of(found) == {"was": "x"}
