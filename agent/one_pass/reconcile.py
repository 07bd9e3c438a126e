"""One pass: see → recognise → probe → choose → plan → apply → record.

`look` goes as far as the plan and changes nothing; `reconcile` carries it out. What *is* comes from reality every
time, never from memory. Not known here: what woke the pass, and how it is shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from agent.audit.record import Record
from agent.audit.unexpected import unexpected
from agent.clients.clients import ClientFile, ClientsSeen
from agent.decide.choose import Choice, Ending
from agent.decide.clients import Intent, Wanted
from agent.decide.desired import as_upstream, by_upstream
from agent.decide.effective import effective, is_unheard, prospective, runs_with
from agent.decide.pac import PacSeen, told
from agent.decide.plan import NOTHING_HOLDS, Holding, Plan, keeps_down, plan, put_off
from agent.decide.rate import Asked
from agent.decide.recognise import Recognised, recognise
from agent.decide.relay import Chosen, Relayed, by_a_pause, for_docker, goes_by_last_orders, without_a_policy
from agent.decide.restart import When, why_ended
from agent.decide.stillness import STILL_S, may_be_answered, only_more_came, still_s
from agent.decide.urgent import Urgency, can_be_asked, is_another_secret, may_be_asked, urgency
from agent.docker.transaction import Applied
from agent.one_pass.places import Places
from agent.one_pass.ports import Choosing, Daemon, Host, Maker, Pacs, Relays, World
from agent.one_pass.seen import AnySeen, Offline, Pass, Planned, Seen, Undecided, Verdicts
from agent.system.alongside import alongside
from agent.system.clock import rfc3339
from agent.system.files import Changed
from agent.system.running_time import Left
from agent.system.text_files import TRIES
from agent.system.to_the_end import to_the_end
from agent.targets.refused import TextRefused
from agent.values.condition import Condition
from agent.values.dockerd import GOES_DOWN, FileFault, Phase, Reality
from agent.values.errors import AgentError
from agent.values.events import (
    ApplyStarted,
    Facts,
    NetworkChanged,
    NoUpstream,
    PacTold,
    PlaceSeen,
    TargetNotWritten,
    UpstreamChosen,
    judged,
)
from agent.values.listening import is_loopback, is_name
from agent.values.policy import Network, Policy, Upstream
from agent.values.reason import Reason
from agent.values.settings import Settings, agrees
from agent.values.snapshot import Snapshot
from agent.values.verdict import Outcome, Verdict

STILL_AT_LAST_S: Final = 3.0  # a network that never stands still is taken as it is

_FOUND_S: Final = 0.3  # a Docker that is up, or down, is found in less
_FOLLOWS_S: Final = 0.5

_DNS_AGAIN_S: Final = 0.02  # only a file tells of DNS, and a change of it is reported 0.1 s later
_DNS_COMES_S: Final = 1.0  # … behind its address and its route, if it does
_ANSWERED_AGAIN_S: Final = 0.02  # a proxy says within milliseconds whether it takes a password
_ANSWERED_S: Final = 1.0  # … and one that does not within this time may never: a move, or a person, waits no longer

_PAUSED: Final = "the agent is paused: nothing is written"
_CLIENTS: Final = "the clients' files"


async def look(  # noqa: PLR0913 - the last two are named at every call
    policy: Policy,
    world: World,
    choosing: Choosing,
    snapshot: Snapshot | None = None,
    *,
    is_hasty: bool = False,
    is_served: bool = False,
) -> Seen:
    """See, probe, choose and plan; Docker and clients are not touched. `is_hasty`: a restart does not wait for homes.

    `is_served`: the relay is told of new bridges, and of the choice as soon as it is made. Otherwise nothing is changed
    at all.
    """
    snapshot = snapshot or await world.host.see()
    here = await _arrive(policy, world, choosing, snapshot, is_served=is_served)
    found = await _find_docker(here, is_served=is_served)
    if snapshot.is_offline:
        return await _offline(here, found, is_served=is_served)
    chosen, found = await _choose(here, found, is_served=is_served)
    if chosen.choice.upstream is None:
        return await _undecided(here, found, chosen)
    return await _planned(here, found, chosen, here.policy.upstreams[chosen.choice.upstream], is_hasty=is_hasty)


class _Here(msgspec.Struct, frozen=True, kw_only=True):
    """What one look is about, and whom it asks."""

    policy: Policy  # with what its PACs say here
    world: World
    choosing: Choosing
    snapshot: Snapshot
    recognised: Recognised

    @property
    def network(self) -> Network:
        return self.recognised.network


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """Docker and the relay, as one look has found them so far."""

    reality: Reality
    is_known: bool  # from the look before
    meant: Mapping[str, Settings]  # what each upstream means for this dockerd
    keeps_down: FileFault | None
    relayed: Relayed

    @property
    def in_docker(self) -> str | None:
        return _in_docker(self.reality, self.meant, self.relayed)


async def _arrive(policy: Policy, world: World, choosing: Choosing, snapshot: Snapshot, *, is_served: bool) -> _Here:
    """Which network this is, and what PACs name here."""
    recognised = recognise(policy.networks, snapshot)
    if is_served:  # before all that may be slow
        at_first = _Here(policy=policy, world=world, choosing=choosing, snapshot=snapshot, recognised=recognised)
        await _tell_before_pacs_are_asked(at_first)
    waits = not choosing.is_patient(snapshot)
    policy, recognised = await unfolded(
        policy, recognised, snapshot, pacs=world.pacs, pinned=choosing.pinned, waits=waits
    )
    choosing.know(policy)
    return _Here(policy=policy, world=world, choosing=choosing, snapshot=snapshot, recognised=recognised)


async def _find_docker(here: _Here, *, is_served: bool) -> _Found:
    async with alongside(_docker_and_relay(here)) as finding:
        if is_served and not here.snapshot.is_offline:
            await _lead_meanwhile(here, finding)
        found = await finding
    if is_served:  # where nobody but Docker tells whether it is used
        found = msgspec.structs.replace(found, relayed=await _tell_at_once(here, found.relayed))
    return found


async def _docker_and_relay(here: _Here) -> _Found:
    policy, world = here.policy, here.world
    known = world.daemon.known()
    reality, meant = (
        (known, by_upstream(policy, world.prober.vantage)) if known else await _look_at_docker(policy, world)
    )
    keeps_down = await what_keeps_it_down(reality, world.daemon)
    relayed = world.relay.seen(_had_by_docker(reality), is_unheard=is_unheard(reality))
    return _Found(reality=reality, is_known=known is not None, meant=meant, keeps_down=keeps_down, relayed=relayed)


async def _lead_meanwhile(here: _Here, finding: asyncio.Task[_Found]) -> None:
    """Choose for the relay while a Docker that starts, stops or hangs is waited for: nobody else has to wait for it.

    Nothing of Docker's follows from that. Once it is found, it is chosen again, by the verdicts that are known by then.
    """
    await asyncio.wait({finding}, timeout=_FOUND_S)
    while not finding.done() and _is_to_be_led(here.world, here.choosing):
        await _lead(here)
        await asyncio.wait({finding}, timeout=here.choosing.next_choice_s)


async def follow(policy: Policy, world: World, choosing: Choosing, last: Snapshot | None = None) -> None:
    """Have the relay go along with each move while Docker is restarted, which may take minutes. Never ends.

    `last`: the network that it was told of. All else is for the next pass.
    """
    while True:
        await asyncio.sleep(_FOLLOWS_S)
        try:
            if not _is_to_be_led(world, choosing):
                continue
            now = await world.host.see()
            if last is None or last.fingerprint() != now.fingerprint():
                here = await _arrive(policy, world, choosing, now, is_served=True)
                last = now if now.is_offline or (await _lead(here)).ending is not Ending.WAITING else None
        except AgentError:  # the next pass meets it, too, and says so
            continue
        except Exception as error:  # noqa: BLE001 - the boundary of a target: Docker's half goes on
            unexpected("the relay", error)
            return


def _is_to_be_led(world: World, choosing: Choosing) -> bool:
    return world.relay.is_up and not choosing.is_pause_laid_down


async def _lead(here: _Here) -> Choice:
    """Choose for the relay alone."""
    relay = here.world.relay
    verdicts, choice = await here.choosing.choose(here.network, here.snapshot, relay.upstream)
    await _served(relay.tell(_with_the_refused(here, Chosen(here.network, verdicts, choice))), Relayed())
    return choice


async def _offline(here: _Here, found: _Found, *, is_served: bool) -> Offline:
    relayed = found.relayed
    if is_served:
        choosing, is_paused = here.choosing, here.choosing.is_pause_laid_down
        may_start = not (choosing.is_starting or choosing.is_paused)
        relayed = await _served(here.world.relay.serve_offline(is_paused=is_paused, may_start=may_start), relayed)
    return Offline(
        snapshot=here.snapshot,
        reality=found.reality,
        in_docker=found.in_docker,
        keeps_down=found.keeps_down,
        relayed=relayed,
    )


async def _choose(here: _Here, found: _Found, *, is_served: bool) -> tuple[Chosen, _Found]:
    """The choice, and what is found once the relay has been told of it."""
    choosing, relayed = here.choosing, found.relayed
    async with _telling_of_bridges(here.world, relayed) if is_served else contextlib.nullcontext():
        verdicts, choice = await choosing.choose(here.network, here.snapshot, found.in_docker)
    chosen = Chosen(here.network, verdicts, choice)
    if is_served:
        relayed = await _serve(here, _with_the_refused(here, chosen), relayed)
    relayed = await _ask_through(here, chosen, relayed, found.reality)
    found = msgspec.structs.replace(found, relayed=relayed)
    may_stay = choosing.is_pause_laid_down and not relayed.leads_out
    if may_stay and (in_docker := found.in_docker) is not None and in_docker == relayed.upstream:
        stays = await _kept_by_a_pause(here, in_docker, chosen, relayed.through)
        relayed = msgspec.structs.replace(relayed, stays=stays)
    return chosen, msgspec.structs.replace(found, relayed=relayed)


async def _undecided(here: _Here, found: _Found, chosen: Chosen) -> Undecided:
    in_docker = found.in_docker
    return Undecided(
        snapshot=here.snapshot,
        reality=found.reality,
        in_docker=in_docker,
        keeps_down=found.keeps_down,
        clients=await _look_for_strangers(here.policy.upstreams.get(in_docker or ""), here.world, found.relayed),
        recognised=here.recognised,
        verdicts=chosen.verdicts,
        choice=chosen.choice,
        relayed=found.relayed,
        pacs=here.world.pacs.seen(),
    )


async def _planned(here: _Here, found: _Found, chosen: Chosen, upstream: Upstream, *, is_hasty: bool) -> Planned:
    world, relayed = here.world, found.relayed
    weighing = _Weighing(here, upstream=upstream.name, meant=found.meant, relayed=relayed)
    reality, planned = await _weigh(weighing, found.reality, is_known=found.is_known)
    is_down = reality.unit.phase is Phase.BROKEN and not planned.starts_docker
    beside = await world.prober.beside(upstream) if _may_ask_beside(here.network, chosen.verdicts, upstream) else ()
    are_clients_next = is_hasty and planned.restarts and not here.choosing.is_paused
    return Planned(
        snapshot=here.snapshot,
        reality=reality,
        in_docker=found.in_docker,
        keeps_down=found.keeps_down if is_down else None,
        clients=None if are_clients_next else await _look_at_clients(upstream, world, relayed),
        recognised=here.recognised,
        verdicts=chosen.verdicts,
        choice=chosen.choice,
        relayed=relayed,
        pacs=world.pacs.seen(),
        upstream=upstream,
        plan=planned,
        beside=beside,
    )


async def unfolded(  # noqa: PLR0913 - named at its calls
    policy: Policy,
    recognised: Recognised,
    snapshot: Snapshot,
    *,
    pacs: Pacs,
    pinned: str | None = None,
    waits: bool = False,
) -> tuple[Policy, Recognised]:
    """With what the policy's PACs say here in their place. `waits`: see there."""
    if snapshot.is_offline:
        pacs.rest()
        return pacs.known(policy), recognised
    with_candidates = await pacs.unfold(policy, recognised.network, snapshot, pinned=pinned, waits=waits)
    return with_candidates, _recognised_in(with_candidates, policy, recognised)


