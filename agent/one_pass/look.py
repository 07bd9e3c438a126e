"""The half of a pass that only looks: see → recognise → probe → choose → plan.

Not known here: what is carried out, and whether the network stands still meanwhile.
"""

from __future__ import annotations

import contextlib

import msgspec

from agent.decide.desired import by_upstream
from agent.decide.effective import is_unheard
from agent.decide.recognise import Recognised, recognise
from agent.decide.relay import Chosen
from agent.one_pass.clients_now import look_at_clients, look_for_strangers
from agent.one_pass.docker_now import had_by_docker, look_at_docker, what_keeps_it_down
from agent.one_pass.here import Found, Here, recognised_in
from agent.one_pass.leading import (
    ask_through,
    kept_by_a_pause,
    lead_meanwhile,
    serve,
    served,
    tell_at_once,
    tell_before_pacs_are_asked,
    telling_of_bridges,
    with_the_refused,
)
from agent.one_pass.ports import Choosing, Pacs, World
from agent.one_pass.seen import Offline, Planned, Seen, Undecided, Verdicts
from agent.one_pass.weighing import Weighing, weigh
from agent.system.alongside import alongside
from agent.values.dockerd import Phase
from agent.values.policy import Network, Policy, Upstream
from agent.values.snapshot import Snapshot


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
    here = await arrive(policy, world, choosing, snapshot, is_served=is_served)
    found = await _find_docker(here, is_served=is_served)
    if snapshot.is_offline:
        return await _offline(here, found, is_served=is_served)
    chosen, found = await _choose(here, found, is_served=is_served)
    if chosen.choice.upstream is None:
        return await _undecided(here, found, chosen)
    return await _planned(here, found, chosen, here.policy.upstreams[chosen.choice.upstream], is_hasty=is_hasty)


async def arrive(policy: Policy, world: World, choosing: Choosing, snapshot: Snapshot, *, is_served: bool) -> Here:
    """Which network this is, and what PACs name here."""
    recognised = recognise(policy.networks, snapshot)
    if is_served:  # before all that may be slow
        at_first = Here(policy=policy, world=world, choosing=choosing, snapshot=snapshot, recognised=recognised)
        await tell_before_pacs_are_asked(at_first)
    waits = not choosing.is_patient(snapshot)
    policy, recognised = await unfolded(
        policy, recognised, snapshot, pacs=world.pacs, pinned=choosing.pinned, waits=waits
    )
    choosing.know(policy)
    return Here(policy=policy, world=world, choosing=choosing, snapshot=snapshot, recognised=recognised)


async def _find_docker(here: Here, *, is_served: bool) -> Found:
    async with alongside(_docker_and_relay(here)) as finding:
        if is_served and not here.snapshot.is_offline:
            await lead_meanwhile(here, finding)
        found = await finding
    if is_served:  # where nobody but Docker tells whether it is used
        found = msgspec.structs.replace(found, relayed=await tell_at_once(here, found.relayed))
    return found


async def _docker_and_relay(here: Here) -> Found:
    policy, world = here.policy, here.world
    known = world.daemon.known()
    reality, meant = (
        (known, by_upstream(policy, world.prober.vantage)) if known else await look_at_docker(policy, world)
    )
    keeps_down = await what_keeps_it_down(reality, world.daemon)
    relayed = world.relay.seen(had_by_docker(reality), is_unheard=is_unheard(reality))
    return Found(reality=reality, is_known=known is not None, meant=meant, keeps_down=keeps_down, relayed=relayed)


async def _offline(here: Here, found: Found, *, is_served: bool) -> Offline:
    relayed = found.relayed
    if is_served:
        choosing, is_paused = here.choosing, here.choosing.is_pause_laid_down
        may_start = not (choosing.is_starting or choosing.is_paused)
        relayed = await served(here.world.relay.serve_offline(is_paused=is_paused, may_start=may_start), relayed)
    return Offline(
        snapshot=here.snapshot,
        reality=found.reality,
        in_docker=found.in_docker,
        keeps_down=found.keeps_down,
        relayed=relayed,
    )


async def _choose(here: Here, found: Found, *, is_served: bool) -> tuple[Chosen, Found]:
    """The choice, and what is found once the relay has been told of it."""
    choosing, relayed = here.choosing, found.relayed
    async with telling_of_bridges(here.world, relayed) if is_served else contextlib.nullcontext():
        verdicts, choice = await choosing.choose(here.network, here.snapshot, found.in_docker)
    chosen = Chosen(here.network, verdicts, choice)
    if is_served:
        relayed = await serve(here, with_the_refused(here, chosen), relayed)
    relayed = await ask_through(here, chosen, relayed, found.reality)
    found = msgspec.structs.replace(found, relayed=relayed)
    may_stay = choosing.is_pause_laid_down and not relayed.leads_out
    if may_stay and (in_docker := found.in_docker) is not None and in_docker == relayed.upstream:
        stays = await kept_by_a_pause(here, in_docker, chosen, relayed.through)
        relayed = msgspec.structs.replace(relayed, stays=stays)
    return chosen, msgspec.structs.replace(found, relayed=relayed)


async def _undecided(here: Here, found: Found, chosen: Chosen) -> Undecided:
    in_docker = found.in_docker
    return Undecided(
        snapshot=here.snapshot,
        reality=found.reality,
        in_docker=in_docker,
        keeps_down=found.keeps_down,
        clients=await look_for_strangers(here.policy.upstreams.get(in_docker or ""), here.world, found.relayed),
        recognised=here.recognised,
        verdicts=chosen.verdicts,
        choice=chosen.choice,
        relayed=found.relayed,
        pacs=here.world.pacs.seen(),
    )


async def _planned(here: Here, found: Found, chosen: Chosen, upstream: Upstream, *, is_hasty: bool) -> Planned:
    world, relayed = here.world, found.relayed
    weighing = Weighing(here, upstream=upstream.name, meant=found.meant, relayed=relayed)
    reality, planned = await weigh(weighing, found.reality, is_known=found.is_known)
    is_down = reality.unit.phase is Phase.BROKEN and not planned.starts_docker
    beside = await world.prober.beside(upstream) if _may_ask_beside(here.network, chosen.verdicts, upstream) else ()
    are_clients_next = is_hasty and planned.restarts and not here.choosing.is_paused
    return Planned(
        snapshot=here.snapshot,
        reality=reality,
        in_docker=found.in_docker,
        keeps_down=found.keeps_down if is_down else None,
        clients=None if are_clients_next else await look_at_clients(upstream, world, relayed),
        recognised=here.recognised,
        verdicts=chosen.verdicts,
        choice=chosen.choice,
        relayed=relayed,
        pacs=world.pacs.seen(),
        upstream=upstream,
        plan=planned,
        beside=beside,
    )


def _may_ask_beside(network: Network, verdicts: Verdicts, upstream: Upstream) -> bool:
    """Only in a network that the policy recognises: a guest network must not learn a company's addresses."""
    verdict = verdicts.get(upstream.name)
    return not upstream.is_direct and not network.match.is_empty and verdict is not None and verdict.is_ok


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
    return with_candidates, recognised_in(with_candidates, policy, recognised)
