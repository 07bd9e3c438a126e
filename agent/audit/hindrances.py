"""Why Docker could not switch while it reached no registry, and what had changed when it reached one again.

Pure. The record of an outage says what was chosen; that is no reason for it. The reason is in the records around it: a
pause, a restart that waits, verdicts of which none is good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from agent.audit.heads import Head
from agent.values.dockerd import Cause
from agent.values.events import Event
from agent.values.verdict import Outcome

# With any of these a restart waits no longer.
_WAITS_NO_LONGER: Final = frozenset(
    event.value
    for event in (
        *(Event.RESTART_DROPPED, Event.DOCKER_RESTARTED, Event.DOCKER_STARTED, Event.DOCKER_STOPPED, Event.ROLLED_BACK),
    )
)
NOTED: Final = _WAITS_NO_LONGER | {
    event.value
    for event in (
        *(Event.PAUSED, Event.RESUMED, Event.RESTART_DEFERRED),
        *(Event.NETWORK_CHANGED, Event.OFFLINE, Event.RELAY_SWITCHED),
    )
}


_BY: Final = {Cause.AGENT.value: " by the agent", Cause.OTHERS.value: " by others"}


class Hindrances:
    """At this place of the log."""

    def __init__(self) -> None:
        self._pause = ""
        self._waits = ""
        self._started = ""  # Docker, since the outage began
        self._moved = ""
        self._switched = ""  # the relay, since the outage began
        self._network = ""  # of the outage

    def note(self, head: Head, facts: Mapping[str, Any], *, by: str, settings: str) -> str:
        """What from this record on keeps Docker from being switched; '' if nothing new does. `settings`: in words."""
        record = f"(record {head.seq})"
        if head.event in _WAITS_NO_LONGER:
            self._waits = ""
        match head.event:
            case Event.PAUSED.value:
                self._pause = f"the agent was paused{f' by {by}' if by else ''} {record}"
                return self._pause
            case Event.RESUMED.value:
                self._pause = ""
            case Event.RESTART_DEFERRED.value:
                self._waits = f"the restart of Docker waited: {facts.get('waits', '')} {record}"
                return "" if self._pause else self._waits
            case Event.DOCKER_STARTED.value:
                who = _BY.get(str(facts.get("cause")), "")
                self._started = f"Docker was started{who}, with {settings} {record}"
            case Event.RELAY_SWITCHED.value:
                self._switched = f"the relay switched to {facts.get('upstream', 'another upstream')} {record}"
            # A move is recorded with the choice that it leads to, which may be after an outage began there.
            case Event.NETWORK_CHANGED.value if facts.get("network") != self._network:
                self._moved = f"the laptop moved to {facts.get('network', 'another network')} {record}"
            case Event.OFFLINE.value:
                self._moved = f"the laptop went offline {record}"
        return ""

    def began(self, facts: Mapping[str, Any]) -> str:
        """Why, as far as it is known where the outage begins."""
        self._started = self._moved = self._switched = ""
        self._network = str(facts.get("network", ""))
        return self._pause or self._waits or _by_verdicts(facts)

    def ended(self, facts: Mapping[str, Any]) -> str:
        """What had changed by then; '': its own record says it better, or nothing does."""
        upstream = facts.get("upstream")
        works_again = f"{upstream} works again" if isinstance(upstream, str) and upstream else ""
        return self._started or self._moved or self._switched or works_again


def _by_verdicts(facts: Mapping[str, Any]) -> str:
    because, upstream = str(facts.get("because", "")), facts.get("upstream")
    verdicts = [*_judged(facts.get("verdicts"))]
    outcomes = {verdict for _, verdict in verdicts}
    if not verdicts or Outcome.PORTAL.value in outcomes:
        return because
    if Outcome.OK.value not in outcomes:
        return f"nothing worked here: {', '.join(f'{name} {verdict}' for name, verdict in verdicts)}"
    works = ", ".join(name for name, verdict in verdicts if verdict == Outcome.OK.value and name != upstream)
    return f"Docker ran with {upstream or 'none of the upstreams'}; what worked here was {works}" if works else because


def _judged(verdicts: object) -> Iterator[tuple[str, str]]:
    for one in verdicts if isinstance(verdicts, Sequence) and not isinstance(verdicts, str) else ():
        if isinstance(one, Mapping):
            yield str(one.get("upstream", "")), str(one.get("verdict", ""))