def _recognised_in(with_candidates: Policy, policy: Policy, recognised: Recognised) -> Recognised:
    if recognised.network not in policy.networks:  # the built-in last one
        return recognised
    here = with_candidates.networks[policy.networks.index(recognised.network)]
    return msgspec.structs.replace(recognised, network=here)


def _with_the_refused(here: _Here, chosen: Chosen) -> Chosen:
    """Also with the verdicts on upstreams whose password was refused before, which are not probed."""
    verdicts = {**chosen.verdicts, **here.choosing.refused(here.snapshot)}
    return msgspec.structs.replace(chosen, verdicts=verdicts)


async def _serve(here: _Here, chosen: Chosen, relayed: Relayed) -> Relayed:
    async def works(name: str) -> Verdict:
        return await here.choosing.works_now(here.policy.upstreams[name], here.snapshot)

    choosing, relay = here.choosing, here.world.relay
    if choosing.is_pause_laid_down:
        return await _served(relay.serve_paused(chosen), relayed)
    # Unfinished work may yet give Docker its address.
    may_start = not (choosing.is_starting or choosing.is_paused)
    return await _served(relay.serve(chosen, works, may_start=may_start), relayed)


async def _tell_before_pacs_are_asked(here: _Here) -> None:
    """By what they have named in this place. What they named elsewhere may be anybody here."""
    known, pinned = here.policy, here.choosing.pinned
    if not here.snapshot.is_offline:
        known = here.world.pacs.known_here(here.policy, here.network, here.snapshot, pinned=pinned)
    recognised = _recognised_in(known, here.policy, here.recognised)
    await _tell_at_once(msgspec.structs.replace(here, policy=known, recognised=recognised), Relayed())


