"""What can happen, and each of it as a sentence for a person.

Pure. An event and its facts come in as the audit log holds them: plain, redacted values (`audit/facts.py`).
Which facts an event usually has is to be read in its sentence below; others are welcome and stand in the log beside
it. A new event: a member here, and its sentence.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Final

from agent.values.secret import escaped


class Event(enum.Enum):
    """The names under which things stand in the audit log and in the journal."""

    AGENT_STARTED = "agent-started"
    AGENT_STOPPED = "agent-stopped"
    POLICY_LOADED = "policy-loaded"
    POLICY_REJECTED = "policy-rejected"
    ADOPTED = "adopted"  # somebody else's value of our keys is replaced for the first time
    NETWORK_CHANGED = "network-changed"
    OFFLINE = "offline"
    UPSTREAM_CHOSEN = "upstream-chosen"
    NO_UPSTREAM = "no-upstream"
    APPLY_STARTED = "apply-started"  # the intent: on disk before the first write
    SETTINGS_WRITTEN = "settings-written"
    DOCKER_RESTARTED = "docker-restarted"
    DOCKER_STARTED = "docker-started"  # not by us
    RESTART_DEFERRED = "restart-deferred"
    ROLLED_BACK = "rolled-back"
    DRIFT_CORRECTED = "drift-corrected"
    GAVE_UP = "gave-up"
    PINNED = "pinned"
    UNPINNED = "unpinned"
    PAUSED = "paused"
    RESUMED = "resumed"
    TARGET_FAILED = "target-failed"
    RESTORED = "restored"
    LOG_RECOVERED = "log-recovered"  # of the audit log about itself: what was torn, missing or could not be written
    LOG_TRIMMED = "log-trimmed"  # of the audit log about itself: what `keep` and `max_size` dropped
    RELAY_ENABLED = "relay-enabled"
    RELAY_SWITCHED = "relay-switched"
    RELAY_REFUSED = "relay-refused"
    RELAY_FAILED = "relay-failed"

    @property
    def is_trouble(self) -> bool:
        """Whether a person may have to do something: a warning in the journal."""
        return self in _TROUBLE


_TROUBLE: Final = frozenset(
    {
        Event.POLICY_REJECTED,
        Event.NO_UPSTREAM,
        Event.ROLLED_BACK,
        Event.GAVE_UP,
        Event.TARGET_FAILED,
        Event.LOG_RECOVERED,
        Event.RELAY_REFUSED,
        Event.RELAY_FAILED,
    }
)

# What stands in [ ] is left out where one of its facts is absent. `_s` and `_ms` at the end of a name are units.
_SENTENCES: Final = {
    Event.AGENT_STARTED: "The agent[ {version}] started[ with {policy}][: {because}][; the one before {before}]",
    Event.AGENT_STOPPED: "The agent stopped[: {because}]; everything stays as it is",
    Event.POLICY_LOADED: "Policy loaded[ from {path}][; networks: {networks}][; upstreams: {upstreams}][; {warnings}]",
    Event.POLICY_REJECTED: "Policy[ {path}] refused[: {problems}][; in force: {in_force}]",
    Event.ADOPTED: "Took over[ {target}][, which said {old}]",
    Event.NETWORK_CHANGED: "The network changed[: {network}][, before: {was}]",
    Event.OFFLINE: "Offline[, before: {was}]; nothing is touched",
    Event.UPSTREAM_CHOSEN: "Chose[ {upstream}][ in {network}][ instead of {was}][: {because}][ ({verdicts})]",
    Event.NO_UPSTREAM: "No upstream works[ in {network}][: {because}][ ({verdicts})]",
    Event.APPLY_STARTED: (
        "Begins[: {desired}][ ({changes})][, to be written to {targets}][; restart of Docker {restart}][: {because}]"
    ),
    Event.SETTINGS_WRITTEN: "Written[ to {target}][ to {targets}][: {settings}]",
    Event.DOCKER_RESTARTED: (
        "Docker restarted[ with {upstream}][ ({took_s})][: {settings}][; {because}]"
        "[; containers kept: {containers_kept}][; containers lost: {containers_lost}]"
        "[; containers stopped: {containers_stopped}]"
        "[; went down with it: {taken_along}][; started again: {started_again}][; {left}]"
    ),
    Event.DOCKER_STARTED: "Docker started[ with {settings}][: {because}]",
    Event.RESTART_DEFERRED: "The restart of Docker waits[ until {until}][: {because}]",
    Event.ROLLED_BACK: (
        "Rolled back[ from {upstream}][ ({settings})][: {because}]"
        "[; containers lost: {containers_lost}][; containers stopped: {containers_stopped}]"
        "[; started again: {started_again}]"
    ),
    Event.DRIFT_CORRECTED: "Put right[ {target}][, which said {found}][; written by {who}]",
    Event.GAVE_UP: "Gave up[ on {target}][ after {times} corrections][: {because}][; written by {who}]",
    Event.PINNED: "Pinned[ to {upstream}][ until {until}][, by {by}]",
    Event.UNPINNED: "No longer pinned[ to {upstream}][: {because}]",
    Event.PAUSED: "Paused[ until {until}][, by {by}]: nothing is written",
    Event.RESUMED: "No longer paused[: {because}]",
    Event.TARGET_FAILED: "Not written[: {target}][: {error}]",
    Event.RESTORED: "Put back as it was before the agent[: {target}][: {targets}][; {because}]",
    Event.LOG_RECOVERED: "The audit log goes on[: {because}]",
    Event.LOG_TRIMMED: "Old records dropped from the audit log[: {first} to {last}][ ({because})]",
    Event.RELAY_ENABLED: "The relay listens[ on {listen}]",
    Event.RELAY_SWITCHED: "The relay goes through[ {upstream}][ instead of {was}]",
    Event.RELAY_REFUSED: "The relay refused[ {source}][: {because}]",
    Event.RELAY_FAILED: "The relay failed[: {error}]",
}

# The same in a few words, of what a person who looks wants to know happened last.
_BRIEF: Final = {
    Event.POLICY_REJECTED: "policy refused",
    Event.NETWORK_CHANGED: "arrived[ in {network}]",
    Event.OFFLINE: "offline",
    Event.UPSTREAM_CHOSEN: "chose[ {upstream}]",
    Event.NO_UPSTREAM: "nothing works",
    Event.DOCKER_RESTARTED: "docker restarted[, containers kept: {containers_kept}][, lost: {containers_lost}]",
    Event.DOCKER_STARTED: "docker started",
    Event.RESTART_DEFERRED: "a restart of docker waits",
    Event.ROLLED_BACK: "rolled back",
    Event.DRIFT_CORRECTED: "put right[ {target}]",
    Event.GAVE_UP: "gave up[ on {target}]",
    Event.PINNED: "pinned[ to {upstream}]",
    Event.UNPINNED: "no longer pinned",
    Event.PAUSED: "paused",
    Event.RESUMED: "no longer paused",
    Event.TARGET_FAILED: "not written[: {target}]",
    Event.RESTORED: "put back[: {target}]",
}

_PART = re.compile(r"\[([^\]]*)\]")
_FACT = re.compile(r"\{(\w+)\}")
_SETTINGS: Final = ("proxy", "http", "https", "all")  # what `Settings.lines` may begin with
_BRIEF_AT_MOST: Final = 100
LONGEST: Final = 400  # characters of a sentence; the facts beside it are whole


def sentence(event: Event, facts: Mapping[str, object]) -> str:
    """One line for a person, from whatever of the event's usual facts are there."""
    return escaped(_filled(_SENTENCES[event], facts), LONGEST)


