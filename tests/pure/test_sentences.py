"""How each event is said to a person."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from agent.values.events import Event
from agent.values.sentences import LONGEST, sentence


@pytest.mark.parametrize(
    ("event", "facts", "said"),
    [
        pytest.param(
            Event.DOCKER_RESTARTED,
            {"took_s": 0.71, "due": "direct does not work here", "allowed": "nothing runs", "containers_kept": 3},
            "Docker restarted (0.7 s): direct does not work here; nothing runs; containers kept: 3",
            id="restarted",
        ),
        pytest.param(Event.DOCKER_RESTARTED, {"containers_kept": 0}, "Docker restarted", id="nothing-known"),
        pytest.param(
            Event.UPSTREAM_CHOSEN,
            {
                "network": "office",
                "upstream": "corp",
                "because": "first that works",
                "verdicts": [
                    {"upstream": "corp", "verdict": "ok", "ms": 84.1},
                    {"upstream": "direct", "verdict": "dns", "ms": 0, "evidence": "no such name"},
                ],
            },
            "Chose corp in office: first that works (corp ok 84 ms, direct dns [no such name])",
            id="chosen",
        ),
        pytest.param(
            Event.APPLY_STARTED,
            {"settings": {"direct": True}, "targets": ["/etc/docker/daemon.json", "alice"]},
            "Applying: direct, to be written to /etc/docker/daemon.json, alice",
            id="list",
        ),
        pytest.param(
            Event.APPLY_STARTED,
            {"effective": {"direct": True}, "client_settings": {"http": "http://proxy:3128"}, "targets": ["alice"]},
            "Applying, for clients: http://proxy:3128, to be written to alice",
            id="clients-alone",
        ),
        pytest.param(
            Event.ROLLED_BACK,
            {"because": "dockerd did not come up", "failed_settings": {"https": "http://proxy:3128"}},
            "Rolled back (http://proxy:3128): dockerd did not come up",
            id="rolled-back",
        ),
        pytest.param(
            Event.DOCKER_STARTED,
            {"cause": "others", "started_at": "2026-03-01T13:58:40.512087Z"},
            "Docker runs, started by others, since 2026-03-01T13:58:40Z",
            id="to-the-second",
        ),
        pytest.param(
            Event.NETWORK_CHANGED, {"network": "a\x1b[31m\nb"}, "The network changed: a\\x1b[31m\\x0ab", id="escaped"
        ),
    ],
)
def test_an_event_is_said_with_the_facts_that_there_are(event: Event, facts: dict[str, object], said: str) -> None:
    assert sentence(event, facts) == said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["upstream", "took_s", "settings", "verdicts", "because", "due", "targets", "network", "previous_network", "error"]
)


@examples(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(event=st.sampled_from(Event), facts=st.dictionaries(NAMES, JSON))
def test_every_event_has_one_line_for_a_person_whatever_its_facts(event: Event, facts: dict[str, object]) -> None:
    said = sentence(event, facts)

    assert said[0].isupper()
    assert said.isprintable()
    assert len(said) <= LONGEST
    assert "{" not in sentence(event, {})
    assert "[" not in sentence(event, {})
