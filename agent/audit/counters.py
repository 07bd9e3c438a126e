"""How often what happened, over all agents of this state directory: for `status --format prometheus`.

Counted are records, each once, whoever made it. The counts are kept in the state directory with the number of the last
record that changed them. So an agent that was killed in between costs none: whoever comes next counts what the log has
since then.
Not known here: how they are shown (`service/metrics.py`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.audit import files
from agent.audit.chain import Entry, decoded
from agent.system.files import is_there
from agent.system.state_file import StateFile
from agent.values.dockerd import Cause
from agent.values.errors import AgentError
from agent.values.events import Event
from agent.values.reason import Reason

_SAVED_EACH_S: Final = 60.0  # of an outage that goes on
_SEQ: Final = re.compile(rb'"seq":(\d+)')


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """What counts of a record."""

    event: str
    facts: Mapping[str, Any]
    trigger: str  # why the pass looked
    is_asked: bool  # for by somebody
    at: str  # RFC 3339


class Counted(msgspec.Struct, frozen=True):
    """All of it."""

    seq: int = 0  # of the last record that changed it
    restarts: Mapping[str, int] = {}  # of Docker, by cause
    starts_by_others: int = 0
    rollbacks: int = 0
    corrections: int = 0
    unreachable_s: float = 0.0  # of outages that are over
    open_s: float = 0.0  # of the one that goes on, as last seen
    deferred_since: str = ""  # RFC 3339; '': no restart waits


# In this order: what a person asked for is theirs, whatever else moved.
NETWORK, PERSON, POLICY, OTHER = "network", "person", "files", "other"
CAUSES: Final = (NETWORK, PERSON, POLICY, OTHER)


def cause_of(noted: Noted) -> str:
    words = set(noted.trigger.split(" "))
    if noted.is_asked:
        return PERSON
    if words & {Reason.NETWORK.value, Reason.RESUME.value}:
        return NETWORK
    return POLICY if Reason.FILES.value in words else OTHER


def after(before: Counted, noted: Noted) -> Counted:
    """The counts after one more record."""
    change = msgspec.structs.replace
    match noted.event:
        case Event.DOCKER_RESTARTED.value:
            cause = cause_of(noted)
            restarts = {**before.restarts, cause: before.restarts.get(cause, 0) + 1}
            return change(before, restarts=restarts, deferred_since="")
        case Event.ROLLED_BACK.value:
            return change(before, rollbacks=before.rollbacks + 1, deferred_since="")
        case Event.DOCKER_STARTED.value if noted.facts.get("cause") == Cause.OTHERS.value:
            return change(before, starts_by_others=before.starts_by_others + 1, deferred_since="")
        case Event.RESTART_DEFERRED.value if not before.deferred_since:
            return change(before, deferred_since=noted.at)
        case Event.RESTART_DROPPED.value:
            return change(before, deferred_since="")
        case Event.DRIFT_CORRECTED.value:
            return change(before, corrections=before.corrections + 1)
        case Event.UNREACHABLE_ENDED.value:
            lasted = noted.facts.get("lasted_s")
            lasted_s = float(lasted) if isinstance(lasted, int | float) else before.open_s
            return change(before, unreachable_s=before.unreachable_s + max(lasted_s, before.open_s), open_s=0.0)
        case Event.AGENT_STARTED.value if before.open_s:  # the one before did not live to see the end
            return change(before, unreachable_s=before.unreachable_s + before.open_s, open_s=0.0)
    return before


class Counters:
    """Of one agent, or of one command. Who notes here holds the agent's lock."""

    def __init__(self, log: Path, state: Path) -> None:
        self._log = log
        self._file = StateFile(state / "counters.json", Counted, 1)
        self._now: Counted | None = None  # None: not read yet
        self._saved_open_s = 0.0

    @property
    def now(self) -> Counted:
        return self._now if self._now is not None else self._take_up(None)

    def note(self, seq: int | None, noted: Noted) -> None:
        """One more record; `seq`: None if the log could not take it."""
        before = self._now if self._now is not None else self._take_up(seq)
        if seq is not None and seq <= before.seq:  # it was read from the log just now
            return
        now = after(before, noted)
        if now != before:
            self._save(msgspec.structs.replace(now, seq=before.seq if seq is None else seq))

    def note_open(self, seconds: float) -> None:
        """How long the outage that goes on has lasted by now; 0: there is none."""
        now = self.now
        if seconds <= now.open_s:
            return
        self._now = msgspec.structs.replace(now, open_s=seconds)
        if seconds - self._saved_open_s >= _SAVED_EACH_S or seconds < self._saved_open_s:
            self._save(self._now)

    def _take_up(self, before_seq: int | None) -> Counted:
        """What was kept, and what was recorded since. `before_seq`: of the record that is counted next."""
        kept = None
        with contextlib.suppress(AgentError):  # damaged: it is counted from now on
            kept = self._file.load()
        now = kept or Counted(seq=self._begins_after(before_seq))
        if kept is not None:
            with contextlib.suppress(OSError):  # a log that cannot be read: they are not counted
                for entry in _since(self._log, kept.seq):
                    if before_seq is None or entry.seq < before_seq:
                        now = msgspec.structs.replace(after(now, _noted(entry)), seq=entry.seq)
        self._now, self._saved_open_s = now, now.open_s
        if now != kept:
            self._save(now)
        return now

    def _begins_after(self, before_seq: int | None) -> int:
        """Where nothing was counted yet, it is from now on: a log of years is not read for it."""
        if before_seq is not None:
            return before_seq - 1
        with contextlib.suppress(OSError):
            newest = files.newest(self._log)
            return newest.seq if newest is not None else 0
        return 0

    def _save(self, counted: Counted) -> None:
        self._now, self._saved_open_s = counted, counted.open_s
        with contextlib.suppress(AgentError):  # a full disk: the next one is saved with it
            self._file.save(counted)


_COUNTED: Final = tuple(
    f'"event":"{event.value}"'.encode()
    for event in (
        Event.DOCKER_RESTARTED, Event.ROLLED_BACK, Event.DOCKER_STARTED, Event.RESTART_DEFERRED, Event.RESTART_DROPPED,
        Event.DRIFT_CORRECTED, Event.UNREACHABLE_ENDED, Event.AGENT_STARTED,
    )
)  # fmt: skip


def _noted(entry: Entry) -> Noted:
    return Noted(
        event=entry.event,
        facts=entry.facts,
        trigger=entry.trigger,
        is_asked=entry.by is not None,
        at=entry.ts,
    )


def _since(log: Path, seq: int) -> Iterator[Entry]:
    """The records after this one that count. Older files are not opened, and other lines not decoded."""
    full = files.full_files(log)
    firsts = [int(file.stem.rpartition("-")[2]) for file in full]
    growing = files.first_entry(log) if is_there(log) else None
    following = [*firsts[1:], seq + 2 if growing is None else growing.seq]
    needed = [file for file, first in zip(full, following, strict=False) if first > seq + 1]
    for file in (*needed, log):
        with contextlib.suppress(FileNotFoundError), file.open("rb") as stream:
            for raw in stream:
                number = _SEQ.search(raw)
                if number is not None and int(number[1]) > seq and any(name in raw for name in _COUNTED):
                    entry = decoded(raw.removesuffix(b"\n"))
                    if entry is not None and entry.seq > seq:
                        yield entry