async def _tell_at_once(here: _Here, relayed: Relayed) -> Relayed:
    choosing, relay, network = here.choosing, here.world.relay, here.network
    refused, is_paused = choosing.refused(here.snapshot), choosing.is_pause_laid_down
    is_offline = here.snapshot.is_offline
    # Offline nothing is used: on arrival a password would be sent before anybody has looked where that is. With a pause
    # or a pin, a person has said what to use everywhere.
    used_here = msgspec.structs.replace(network, use=(*(() if is_offline else network.use), *_pinned(here)))
    if not is_paused:
        relayed = await _served(relay.withhold_passwords(used_here, refused, is_offline=is_offline), relayed)
    elif not is_offline:
        relayed = await _served(relay.give_back_passwords(used_here, refused), relayed)
    return await _served(relay.tell_at_once(network, refused, is_paused=is_paused), relayed)


def _pinned(here: _Here) -> tuple[str, ...]:
    """The upstream that is pinned; of a PAC what it names here."""
    if (name := here.choosing.pinned) is None:
        return ()
    pinned = here.policy.upstreams.get(name)
    return pinned.candidates if pinned is not None and pinned.is_pac else (name,)


async def _ask_through(here: _Here, chosen: Chosen, relayed: Relayed, reality: Reality) -> Relayed:
    """Docker has the relay's address, so what works for it is what the relay uses, whatever would be chosen now."""
    running = runs_with(reality)
    port = relayed.port_in(running) if running is not None and not relayed.is_broken else None
    if port is None:
        return relayed
    through = relayed.silence.verdict if port in relayed.silence.ports else None
    if goes_by_last_orders(chosen, relayed.upstream, is_paused=here.choosing.is_pause_laid_down):
        asked = await here.world.relay.leads_out(port, _with_the_refused(here, chosen), here.snapshot)
        through = asked or through
    return msgspec.structs.replace(relayed, through=through)


