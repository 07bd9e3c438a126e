"""What people asked for, and what came of it: always something, for a record that is not there says something, too.

Pure. An order and what it brings about have the same pass.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

import msgspec

from agent.audit.facts import plain
from agent.audit.heads import Head
from agent.audit.report.words import length
from agent.audit.spans import Lane, Order, Outage, Span, Told
from agent.values.asker import Via
from agent.values.events import Event
from agent.values.sentences import brief

# What an order brings about; the rest of its pass is on the way there.
_CAME_OF_IT: Final = {
    event.value: event
    for event in (
        *(Event.UPSTREAM_CHOSEN, Event.NO_UPSTREAM, Event.DOCKER_RESTARTED, Event.RESTART_DEFERRED, Event.ROLLED_BACK),
        *(Event.TARGET_FAILED, Event.RESTORED, Event.DRIFT_CORRECTED, Event.POLICY_REJECTED),
    )
}


class Answered(msgspec.Struct):
    """An order and, in a few words each, what came of it."""

    order: Order
    boot: str
    came_of_it: list[str]


class Orders:
    """On their way along the log."""

    def __init__(self) -> None:
        self.found: list[Answered] = []
        self._open: list[Answered] = []  # of the pass that is being read
        self._pauses: dict[int, Answered] = {}  # by their record
        self._runs = ""  # what Docker was started with last
        self._no_policy = ""  # why the one in the file was none to act by; '': nothing is known against it

    def take(self, head: Head, told: Iterable[Told]) -> None:
        """A record, and what the account tells of it."""
        if self._open and (self._open[0].order.pass_id, self._open[0].boot) != (head.pass_id, head.boot_id):
            self._is_over(head)
        self._note_policy(head)
        for one in told:
            self._take(one, head.boot_id)
        if head.event == Event.DOCKER_STARTED.value:
            facts = head.facts_of_today()
            self._runs = _settings(facts.get("effective"))
        if self._open and head.pass_id and head.event in _CAME_OF_IT:
            words = self._few_words(head)
            for answered in self._open:
                answered.came_of_it.append(words)

    def end(self, told: Iterable[Told] = ()) -> list[Answered]:
        """Where the log ends: all of them."""
        for one in told:
            self._take(one, "")
        self._is_over(None)
        return self.found

    def _take(self, one: Told, boot: str) -> None:
        match one:
            case Order():
                answered = Answered(one, boot, [])
                self._open.append(answered)
                self.found.append(answered)
                if one.event == Event.PAUSED.value:
                    self._pauses[one.seq] = answered
            case Span(lane=Lane.PAUSED, seq=seq) if seq in self._pauses and one.end is not None:
                by = f" (record {one.end_seq})" if one.end_seq else ""
                self._pauses[seq].came_of_it.insert(0, f"it held for {_lasted(one.begin, one.end)}{by}")
            case Outage():
                for seq, answered in self._pauses.items():
                    if f"the agent was paused by {answered.order.who} (record {seq})" in one.why:
                        answered.came_of_it.append(_prevented(one))

    def _is_over(self, head: Head | None) -> None:
        """The pass; `head`: the record after it."""
        for answered in self._open:
            if not answered.came_of_it and answered.order.event != Event.PAUSED.value:
                answered.came_of_it.append(_nothing(answered.order, head, self._no_policy))
        self._open = []

    def _note_policy(self, head: Head) -> None:
        match head.event:
            case Event.POLICY_REJECTED.value:
                self._no_policy = f"the policy in the file was refused (record {head.seq})"
            case Event.POLICY_REMOVED.value:
                self._no_policy = f"there was no policy (record {head.seq})"
            case Event.POLICY_LOADED.value:
                self._no_policy = ""

    def _few_words(self, head: Head) -> str:
        facts = plain(head.facts_of_today())
        words = (brief(_CAME_OF_IT[head.event], facts) if isinstance(facts, dict) else "") or head.event
        is_restart = head.event == Event.DOCKER_RESTARTED.value and self._runs
        return f"{words}, with {self._runs}" if is_restart else words


def _nothing(order: Order, head: Head | None, no_policy: str) -> str:
    at = None if head is None else head.moment()
    if head is None or at is None:
        return "nothing is recorded"
    if head.event == Event.AGENT_STOPPED.value:
        return f"nothing is recorded; the agent stopped {_lasted(order.at, at)} later"
    if head.event == Event.AGENT_STARTED.value:
        if order.by.get("via") == Via.COMMAND.value:  # a command acts itself only where no agent runs
            return "nothing is recorded: no agent ran"
        return "nothing is recorded; the agent ended without a word"
    return f"nothing is recorded: {no_policy or 'there was nothing to do'}"


def _prevented(one: Outage) -> str:
    lasted = "" if one.lasted_s is None else f" for {length(one.lasted_s)}"
    records = ", ".join(str(seq) for seq in (one.seq, one.end_seq) if seq)
    return f"Docker could not be switched, and reached no registry{lasted} (records {records})"


def _lasted(begin: dt.datetime, end: dt.datetime) -> str:
    return length(max(0.0, (end - begin).total_seconds()))


def _settings(runs: object) -> str:
    if not isinstance(runs, dict):
        return ""
    if runs.get("direct") is True:
        return "direct"
    return " ".join(dict.fromkeys(str(runs[name]) for name in ("http", "https", "all") if name in runs))
