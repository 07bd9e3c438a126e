"""What was so at any moment, by the records alone: spans, restarts, orders.

    account = Account()
    for head in heads(path):
        for told in account.take(head): ...
    for told in account.now(): ...       what is still so where the log ends

Pure, and each span is yielded when it has ended: a log of any length takes little memory. Where no agent ran, nothing
is known, and that is said. Nothing here is computed from what must have been: only from what a record says.
Not known here: whether the log is as it was written (`verify.py`).
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from agent.audit.facts_read import earlier, moment_of, proxies_of, seconds_of, text_of, texts_of, unit_of, until_of, who
from agent.audit.heads import Head
from agent.audit.lanes import Lanes, Said
from agent.audit.outages_told import OutagesTold
from agent.audit.spans import Break, Known, Lane, Order, Outage, Restart, Span, Start, Told
from agent.values.asker import Via
from agent.values.events import RECORDED_BEFORE, SAID_LATER, SERVED_FROM_NOW, Event

_JITTER: Final = dt.timedelta(seconds=1)  # two that write at once may have their times the other way round
_SHA_SHOWN: Final = 12
_ENDED_SO: Final = "ended without a word"
_RUNS_DIRECT: Final = "Docker runs with direct, but should run with "  # as `decide/plan.py` says why a restart is due
# After a start of the agent that said nothing of Docker.
_TELLS_OF_DOCKER: Final = frozenset(
    event.value for event in (Event.POLICY_LOADED, Event.DOCKER_STARTED, Event.DOCKER_STOPPED)
)
_ANEW: Final = "it was restarted while no agent was watching; by whom is not known"
_OTHER_BOOT: Final = "ended with the machine, without a stop"
# A start is recorded once the agent has looked: what it found to be finished from before has records in front of it.
_BEFORE_A_START: Final = 64
_ROUNDED: Final = dt.timedelta(seconds=0.1)  # `gap_s`


class Account:
    """Of one log, record by record."""

    def __init__(self) -> None:
        self._lanes = Lanes()
        self._is_running: bool | None = None  # an agent; None: the log has not begun
        self._outages = OutagesTold()
        self._behind_the_relay = ""  # the upstream, whether or not Docker is given the relay yet
        self._silent: tuple[dt.datetime, Said, str] | None = None  # since when, and of which unit
        self._untils: dict[Lane, dt.datetime] = {}  # of a pin and a pause
        self._starts: dict[str, str] = {}  # by unit: systemd's id of the last one that is known; '': it is down
        self._order: tuple[Order, str] | None = None  # the last one, and in which boot
        self._boot = ""
        self._unit = ""  # of the Docker that the agent looks after; '': not said
        self._lately: deque[tuple[dt.datetime, int]] = deque(maxlen=_BEFORE_A_START)  # when records were written
        # And after which record. For a while: a start of the agent may still tell that nobody looked.
        self._held: deque[tuple[int, Span]] = deque()
        self._seq = 0  # of the record before
        self.last: dt.datetime | None = None  # when the newest record was written
        takes = {
            Event.AGENT_STARTED: self._agent_started,
            Event.AGENT_STOPPED: self._agent_stopped,
            Event.POLICY_LOADED: self._policy_loaded,
            Event.POLICY_REJECTED: self._policy_rejected,
            Event.POLICY_REMOVED: self._policy_removed,
            Event.NETWORK_CHANGED: self._network_changed,
            Event.OFFLINE: self._offline,
            Event.UPSTREAM_CHOSEN: self._upstream_chosen,
            Event.NO_UPSTREAM: self._no_upstream,
            Event.UNREACHABLE_BEGAN: self._unreachable_began,
            Event.UNREACHABLE_ENDED: self._unreachable_ended,
            Event.APPLY_STARTED: self._runs_still,
            Event.SETTINGS_WRITTEN: self._written,
            Event.DRIFT_CORRECTED: self._written,
            Event.RESTORED: self._written,
            Event.DOCKER_RESTARTED: self._docker_restarted,
            Event.DOCKER_STARTED: self._docker_started,
            Event.DOCKER_STOPPED: self._docker_stopped,
            Event.RESTART_DEFERRED: self._restart_deferred,
            Event.RESTART_DROPPED: self._restart_dropped,
            Event.ROLLED_BACK: self._rolled_back,
            Event.GAVE_UP: self._gave_up,
            Event.TARGET_FAILED: self._target_failed,
            Event.REQUESTED: self._requested,
            Event.PINNED: self._pinned,
            Event.UNPINNED: self._unpinned,
            Event.PAUSED: self._paused,
            Event.RESUMED: self._resumed,
            Event.RELAY_ENABLED: self._relay_enabled,
            Event.RELAY_SWITCHED: self._relay_switched,
            Event.RELAY_FAILED: self._relay_ended,
            Event.RELAY_DISABLED: self._relay_ended,
            Event.LOG_RECOVERED: self._log_recovered,
        }
        self._takes = {event.value: take for event, take in takes.items()}

    def take(self, head: Head) -> Iterator[Told]:
        """What this record ends, and what it tells at once."""
        at = head.moment()
        if at is None:  # written by nobody of us
            return
        seq = head.seq
        is_next = self.last is not None and self.last <= at and seq == self._seq + 1 and head.boot_id == self._boot
        told: list[Told] = []  # a log may have a million records
        if head.by is not None or self._untils or self._silent is not None:
            told += self._before(head, at, is_next=is_next)
        if not is_next:
            told += self._goes_on(head, at)
        if self.last is not None and at < self.last:
            at = self.last
        take = self._takes.get(head.event)
        if take is not None:
            facts = head.facts_of_today()
            self._outages.note(head, facts)
            told += take(head, at, facts)
        self._seq, self.last, self._boot = seq, at, head.boot_id
        self._lately.append((at, seq))
        for one in told:
            if isinstance(one, Span):
                self._held.append((seq, one))
            else:
                yield one
        while self._held and self._held[0][0] <= seq - _BEFORE_A_START:
            yield self._held.popleft()[1]

    def now(self, *, agent_runs: bool = True) -> Iterator[Told]:
        """What is still so where the log ends. `agent_runs`: else one that did not say so has ended without a word."""
        if self._is_running and not agent_runs and self._lately:
            self._nobody_looked(*self._lately[-1], _ENDED_SO)
            yield from self._outages.unseen(self.last, f"the agent {_ENDED_SO}")
        yield from self._outages.give_up_cut()
        yield from self._said_nothing()
        for lane, until in self._untils.items():
            yield from self._lanes.ends(lane, until, 0)
        while self._held:
            yield self._held.popleft()[1]
        yield from self._lanes.now()
        yield from self._outages.now()

    def _before(self, head: Head, at: dt.datetime, *, is_next: bool) -> Iterator[Told]:
        """What had ended by then, or was so, though no record says so."""
        if not (is_next and head.event in _TELLS_OF_DOCKER):
            yield from self._said_nothing()
        # A command acts itself only where no agent runs: the one before has ended without a word.
        if self._is_running and head.by is not None and head.by.get("via") == Via.COMMAND.value:
            if self._lately:
                self._nobody_looked(*self._lately[-1], _ENDED_SO)
            yield from self._outages.unseen(self.last, f"the agent {_ENDED_SO}")
            self._is_running = False
        # Pins and pauses have a time.
        for lane, until in [*self._untils.items()]:
            if until <= at:
                del self._untils[lane]
                yield from self._lanes.ends(lane, until, 0)

    def _nobody_looked(self, since: dt.datetime, seq_then: int, because: str) -> None:
        """What was recorded after that is of the next agent: of what it ended, nobody saw the rest."""
        held, self._held = self._held, deque()
        for seq, one in held:
            if _is_seen_past(one, since):
                known = {"known": Known.UNCERTAIN, "because": because}
                self._held.append((seq, msgspec.structs.replace(one, end=since, end_seq=seq_then)))
                self._held.append((seq, msgspec.structs.replace(one, begin=since, **known)))
            else:
                self._held.append((seq, one))
        self._lanes.nobody_looks(since, Known.UNCERTAIN, because, seq_then)

    def _goes_on(self, head: Head, at: dt.datetime) -> Iterator[Told]:
        """Whether this record is the next one, and its time is later."""
        if self.last is None:
            is_command = (head.by or {}).get("via") == Via.COMMAND.value
            # The beginning was dropped: an agent may run already. Else it starts with its own record.
            self._is_running = head.seq > 1 and not is_command and head.event != Event.AGENT_STARTED.value
            if not self._is_running:
                self._lanes.nobody_looks(at, Known.NO_AGENT, Known.NO_AGENT.value)
            if head.event == Event.LOG_RECOVERED.value and head.seq > 1:  # else it was dropped, and a record says so
                yield Break(at=at, seq=head.seq, what=f"records up to {head.seq - 1} are missing")
            return
        if head.seq != self._seq + 1:
            gone = f"{self._seq + 1} to {head.seq - 1}"
            what = f"records {gone} are missing" if head.seq > self._seq + 1 else "it is not the next record"
            yield Break(at=at, seq=head.seq, what=what)
            self._lanes.leave(self.last, Known.MISSING, what)
            yield from self._outages.cut(self.last, what)
        if self._is_running and head.boot_id != self._boot:  # what is recorded before its start is of the next agent
            self._is_running = False
            self._lanes.nobody_looks(self.last, Known.UNCERTAIN, _OTHER_BOOT, self._seq)
            yield from self._outages.unseen(self.last, f"the agent {_OTHER_BOOT}")
        if self.last - at > _JITTER:
            by_s = (self.last - at).total_seconds()
            yield Break(at=at, seq=head.seq, what=f"the clock was set back by {by_s:.0f} s")
            yield from self._lanes.set_back(self.last, at)
            self.last = at
            self._lately.clear()

    # The agent.

    def _agent_started(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        if self._is_running and self.last is not None:
            ended = text_of(facts, "last_ended") or _ENDED_SO
            self._nobody_looked(*self._written_last(at, facts), ended)
            yield from self._outages.unseen(self.last, f"the agent {ended}")
        self._is_running = True
        self._lanes.somebody_looks()
        version = text_of(facts, "version")
        yield from self._lanes.says(Lane.AGENT, at, Said(value=version or "", seq=head.seq))
        for lane in (Lane.OUTAGE, Lane.GAVE_UP, Lane.TARGET_FAILED):  # this agent will say so anew
            yield from self._lanes.ends_all(lane, at, head.seq)
        for lane, name in ((Lane.NETWORK, "network"), (Lane.CHOSEN, "upstream")):
            yield from self._lanes.says(lane, at, _known(head, text_of(facts, name)))
        policy = text_of(facts, "policy_sha256")
        if head.v > 1:
            yield from self._lanes.says(Lane.POLICY, at, Said(value=policy and policy[:_SHA_SHOWN], seq=head.seq))
        if policy:
            yield from self._lanes.ends_all(Lane.POLICY_ERROR, at, head.seq)
        yield from self._outages.give_up_cut()
        yield from self._as_it_found(head, at, facts)
        yield from self._docker(head, at, facts)

    def _as_it_found(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        """What it says of the relay and of a person's orders; they are in other records, which may be gone."""
        if "relay" not in facts:
            if self._lanes.value(Lane.RELAY) is not None:
                yield from self._lanes.says(Lane.RELAY, at, Said(value=None, seq=head.seq, known=Known.NOT_SAID))
        elif (upstream := text_of(facts, "relay")) is None:
            yield from self._lanes.ends(Lane.RELAY, at, head.seq)
        else:
            self._behind_the_relay = upstream
            yield from self._relay(head, at)
        for lane, value, name in (
            (Lane.PINNED, text_of(facts, "pinned"), "pinned_until"),
            (Lane.PAUSED, "" if facts.get("is_paused") is True else None, "paused_until"),
        ):
            before = self._lanes.value(lane)
            if value is not None and (before is None or before.value != value):
                until = until_of(facts, name).strip()
                yield from self._lanes.says(lane, at, Said(value=value, seq=head.seq, because=until))
                self._holds(lane, at, moment_of(facts, name))

    def _written_last(self, at: dt.datetime, facts: Mapping[str, Any]) -> tuple[dt.datetime, int]:
        """By the agent before the one that starts: `gap_s` is since then."""
        gap_s = seconds_of(facts, "gap_s")
        if gap_s is not None:
            until = earlier(at, gap_s) + _ROUNDED
            written = [one for one in self._lately if one[0] <= until]
            if written:
                return written[-1]
        return self._lately[-1] if self._lately else (at, self._seq)

    def _agent_stopped(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        because = text_of(facts, "because") or ""
        self._is_running = False
        yield from self._lanes.says(Lane.AGENT, at, Said(value=None, seq=head.seq, because=because))
        self._lanes.nobody_looks(at, Known.NO_AGENT, "no agent ran", head.seq)

    # The policy.

    def _policy_loaded(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        sha = text_of(facts, "policy_sha256")
        said = Said(value=(sha or "")[:_SHA_SHOWN], seq=head.seq, because=text_of(facts, "because") or "")
        yield from self._lanes.says(Lane.POLICY, at, said)
        yield from self._lanes.ends_all(Lane.POLICY_ERROR, at, head.seq)
        yield from self._lanes.ends_all(Lane.GAVE_UP, at, head.seq)  # it is tried again with it

    def _policy_rejected(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        said = Said(value="; ".join(texts_of(facts, "problems")), seq=head.seq)
        yield from self._lanes.says(Lane.POLICY_ERROR, at, said)

    def _policy_removed(self, head: Head, at: dt.datetime, _facts: Mapping[str, Any]) -> Iterator[Told]:
        yield from self._lanes.says(Lane.POLICY, at, Said(value=None, seq=head.seq, because="it was removed"))
        yield from self._lanes.ends_all(Lane.POLICY_ERROR, at, head.seq)

    # Where the laptop is, and by which way out.

    def _network_changed(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        yield from self._lanes.says(Lane.NETWORK, at, _known(head, text_of(facts, "network"), facts))

    def _offline(self, head: Head, at: dt.datetime, _facts: Mapping[str, Any]) -> Iterator[Told]:
        yield from self._lanes.says(Lane.NETWORK, at, Said(value=None, seq=head.seq))

    def _upstream_chosen(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        yield from self._is_in(head, at, facts)
        yield from self._lanes.says(Lane.CHOSEN, at, _known(head, text_of(facts, "upstream"), facts))

    def _no_upstream(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        yield from self._is_in(head, at, facts)
        said = Said(value=None, seq=head.seq, because=text_of(facts, "because") or "")
        yield from self._lanes.says(Lane.CHOSEN, at, said)

    def _is_in(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        """The network in which a choice is made, where the record of the move is missing."""
        network = text_of(facts, "network")
        if network and not self._lanes.is_seen(Lane.NETWORK):
            yield from self._lanes.says(Lane.NETWORK, at, Said(value=network, seq=head.seq))

    def _unreachable_began(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        begin = min(moment_of(facts, "since") or at, at)
        said = Said(value=text_of(facts, "upstream") or "", seq=head.seq, because=text_of(facts, "because") or "")
        yield from self._lanes.says(Lane.OUTAGE, begin, said)
        yield from self._outages.begins(head, begin, facts, last=self.last)

    def _unreachable_ended(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        yield from self._lanes.ends(Lane.OUTAGE, at, head.seq)
        yield from self._outages.ends(head, at, facts)

    # Docker.

    def _docker(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        """What it runs with, as `agent-started` and `docker-started` have it. A restart that waits is over with another
        start, for that has read what is written.
        """
        unit = self._served(head, at, facts)
        invocation = text_of(facts, "invocation") or ""
        runs, is_said = facts.get("effective"), "effective" in facts
        settings = runs if isinstance(runs, dict) else None
        said = Said(
            value=proxies_of(settings) if settings else None,
            seq=head.seq,
            known=Known.SEEN if settings or (is_said and runs is None) else Known.NOT_SAID,
            because=text_of(facts, "because") or "",
            identity=invocation,
            settings=settings,
            cause=text_of(facts, "cause") or "",
        )
        start = self._start(head, at, said)
        if start is not None:
            yield start
            if start.since is not None:
                said = msgspec.structs.replace(said, because=_ANEW)
        before = self._lanes.value(Lane.DOCKER, unit)
        if before is not None and invocation and before.identity == invocation:
            self._lanes.goes_on(Lane.WAITING, unit)
        else:
            yield from self._lanes.ends(Lane.WAITING, at, head.seq, unit)
        if head.event == Event.AGENT_STARTED.value and not facts.keys() & {"effective", "invocation"}:
            self._silent = (at, said, unit)  # the record of its start may come, and say since when it has run
        else:
            yield from self._lanes.says(Lane.DOCKER, at, said, unit)

    def _start(self, head: Head, at: dt.datetime, said: Said) -> Start | None:
        """The start that a record tells of, if none did before."""
        known, self._starts[self._unit] = self._starts.get(self._unit), said.identity
        is_another = bool(said.identity) and said.identity != known
        start = Start(
            at=at, seq=head.seq, about=self._unit, by=said.cause, because=said.because, value=said.value
        )  # fmt: skip
        if head.event == Event.AGENT_STARTED.value:
            since = self._lanes.away_since(Lane.DOCKER, self._unit)
            is_unseen = is_another and known is not None and since is not None
            return msgspec.structs.replace(start, since=since) if is_unseen else None
        if head.event != Event.DOCKER_STARTED.value or said.because == SERVED_FROM_NOW:
            return None
        if known is None and said.because in {RECORDED_BEFORE, SAID_LATER}:  # in what is not in the log any more
            return None
        return start if is_another or not said.identity else None

    def _said_nothing(self, before: dt.datetime | None = None) -> Iterator[Told]:
        """An agent started, and no record said what Docker ran with then. `before`: from here on one does."""
        silent, self._silent = self._silent, None
        if silent is not None and (before is None or before > silent[0]):
            yield from self._lanes.says(Lane.DOCKER, *silent)

    def _served(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> str:
        """The unit of the Docker that the record is about: the agent looks after one at a time."""
        unit = unit_of(facts)
        if unit and unit != self._unit:
            self._unit = unit
            for lane in (Lane.DOCKER, Lane.WAITING):
                self._lanes.is_named(lane, unit)
                self._lanes.leave_others(lane, unit, at, head.seq)
        return self._unit

    def _runs_still(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        """What is said by the way of what Docker runs with counts where no other record says it."""
        runs = facts.get("effective")
        if head.event == Event.RESTART_DEFERRED.value and (text_of(facts, "due") or "").startswith(_RUNS_DIRECT):
            runs = {"direct": True}
        if not isinstance(runs, dict):
            return
        unit = self._served(head, at, facts)
        if not self._lanes.is_seen(Lane.DOCKER, unit):
            said = Said(value=proxies_of(runs), seq=head.seq, settings=runs)
            yield from self._lanes.says(Lane.DOCKER, at, said, unit)

    def _docker_started(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        since = min(moment_of(facts, "started_at") or at, at)
        yield from self._said_nothing(since)
        down = moment_of(facts, "down_since")
        before = self._lanes.value(Lane.DOCKER, self._served(head, at, facts))
        is_new = before is None or before.identity != text_of(facts, "invocation")
        if down is not None and down < since and is_new and not (before is not None and _is_down(before)):
            said = Said(value=None, seq=head.seq, because="it was restarted")
            yield from self._lanes.says(Lane.DOCKER, down, said, self._unit)
        yield from self._docker(head, since, facts)

    def _docker_stopped(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        unit = self._served(head, at, facts)
        since = min(moment_of(facts, "stopped_at") or at, at)
        yield from self._said_nothing(since)
        self._starts[unit] = ""
        said = Said(
            value=None, seq=head.seq, because=text_of(facts, "because") or "", cause=text_of(facts, "cause") or ""
        )
        yield from self._lanes.says(Lane.DOCKER, since, said, unit)
        yield from self._lanes.ends(Lane.WAITING, at, head.seq, unit)

    def _docker_restarted(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        if head.v == 1 and "effective" in facts:  # no record of the start itself
            yield from self._docker(head, at, facts)
        yield from self._lanes.ends(Lane.WAITING, at, head.seq, self._of_waiting(facts))
        yield _restart(head, at, facts, asked=self._asked_by(head), is_rolled_back=False)

    def _rolled_back(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        yield from self._lanes.ends(Lane.WAITING, at, head.seq, self._of_waiting(facts))
        yield _restart(head, at, facts, asked=self._asked_by(head), is_rolled_back=True)

    def _asked_by(self, head: Head) -> str:
        """Whose order this pass answers, as far as a record says so."""
        order, boot = self._order or (None, "")
        if order is None or not head.pass_id or (order.pass_id, boot) != (head.pass_id, head.boot_id):
            return ""
        return f"after {order.what} by {order.who} (record {order.seq})"

    def _restart_deferred(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        yield from self._runs_still(head, at, facts)
        said = Said(value=text_of(facts, "waits") or "", seq=head.seq, because=text_of(facts, "due") or "")
        yield from self._lanes.says(Lane.WAITING, at, said, self._of_waiting(facts))

    def _restart_dropped(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        yield from self._lanes.ends(Lane.WAITING, at, head.seq, self._of_waiting(facts))

    def _of_waiting(self, facts: Mapping[str, Any]) -> str:
        unit = unit_of(facts) or self._unit
        self._lanes.is_named(Lane.WAITING, unit)  # it may be the first record that names one
        return unit

    # Files.

    def _written(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        for target in texts_of(facts, "targets"):
            yield from self._lanes.ends(Lane.GAVE_UP, at, head.seq, target)
            yield from self._lanes.ends(Lane.TARGET_FAILED, at, head.seq, target)

    def _gave_up(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        said = Said(value=text_of(facts, "because") or "", seq=head.seq)
        for target in texts_of(facts, "targets"):
            yield from self._lanes.says(Lane.GAVE_UP, at, said, target)

    def _target_failed(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        said = Said(value=text_of(facts, "error") or "", seq=head.seq)
        for target in texts_of(facts, "targets"):
            yield from self._lanes.says(Lane.TARGET_FAILED, at, said, target)

    # The relay.

    def _relay_switched(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        self._behind_the_relay = text_of(facts, "upstream") or ""
        if self._lanes.value(Lane.RELAY) is not None:  # else Docker is not given it, or not yet
            yield from self._relay(head, at)

    def _relay_enabled(self, head: Head, at: dt.datetime, _facts: Mapping[str, Any]) -> Iterator[Told]:
        yield from self._relay(head, at)

    def _relay(self, head: Head, at: dt.datetime) -> Iterator[Told]:
        before = self._lanes.value(Lane.RELAY)
        if before is None or before.value != self._behind_the_relay or not self._lanes.is_seen(Lane.RELAY):
            yield from self._lanes.says(Lane.RELAY, at, Said(value=self._behind_the_relay, seq=head.seq))

    def _relay_ended(self, head: Head, at: dt.datetime, _facts: Mapping[str, Any]) -> Iterator[Told]:
        yield from self._lanes.ends(Lane.RELAY, at, head.seq)

    # The log.

    def _log_recovered(self, _head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        """Records that could not be written have no numbers that would be missing."""
        missed = facts.get("missed")
        since = moment_of(missed, "since") if isinstance(missed, dict) else None
        if since is not None:
            what = "records could not be written"
            self._lanes.leave(min(since, at), Known.MISSING, what)
            yield from self._outages.cut(self.last, what)

    # People.

    def _requested(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        command = text_of(facts, "command") or ""
        if command == "reload":
            yield from self._lanes.ends_all(Lane.GAVE_UP, at, head.seq)
        options = (f"--{option}" for option in texts_of(facts, "options"))
        yield from self._asks(head, at, " ".join([command, *options]))

    def _pinned(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        upstream, until = text_of(facts, "upstream") or "", until_of(facts)
        said = Said(value=upstream, seq=head.seq, because=until.strip())
        yield from self._lanes.says(Lane.PINNED, at, said)
        self._holds(Lane.PINNED, at, moment_of(facts, "until"))
        yield from self._asks(head, at, f"pin {upstream}{until}")

    def _holds(self, lane: Lane, at: dt.datetime, until: dt.datetime | None) -> None:
        self._untils.pop(lane, None)
        if until is not None:
            self._untils[lane] = max(until, at)

    def _unpinned(self, head: Head, at: dt.datetime, _facts: Mapping[str, Any]) -> Iterator[Told]:
        self._untils.pop(Lane.PINNED, None)
        yield from self._lanes.ends(Lane.PINNED, at, head.seq)
        yield from self._asks(head, at, "unpin")

    def _paused(self, head: Head, at: dt.datetime, facts: Mapping[str, Any]) -> Iterator[Told]:
        until = until_of(facts)
        yield from self._lanes.says(Lane.PAUSED, at, Said(value="", seq=head.seq, because=until.strip()))
        self._holds(Lane.PAUSED, at, moment_of(facts, "until"))
        yield from self._asks(head, at, f"pause{until}")

    def _resumed(self, head: Head, at: dt.datetime, _facts: Mapping[str, Any]) -> Iterator[Told]:
        self._untils.pop(Lane.PAUSED, None)
        yield from self._lanes.ends(Lane.PAUSED, at, head.seq)
        yield from self._asks(head, at, "resume")

    def _asks(self, head: Head, at: dt.datetime, what: str) -> Iterator[Told]:
        """If somebody asked for it; an end of a pin may also have come by itself."""
        if head.by:
            order = Order(
                at=at, seq=head.seq, pass_id=head.pass_id, event=head.event, what=what, by=head.by, who=who(head.by)
            )
            self._order = (order, head.boot_id)
            yield order


def is_within(told: Told, since: dt.datetime | None, until: dt.datetime | None) -> bool:
    """Whether it touches the stretch of time."""
    match told:
        case Span() | Outage():
            begin, end = told.begin, told.end or (told.seen_until if isinstance(told, Outage) else None)
        case Restart() | Start() | Order() | Break():
            begin = end = told.at
    return (until is None or begin < until) and (since is None or end is None or end >= since)


def _is_seen_past(span: Span, moment: dt.datetime) -> bool:
    lasts = span.lane in {Lane.PINNED, Lane.PAUSED}
    return span.known is Known.SEEN and not lasts and span.begin < moment < (span.end or moment)


def _is_down(said: Said) -> bool:
    return said.value is None and said.known is Known.SEEN


def _restart(head: Head, at: dt.datetime, facts: Mapping[str, Any], *, asked: str, is_rolled_back: bool) -> Restart:
    kept = facts.get("containers_kept")
    return Restart(
        at=at,
        seq=head.seq,
        pass_id=head.pass_id,
        asked=asked,
        about=unit_of(facts),
        is_rolled_back=is_rolled_back,
        took_s=seconds_of(facts, "took_s"),
        due=text_of(facts, "because" if is_rolled_back else "due") or "",
        allowed=text_of(facts, "allowed") or "",
        kept=kept if isinstance(kept, int) else None,
        lost=texts_of(facts, "containers_lost"),
        stopped=texts_of(facts, "containers_stopped"),
        taken_along=texts_of(facts, "taken_along"),
        started_again=texts_of(facts, "started_again"),
        left=texts_of(facts, "left"),
    )


def _known(head: Head, value: str | None, facts: Mapping[str, Any] | None = None) -> Said:
    """What a record says, if it does."""
    because = text_of(facts, "because") or "" if facts else ""
    return Said(value=value, seq=head.seq, known=Known.NOT_SAID if value is None else Known.SEEN, because=because)