async def _kept_by_a_pause(here: _Here, name: str, chosen: Chosen, through: Verdict | None) -> str:
    """Why the upstreams that it keeps may not work here; '' if they do."""
    upstream, verdict = here.policy.upstreams[name], chosen.verdicts.get(name)
    if chosen.choice.upstream is None or (chosen.choice.upstream == name and (verdict is None or not verdict.is_ok)):
        return ""
    if verdict is None and may_be_asked(upstream, chosen.network):
        verdict = await here.choosing.works(upstream, here.snapshot)
    return by_a_pause(name, verdict, through)


async def _served(serving: Coroutine[Any, Any, Relayed], relayed: Relayed) -> Relayed:
    try:
        return await serving
    except AgentError as error:  # such as a full disk
        fault = error
    except Exception as error:  # noqa: BLE001 - the boundary of a target: Docker's half and the clients' go on
        fault = unexpected("the relay", error)
    return msgspec.structs.replace(relayed, fault=fault)


@contextlib.asynccontextmanager
async def _telling_of_bridges(world: World, relayed: Relayed) -> AsyncIterator[None]:
    """Tell of new bridges while probes run, and no longer: a Docker that hangs must not delay a switch.

    What is not done by then is done again when the relay is told of the choice.
    """

    async def tell() -> None:
        await _served(world.relay.tell_of_bridges(), relayed)

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait([telling])


async def _look_at_docker(policy: Policy, world: World) -> tuple[Reality, Mapping[str, Settings]]:
    """A whole look, and what each upstream means for the dockerd that was found."""
    vantage, relay = world.prober.vantage, for_docker(policy.relay)
    meant = by_upstream(policy, vantage)
    reality = await world.daemon.reality(*meant.values(), relay)
    if world.prober.vantage != vantage:  # it stands elsewhere than the one before
        meant = by_upstream(policy, world.prober.vantage)
        reality = await world.daemon.reality(*meant.values(), relay)
    return reality, meant


def _may_ask_beside(network: Network, verdicts: Verdicts, upstream: Upstream) -> bool:
    """Only in a network that the policy recognises: a guest network must not learn a company's addresses."""
    verdict = verdicts.get(upstream.name)
    return not upstream.is_direct and not network.match.is_empty and verdict is not None and verdict.is_ok


async def what_keeps_it_down(reality: Reality, daemon: Daemon) -> FileFault | None:
    """Why a broken Docker does not start with its file. dockerd is asked; otherwise only its journal would tell."""
    if reality.unit.phase is not Phase.BROKEN:
        return None
    return keeps_down(reality, daemon.owned(reality), await daemon.refusal(reality))


def what_cuts_it_off(reality: Reality, relay: Relays) -> Condition | None:
    """Why Docker reaches nothing, where there is no policy."""
    in_docker = _had_by_docker(reality)
    return without_a_policy(relay.seen(in_docker, is_unheard=is_unheard(reality)), in_docker)


async def _weigh(weighing: _Weighing, reality: Reality, *, is_known: bool) -> tuple[Reality, Plan]:
    """A pass that acts takes a full look just before it. One that waits asks only what may have changed."""
    if not is_known:
        return reality, await weighing.plan(reality)
    daemon, rough = weighing.here.world.daemon, weighing.rough(reality)
    is_all_needed = bool(rough.edits)
    if not is_all_needed:
        reality = await daemon.busy_now(reality) if rough.changes else reality
        planned = await weighing.plan(reality)
        is_all_needed = planned.acts
    if is_all_needed:
        reality, meant = await _look_at_docker(weighing.here.policy, weighing.here.world)
        planned = await msgspec.structs.replace(weighing, meant=meant).plan(reality)
    return reality, planned