def brief(event: Event, facts: Mapping[str, object]) -> str:
    """A few words; '' of what is not told so."""
    return escaped(_filled(_BRIEF.get(event, ""), facts), _BRIEF_AT_MOST)


def _filled(template: str, facts: Mapping[str, object]) -> str:
    def part(match: re.Match[str]) -> str:
        said = {name: _said(name, facts.get(name)) for name in _FACT.findall(match[1])}
        return _FACT.sub(lambda fact: said[fact[1]], match[1]) if all(said.values()) else ""

    return _PART.sub(part, template)


def _said(name: str, value: object) -> str:
    match value:
        case None | False | 0:
            return ""
        case True:
            return "yes"
        case int() | float() if name.endswith("_ms"):
            return f"{value:.0f} ms"
        case int() | float() if name.endswith("_s"):
            return f"{value:.1f} s"
        case list() | tuple():
            return ", ".join(_said(name, item) for item in value)
        case Mapping():
            return _said_of_mapping(value)
    return str(value)


def _said_of_mapping(value: Mapping[str, object]) -> str:
    if "outcome" in value:
        evidence = _said("evidence", value.get("evidence"))
        parts = (str(value["outcome"]), _said("in_ms", value.get("ms")), f"[{evidence}]" if evidence else "")
        return " ".join(part for part in parts if part)
    for name in _SETTINGS:
        if name in value:
            return str(value[name])
    return ", ".join(f"{key} {_said(key, item)}" for key, item in value.items())
