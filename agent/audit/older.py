"""Facts of records that were written under an older schema, under the names of today's.

Pure. Nothing is rewritten on disk: a record is read so, and shown so. What has no name today is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.audit.chain import SCHEMA, Entry
from agent.values.events import Event
from agent.values.policy import OFFLINE_NAME

# Of schema 1: by event, the names that have become others.
_RENAMED: Final[Mapping[str, Mapping[str, str]]] = {
    Event.AGENT_STARTED.value: {"before": "last_ended"},
    Event.ADOPTED.value: {"target": "targets", "old": "found"},
    Event.NETWORK_CHANGED.value: {"was": "previous_network"},
    Event.OFFLINE.value: {"was": "previous_network"},
    Event.UPSTREAM_CHOSEN.value: {"was": "previous_upstream"},
    Event.APPLY_STARTED.value: {"desired": "settings", "clients": "client_settings"},
    Event.DOCKER_RESTARTED.value: {"because": "due", "settings": "effective"},
    Event.DOCKER_STARTED.value: {"settings": "effective"},
    Event.RESTART_DEFERRED.value: {"because": "waits"},
    Event.ROLLED_BACK.value: {"settings": "failed_settings"},
    Event.DRIFT_CORRECTED.value: {"target": "targets", "before": "password_before", "after": "password_after"},
    Event.GAVE_UP.value: {"target": "targets"},
    Event.TARGET_FAILED.value: {"target": "targets"},
    Event.LOG_RECOVERED.value: {"found": "end"},
}


def facts_of(entry: Entry) -> dict[str, Any]:
    """The facts of a record of any schema, under the names of today's."""
    return named_today(entry.v, entry.event, entry.facts)


def named_today(v: int, event: str, facts: dict[str, Any]) -> dict[str, Any]:
    """The same, of a record of which only this is known. `v`: of its schema."""
    if v >= SCHEMA:
        return facts
    renamed = _RENAMED.get(event, {})
    return {renamed.get(name, name): _today(renamed.get(name, name), fact) for name, fact in facts.items()}


def _today(name: str, fact: Any) -> Any:
    match name, fact:
        case "targets", str():
            return [fact]
        case "previous_network", str() if fact == OFFLINE_NAME:
            return None
        case "verdicts", dict():
            return [_judged(upstream, verdict) for upstream, verdict in fact.items() if isinstance(verdict, dict)]
        case _, {"proxy": "direct"}:
            return {"direct": True}
    return fact


def _judged(upstream: str, verdict: dict[str, Any]) -> dict[str, Any]:
    others = {name: fact for name, fact in verdict.items() if name != "outcome"}
    return {"upstream": upstream, "verdict": verdict.get("outcome"), **others}