class _Weighing(msgspec.Struct, frozen=True):
    """What the plan of this pass depends on, besides reality."""

    here: _Here
    upstream: str  # the chosen one
    meant: Mapping[str, Settings]  # what each upstream means for dockerd
    relayed: Relayed

    @property
    def desired(self) -> Settings:
        return self.relayed.for_docker or self.meant[self.upstream]

    def rough(self, reality: Reality) -> Plan:
        """The plan if nothing held it back."""
        return self._planned(reality, NOTHING_HOLDS)

    async def plan(self, reality: Reality) -> Plan:
        """Urgency costs a probe, so it is asked only where it decides."""
        holding = self.here.choosing.holding(reality)
        planned = self._planned(reality, holding)
        is_news = reality.file.is_tried is False or reality.daemon_json_fault is not None
        if is_news and holding.foreign is None:
            # Asked again just before a restart; here it tells why one waits, or what the next one would meet.
            said = await self.here.world.daemon.refusal(reality)
            holding = msgspec.structs.replace(holding, foreign=said)
            planned = self._planned(reality, holding)
        is_asked = planned.is_urgency_asked and not holding.waits and not self.here.choosing.is_starting
        if is_asked and planned.effective is not None:
            holding = msgspec.structs.replace(holding, urgency=await self._urgency(planned.effective))
            planned = self._planned(reality, holding)
        if planned.restart is not None and planned.restart.spares_running and (why := await self._why_ended(reality)):
            planned = self._planned(reality, msgspec.structs.replace(holding, ends=why))
        if self.here.choosing.is_starting:
            planned = msgspec.structs.replace(planned, restart=None)
        planned = await _or_put_off(planned, reality, self.here.world.daemon, self.here.choosing)
        if planned.effective is None or not self._is_only_looked_at(planned):
            return planned
        return msgspec.structs.replace(planned, verdict_here=(await self._urgency(planned.effective)).verdict)

    def _is_only_looked_at(self, planned: Plan) -> bool:
        """Whether a restart is due but has to wait, so that there is time to ask if Docker is cut off meanwhile.

        Only the record of that depends on the answer: what has to be written for Docker does not wait for it.
        """
        if planned.restart is None or planned.verdict_here is not None:
            return False
        return self.here.choosing.is_paused or not (planned.restarts or planned.edits)

    def _planned(self, reality: Reality, holding: Holding) -> Plan:
        is_asked_now = self.here.choosing.asked is Asked.NOW
        owned = self.here.world.daemon.owned(reality)
        found = plan(self.desired, reality, self.here.policy.docker, owned, is_asked_now=is_asked_now, holding=holding)
        verdict = holding.urgency.verdict if holding.urgency is not None else None
        return msgspec.structs.replace(found, verdict_here=verdict)

    async def _why_ended(self, reality: Reality) -> str:
        """Why a container would not survive although live-restore can be on. A new Docker is not asked."""
        engine = reality.engine
        if engine is None or not engine.ends_auto_removed:
            return ""
        try:
            return why_ended(engine, await self.here.world.daemon.running())
        except AgentError as error:  # unknown is not harmless: it waits, and the next pass asks again
            return str(error)

    async def _urgency(self, running: Settings) -> Urgency:
        if self.relayed.is_dead_for(running):
            return urgency(running, self.desired, "the relay", Verdict(Outcome.ERROR))
        upstream, is_asked = self._in_force(running)
        verdict = (
            await self.here.choosing.works(upstream, self.here.snapshot) if upstream is not None and is_asked else None
        )
        return urgency(running, self.desired, upstream.name if upstream else "", verdict)

    def _in_force(self, running: Settings) -> tuple[Upstream | None, bool]:
        """What dockerd goes through, if that has a name, and whether it may be asked here."""
        upstreams, network = self.here.policy.upstreams, self.here.network
        named = upstreams.get(_meaning(running, self.meant, self.relayed) or "")
        if named is not None:
            return named, may_be_asked(named, network)
        if is_another_secret(running, self.desired) and can_be_asked(running):  # the proxy itself was chosen here
            return as_upstream(running, "the old password"), True
        alike = upstreams.get(_but_for_no_proxy(running, self.meant) or "")
        if alike is None or not can_be_asked(running):
            return None, False
        return msgspec.structs.replace(alike, no_proxy=running.no_proxy), may_be_asked(alike, network)


async def _or_put_off(planned: Plan, reality: Reality, daemon: Daemon, choosing: Choosing) -> Plan:
    is_down = reality.unit.phase is Phase.STOPPED  # its next start, in a boot, must find the right settings
    may_be_put_off = planned.writes_ahead and not is_down and not choosing.is_paused
    return put_off(planned) if may_be_put_off and await asyncio.to_thread(is_on_trial, daemon) else planned


async def _note(seen: Seen, daemon: Daemon, pacs: Pacs, choosing: Choosing) -> Seen:
    """Note what Docker runs with, and what PACs said.

    If that starts Docker's minute of probation, this pass writes nothing over it.
    """
    await asyncio.to_thread(daemon.note, seen.reality)
    with contextlib.suppress(AgentError):  # a full disk: what is known here is not lost by that
        await asyncio.to_thread(pacs.keep)
    if not isinstance(seen, Planned):
        return seen
    return msgspec.structs.replace(seen, plan=await _or_put_off(seen.plan, seen.reality, daemon, choosing))


def is_on_trial(daemon: Daemon) -> bool:
    """Whether dockerd's last start is still on probation; False if that is unknown."""
    try:
        return daemon.under_way().trial is not None
    except AgentError:  # a write notes it there first, and reports the error
        return False


def _had_by_docker(reality: Reality) -> tuple[Settings, ...]:
    """What Docker runs with now, and what it would run with after a start; what is not known is left out."""
    running = runs_with(reality)
    try:
        started = prospective(reality)
    except TextRefused:  # the plan says so
        started = None
    return tuple(one for one in (running, started) if one is not None)


def _in_docker(reality: Reality, meant: Mapping[str, Settings], relayed: Relayed) -> str | None:
    try:
        settings = effective(reality) or prospective(reality)
    except TextRefused:  # the plan says so
        return None
    return _meaning(settings, meant, relayed)


def _meaning(settings: Settings, meant: Mapping[str, Settings], relayed: Relayed) -> str | None:
    """The upstream that these settings mean; those of the relay mean the one that it uses, if it works."""
    if relayed.port_in(settings) is not None:
        return None if relayed.is_broken else relayed.upstream
    return next((name for name, meaning in meant.items() if agrees(settings, meaning)), None)


