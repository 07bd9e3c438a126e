"""What was last recorded of the network, the choice and a pending write, so that each change is recorded once.

Not known here: what is done about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from agent import __version__
from agent.audit.record import Record
from agent.decide.choose import Ending
from agent.decide.effective import effective
from agent.decide.relay import Relayed
from agent.docker.news import of_docker
from agent.one_pass.places import Places
from agent.one_pass.records import network_changed, no_upstream, upstream_chosen
from agent.one_pass.seen import Offline, Planned, Seen, Undecided
from agent.service.docker_news import of_a_restart_that_waited
from agent.service.lifetime import LastLife
from agent.system.clock import MOMENTS
from agent.system.policy_file import PolicyFile
from agent.values.dockerd import Reality
from agent.values.events import AgentStarted, Facts, Paused, Pinned, PlaceSeen, RestartDeferred, WentOffline
from agent.values.settings import Settings


class _Told(msgspec.Struct, frozen=True):
    """What was recorded last; None: nothing yet."""

    is_offline: bool = False
    network: str | None = None
    fingerprint: str | None = None
    ending: Ending | None = None
    upstream: str | None = None
    put_off: Settings | None = None  # what is to be written for a pending restart, and is not yet
    # The network, or that there is none, is known to whoever reads the log, or not any more; the rest is to be said.
    is_to_be_said: bool = False


def agent_started(  # noqa: PLR0913 - named at every call
    last: LastLife | None,
    seen: Seen | None,
    reality: Reality | None,
    *,
    places: Places,
    policy: PolicyFile | None,
    laid_down: Sequence[Pinned | Paused] = (),
) -> AgentStarted:
    """The start of the agent, with what it found: what Docker runs with, the network and the choice.

    `laid_down`: the pin and the pause that a person left, for the log that had them may be gone.
    """
    there = seen if isinstance(seen, Planned | Undecided) else None
    here = places.seen(there.snapshot) if there else PlaceSeen()
    is_up = reality is not None and reality.unit.is_running
    running = effective(reality) if reality is not None and is_up else None
    pin = next((one for one in laid_down if isinstance(one, Pinned)), None)
    pause = next((one for one in laid_down if isinstance(one, Paused)), None)
    return AgentStarted(
        version=__version__,
        last_ended=UNSET if last is None else last.how,
        gap_s=UNSET if last is None or last.gap_s is None else last.gap_s,
        policy_sha256=UNSET if policy is None else policy.sha256,
        unit=UNSET if reality is None else reality.unit_name,
        effective=UNSET if reality is None or (is_up and running is None) else running,
        invocation=reality.unit.invocation if reality is not None and is_up and reality.unit.invocation else UNSET,
        network=there.recognised.network.name if there else UNSET,
        place=here.place,
        is_new=here.is_new,
        fingerprint=here.fingerprint,
        interfaces=here.interfaces,
        upstream=(there.choice.upstream or UNSET) if there else UNSET,
        relay=UNSET if seen is None else _behind_the_relay(seen.relayed, running),
        pinned=UNSET if pin is None else pin.upstream,
        pinned_until=UNSET if pin is None else pin.until or UNSET,
        is_paused=UNSET if pause is None else True,
        paused_until=UNSET if pause is None else pause.until or UNSET,
    )


def _behind_the_relay(relayed: Relayed, running: Settings | None) -> str | UnsetType | None:
    has_it = running is not None and relayed.port_in(running) is not None  # it may be taken back, and not yet gone
    if relayed.for_docker is None and not has_it:
        return None
    return relayed.upstream or UNSET


class Diary:
    """Of one agent, from start to stop."""

    def __init__(self, places: Places) -> None:
        self._told = _Told()
        self._is_paused = False
        self._places = places

    def has_news(self, seen: Seen) -> bool:
        return any(True for _ in self._news(seen, PlaceSeen))

    def note_start(self, started: AgentStarted, seen: Seen | None) -> None:
        """`agent-started` has told the network, if it knew one: a start there is no change."""
        if isinstance(started.network, str) and isinstance(seen, Planned | Undecided):
            told = _Told(network=started.network, fingerprint=seen.snapshot.fingerprint())
            self._told = msgspec.structs.replace(told, is_to_be_said=True)

    def tell(self, seen: Seen, record: Record, *, is_paused: bool = False) -> bool:
        """Record what is new since the last time; whether the log has lost what was said before."""
        self._is_paused = is_paused
        is_lost = self.tell_of_docker(seen.reality, record)
        for facts in (
            *self._news(seen, lambda: self._places.seen(seen.snapshot)),
            *of_a_restart_that_waited(seen, record.so_far),
        ):
            record(facts)
        self._told = self._after(seen)
        return is_lost

    def tell_of_docker(self, reality: Reality, record: Record) -> bool:
        """Record a start or a stop of Docker that is not recorded yet; whether the log has lost what was said."""
        MOMENTS.note()
        if is_lost := record.take_lost():
            record.so_far.forget_shown()
            self._told = msgspec.structs.replace(self._told, is_to_be_said=True)
        for facts in of_docker(reality, record.so_far, MOMENTS.at):
            record(facts)
        return is_lost

    def _news(self, seen: Seen, here: Callable[[], PlaceSeen]) -> Iterator[Facts]:
        told = self._told
        if isinstance(seen, Offline):
            if not told.is_offline or told.is_to_be_said:
                yield WentOffline(previous_network=told.network or UNSET)
            return
        choice, network = seen.choice, seen.recognised.network.name
        if choice.ending is Ending.WAITING:
            return
        fingerprint = seen.snapshot.fingerprint()
        is_new = told.is_offline or (network, fingerprint) != (told.network, told.fingerprint)
        if is_new:
            # After offline it may be the same network as before: the change is that there is one again.
            previous = None if told.is_offline else told.network or UNSET
            yield network_changed(seen.recognised, here(), previous=previous)
        if choice.ending is not Ending.CHOSEN:
            if is_new or told.is_to_be_said or choice.ending is not told.ending:
                says_where = self._places.says_where
                yield no_upstream(seen.recognised, choice, seen.verdicts, pacs=seen.pacs, says_where=says_where)
        elif is_new or told.is_to_be_said or told.ending is not Ending.CHOSEN or choice.upstream != told.upstream:
            previous = told.upstream if told.upstream not in (None, choice.upstream) else UNSET
            yield upstream_chosen(
                seen.recognised,
                choice,
                seen.verdicts,
                previous=previous,
                pacs=seen.pacs,
                says_where=self._places.says_where,
                is_paused=self._is_paused,
            )
        if _put_off(seen) not in (None, told.put_off) and isinstance(seen, Planned) and seen.plan.restart is not None:
            yield RestartDeferred(unit=seen.reality.unit_name, due=seen.plan.due, waits=seen.plan.restart.waits)

    def _after(self, seen: Seen) -> _Told:
        told = self._told
        if isinstance(seen, Offline):
            return msgspec.structs.replace(told, is_offline=True, is_to_be_said=False)
        if seen.choice.ending is Ending.WAITING:
            return told
        return _Told(
            network=seen.recognised.network.name,
            fingerprint=seen.snapshot.fingerprint(),
            ending=seen.choice.ending,
            upstream=seen.choice.upstream or told.upstream,
            put_off=_put_off(seen),
        )


def _put_off(seen: Seen) -> Settings | None:
    return seen.plan.desired if isinstance(seen, Planned) and seen.plan.put_off else None