def _but_for_no_proxy(settings: Settings, meant: Mapping[str, Settings]) -> str | None:
    """The upstream whose proxies these are, whatever they leave out: as somebody wrote them who knew no policy."""
    excepted = {name: msgspec.structs.replace(meaning, no_proxy=settings.no_proxy) for name, meaning in meant.items()}
    return next((name for name, meaning in excepted.items() if agrees(settings, meaning)), None)


async def reconcile(  # noqa: PLR0913 - named at every call
    policy: Policy,
    world: World,
    record: Record,
    *,
    choosing: Choosing,
    maker: Maker,
    stops_within_s: float | None = None,
) -> Pass:
    """One whole pass. It records nothing if there is nothing to do and nothing new.

    `stops_within_s`: how long writing and restarting may go on after we were told to stop.
    Raises Interrupted if another pass is requested before anything was written.
    """
    async with world.clients.one_pass():
        for tries_left in reversed(range(TRIES)):
            seen = await _look_at_rest(policy, world, choosing, maker)
            seen = await _note(seen, world.daemon, world.pacs, choosing)
            maker.tell(seen, record)
            for facts in world.relay.take_news():
                record(facts)
            if choosing.is_paused or not seen.acts:
                return Pass(seen)
            if await world.daemon.goes_down():
                return Pass(seen, Applied(deferred=GOES_DOWN, goes_down=True))
            seen = maker.judge(seen, record)
            if not seen.acts:
                return Pass(seen)
            maker.begin(seen, record)
            try:
                async with alongside(follow(policy, world, choosing, seen.snapshot)):
                    return await _carry_out(seen, world, record, maker=maker, stops_within_s=stops_within_s)
            except Changed:
                if not tries_left:
                    raise
    raise AssertionError("unreachable")


async def _carry_out(seen: Seen, world: World, record: Record, *, maker: Maker, stops_within_s: float | None) -> Pass:
    _record_beginning(seen, record)
    outcome, failure = None, None
    if isinstance(seen, Planned) and seen.plan.acts:
        try:
            outcome = await to_the_end(world.daemon.carry_out(seen.plan, seen.reality, record), stops_within_s)
        except Exception as error:  # noqa: BLE001 - raised below: what fails for Docker costs the clients nothing
            failure = error
    # After Docker's half: a home may be slow, and no container starts while Docker restarts. If Docker did not come up
    # with this choice, the next pass makes another one for both.
    written: tuple[ClientFile, ...] = ()
    are_left = outcome is not None and (outcome.rolled_back or outcome.goes_down)
    if isinstance(seen, Planned) and seen.clients is None and not (outcome is not None and outcome.goes_down):
        clients = await _look_at_clients(seen.upstream, world, seen.relayed)
        seen = msgspec.structs.replace(seen, clients=clients)
        if not are_left:
            seen = _judge_clients(seen, record, maker)
    if seen.clients is not None and not are_left:
        written = await _write_clients(seen.clients, world, record, stops_within_s)
    if failure is not None:
        raise failure
    return Pass(seen, outcome, written)


def _record_beginning(seen: Seen, record: Record) -> None:
    if seen.daemon_acts or (seen.clients and seen.clients.edits):
        record(_intent(seen))
    for file in seen.clients.failed if seen.clients else ():
        record(TargetNotWritten(targets=(file.path,), error=file.error))


def _judge_clients(seen: Planned, record: Record, maker: Maker) -> Planned:
    """The clients' half, which Docker's did not wait for, as a pass of its own."""
    done = Plan(seen.plan.desired, seen.plan.method)  # nobody has looked at Docker since
    half = maker.judge(msgspec.structs.replace(seen, plan=done), record)
    _record_beginning(half, record)
    return msgspec.structs.replace(seen, clients=half.clients)


async def _look_at_clients(upstream: Upstream, world: World, relayed: Relayed) -> ClientsSeen:
    if relayed.comes_up:  # what is taken away now would be written again in a moment
        return ClientsSeen(Wanted(Intent.LEAVE, "the relay is brought up first"))
    try:
        async with world.clients.one_pass():  # where it is all that is done
            return await world.clients.look(upstream, relayed.for_clients)
    except Exception as error:  # noqa: BLE001 - the boundary of a target: Docker's half goes on
        return ClientsSeen(Wanted(Intent.LEAVE, "not known"), unexpected=unexpected(_CLIENTS, error))


async def _look_for_strangers(upstream: Upstream | None, world: World, relayed: Relayed) -> ClientsSeen | None:
    """Without a choice clients keep what they have, unless it leads to another user's listener by now."""
    upstream = relayed.for_clients or upstream
    if upstream is None:
        return None
    urls = [url for url in (upstream.http, upstream.https) if url is not None]
    # A name may be this host's: Debian's /etc/hosts has 127.0.1.1 for it. The look at clients resolves it.
    if not any(is_loopback(url) or is_name(url.host) for url in urls):
        return None
    seen = await _look_at_clients(upstream, world, relayed)
    return seen if seen.wanted.is_somebody_elses else None


async def _write_clients(
    seen: ClientsSeen, world: World, record: Record, stops_within_s: float | None
) -> tuple[ClientFile, ...]:
    """An error here fails these files only; Docker's half goes on."""
    if not seen.edits:
        return ()
    try:
        return tuple(await to_the_end(world.clients.carry_out(seen, record), stops_within_s))
    except AgentError as error:  # such as a state directory on a full disk
        failure, is_unexpected = error, None
    except Exception as error:  # noqa: BLE001 - the boundary of a target
        failure = is_unexpected = unexpected(_CLIENTS, error)
    record(TargetNotWritten(targets=(failure.where,), error=str(failure)))
    return tuple(ClientFile(file.account, error=str(failure), unexpected=is_unexpected) for file in seen.edits)


class Interrupted(Exception):
    """Another pass was requested before anything was written."""


async def _look_at_rest(policy: Policy, world: World, choosing: Choosing, maker: Maker) -> Seen:
    """Look until the network stands still. Probing begins at once; what follows waits."""
    given_up = time.monotonic() + STILL_AT_LAST_S
    while True:
        began = time.monotonic()
        snapshot = await world.host.see()
        looking: Coroutine[Any, Any, Seen | None] = look(
            policy, world, choosing, snapshot, is_hasty=maker.is_hasty, is_served=True
        )
        may_begin_anew = began < given_up
        if may_begin_anew:
            looking = _look_undisturbed(looking, snapshot, world, choosing=choosing, maker=maker)
        seen = await looking
        if seen is None:
            if time.monotonic() - began >= STILL_AT_LAST_S:  # it stood still, and the look waited for Docker
                given_up = time.monotonic() + STILL_AT_LAST_S
            continue
        if not may_begin_anew or not (seen.acts or maker.has_news(seen)):
            return seen
        known = world.pacs.known(policy)
        await asyncio.sleep(began + _still_s(known, seen) - time.monotonic())
        if (stood := _stood(known, seen, await world.host.see())) is not None:
            return stood


def _stood(policy: Policy, seen: Seen, now: Snapshot) -> Seen | None:
    """The look, completed with what has come since; None: it has to start over."""
    if now.fingerprint() == seen.snapshot.fingerprint():
        return seen
    if isinstance(seen, Offline) or not only_more_came(
        policy.networks,
        seen.snapshot,
        now,
        recognised=seen.recognised,
        choice=seen.choice,
        verdicts=seen.verdicts,
    ):
        return None
    return msgspec.structs.replace(seen, snapshot=now, recognised=recognise(policy.networks, now))


def _still_s(policy: Policy, seen: Seen) -> float:
    if isinstance(seen, Offline):
        return STILL_S
    return still_s(policy.networks, seen.snapshot, seen.recognised, seen.choice, verdicts=seen.verdicts)


async def _look_undisturbed(
    looking: Coroutine[Any, Any, Seen | None], snapshot: Snapshot, world: World, *, choosing: Choosing, maker: Maker
) -> Seen | None:
    """None: the host is in another network by now."""
    unread = asyncio.Event()
    task, disturbed = (
        asyncio.ensure_future(looking),
        asyncio.ensure_future(_disturbed(snapshot, world, choosing=choosing, maker=maker, unread=unread)),
    )
    try:
        await asyncio.wait({task, disturbed}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            found = task.result()
            # This has consumed the news, and nobody else is told of it.
            is_elsewhere = unread.is_set() and (await world.host.see()).fingerprint() != snapshot.fingerprint()
            return None if is_elsewhere else found
        await _until_answered(task, snapshot, world)
        if disturbed.result() is Reason.REQUEST:
            raise Interrupted
        return None
    finally:
        task.cancel()
        disturbed.cancel()
        await asyncio.wait([task, disturbed])


async def _until_answered(task: asyncio.Future[Seen | None], snapshot: Snapshot, world: World) -> None:
    """Do not cut short a look that has sent a password before it knows whether that is right: it would be sent again.

    Unless the answer can no longer come, because the host has left, or does not come in time.
    """
    left = Left(_ANSWERED_S)
    while world.prober.is_password_out and not left.is_over():
        if not may_be_answered(snapshot, await world.host.see()):
            return
        await asyncio.wait({task}, timeout=_ANSWERED_AGAIN_S)
        if task.done():
            task.result()
            return


async def _disturbed(
    snapshot: Snapshot, world: World, *, choosing: Choosing, maker: Maker, unread: asyncio.Event
) -> Reason:
    """Wait until the host is in another network, or somebody asks for another pass.

    `unread`: set while there is news of the network that was taken and not looked at yet.
    """
    dns = asyncio.ensure_future(_dns_comes(snapshot, world.host, choosing))
    try:
        while True:
            interrupted = asyncio.ensure_future(maker.interrupted())
            try:
                await asyncio.wait({dns, interrupted}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                interrupted.cancel()
            if dns.done():
                return Reason.NETWORK
            if interrupted.result() is Reason.REQUEST:
                return Reason.REQUEST
            # Containers that come and go make noise on the network, but change nothing.
            unread.set()
            if (await world.host.see()).fingerprint() != snapshot.fingerprint():
                return Reason.NETWORK
            unread.clear()
    finally:
        dns.cancel()
        await asyncio.wait([dns])


async def _dns_comes(snapshot: Snapshot, host: Host, choosing: Choosing) -> None:
    """Wait for a DNS server where there was none: what is asked without one may wait in vain.

    Later than just after an arrival none is expected: this host may be its own server for good.
    """
    given_up = time.monotonic() + _DNS_COMES_S
    while not snapshot.dns_elsewhere and choosing.is_patient(snapshot) and time.monotonic() < given_up:
        await asyncio.sleep(_DNS_AGAIN_S)
        if host.dns_elsewhere():
            return
    await asyncio.Event().wait()


def _intent(seen: Seen) -> ApplyStarted:
    """What the log has on disk before the first write; of Docker's settings if they are written or put in force."""
    plan, clients = seen.plan if isinstance(seen, Planned) else None, seen.clients
    dockers = plan if plan is not None and plan.acts else None
    daemon_targets = tuple(edit.path for edit in plan.edits) if plan else ()
    client_targets = tuple(file.path for file in clients.edits) if clients else ()
    is_given = clients is not None and clients.wanted.intent is not Intent.LEAVE  # else they get back what was theirs
    restart = plan.restart if plan else None
    is_now = restart is not None and restart.when is When.NOW
    return ApplyStarted(
        settings=_known(dockers.desired if dockers else None),
        effective=_known(plan.effective if plan else None),
        prospective=_known(plan.prospective if plan else None),
        in_force=True if plan and not dockers and plan.is_in_force else UNSET,
        changes=_known(_hidden_change(dockers) if dockers else None),
        method=_known(dockers.method if dockers else None),
        method_because=_known((dockers.why_method if dockers else None) or None),
        client_settings=_known(clients.wanted.settings if client_targets and clients and is_given else None),
        targets=(*daemon_targets, *client_targets),
        restart=restart.when.value if restart else UNSET,
        due=plan.due if plan and restart else UNSET,
        allowed=restart.allowed if restart and is_now else UNSET,
        waits=restart.waits if restart and not is_now else UNSET,
    )


_T = TypeVar("_T")


def _known(fact: _T | None) -> _T | UnsetType:
    """What is not known is not in the record."""
    return UNSET if fact is None else fact


def _hidden_change(plan: Plan) -> str | None:
    """Says that the secret differs, which redacted settings do not show; never which."""
    before = plan.effective or plan.prospective
    is_hidden = before is not None and is_another_secret(before, plan.desired)
    return "nothing but a user or a password" if is_hidden else None


def network_changed(
    recognised: Recognised, here: PlaceSeen, *, previous: str | UnsetType | None = UNSET
) -> NetworkChanged:
    """`previous`: the network before, None if it was offline, UNSET if that is not known."""
    return NetworkChanged(
        network=recognised.network.name,
        previous_network=previous,
        because=UNSET if here.interfaces is UNSET else recognised.because,
        place=here.place,
        is_new=here.is_new,
        fingerprint=here.fingerprint,
        interfaces=here.interfaces,
    )


def upstream_chosen(  # noqa: PLR0913 - named at every call
    recognised: Recognised,
    choice: Choice,
    verdicts: Verdicts,
    *,
    previous: str | UnsetType = UNSET,
    pacs: Sequence[PacSeen] = (),
    says_where: bool = True,
    is_paused: bool = False,
) -> UpstreamChosen:
    """`previous`: the upstream before, if that was another. `says_where`: see `events.judged`."""
    assert choice.upstream is not None  # noqa: S101 - the caller looked
    return UpstreamChosen(
        upstream=choice.upstream,
        previous_upstream=previous,
        network=recognised.network.name,
        because=choice.because,
        withheld=_PAUSED if is_paused else UNSET,
        verdicts=judged(verdicts, says_where=says_where),
        pacs=_told(pacs, says_where=says_where),
    )


def no_upstream(
    recognised: Recognised,
    choice: Choice,
    verdicts: Verdicts,
    *,
    pacs: Sequence[PacSeen] = (),
    says_where: bool = True,
) -> NoUpstream:
    return NoUpstream(
        network=recognised.network.name,
        because=choice.because,
        verdicts=judged(verdicts, says_where=says_where),
        pacs=_told(pacs, says_where=says_where),
    )


def _told(pacs: Sequence[PacSeen], *, says_where: bool) -> tuple[PacTold, ...] | UnsetType:
    return told(pacs, rfc3339, says_where=says_where) or UNSET


class Alone:
    """A command without a service. Nobody asks for another pass meanwhile; it records its choice only if it acts."""

    is_hasty = False

    def __init__(self, places: Places | None = None) -> None:
        self._places = places

    async def interrupted(self) -> Reason:
        never: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()
        return await never

    def has_news(self, _: Seen) -> bool:
        return False

    def tell(self, seen: Seen, record: Record) -> None:
        """Nothing yet: see `begin`."""

    def judge(self, seen: AnySeen, _: Record) -> AnySeen:
        return seen

    def begin(self, seen: Seen, record: Record) -> None:
        if isinstance(seen, Offline):
            return
        here = PlaceSeen() if self._places is None else self._places.seen(seen.snapshot)
        says_where = self._places is not None and self._places.says_where
        record(network_changed(seen.recognised, here))
        if isinstance(seen, Planned):
            facts: Facts = upstream_chosen(
                seen.recognised, seen.choice, seen.verdicts, pacs=seen.pacs, says_where=says_where
            )
        else:
            facts = no_upstream(seen.recognised, seen.choice, seen.verdicts, pacs=seen.pacs, says_where=says_where)
        record(facts)
