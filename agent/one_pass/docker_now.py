"""What Docker runs with now, and which of the policy's upstreams that means.

Not known here: what is chosen, and what follows.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agent.decide.desired import by_upstream
from agent.decide.effective import effective, is_unheard, prospective, runs_with
from agent.decide.plan import keeps_down
from agent.decide.relay import Relayed, for_docker, without_a_policy
from agent.one_pass.ports import Daemon, Relays, World
from agent.targets.refused import TextRefused
from agent.values.condition import Condition
from agent.values.dockerd import FileFault, Phase, Reality
from agent.values.policy import Policy
from agent.values.settings import Settings, agrees


async def look_at_docker(policy: Policy, world: World) -> tuple[Reality, Mapping[str, Settings]]:
    """A whole look, and what each upstream means for the dockerd that was found."""
    vantage, relay = world.prober.vantage, for_docker(policy.relay)
    meant = by_upstream(policy, vantage)
    reality = await world.daemon.reality(*meant.values(), relay)
    if world.prober.vantage != vantage:  # it stands elsewhere than the one before
        meant = by_upstream(policy, world.prober.vantage)
        reality = await world.daemon.reality(*meant.values(), relay)
    return reality, meant


async def what_keeps_it_down(reality: Reality, daemon: Daemon) -> FileFault | None:
    """Why a broken Docker does not start with its file. dockerd is asked; otherwise only its journal would tell."""
    if reality.unit.phase is not Phase.BROKEN:
        return None
    return keeps_down(reality, daemon.owned(reality), await daemon.refusal(reality))


def what_cuts_it_off(reality: Reality, relay: Relays) -> Condition | None:
    """Why Docker reaches nothing, where there is no policy."""
    in_docker = had_by_docker(reality)
    return without_a_policy(relay.seen(in_docker, is_unheard=is_unheard(reality)), in_docker)


def had_by_docker(reality: Reality) -> tuple[Settings, ...]:
    """What Docker runs with now, and what it would run with after a start; what is not known is left out."""
    running = runs_with(reality)
    try:
        started = prospective(reality)
    except TextRefused:  # the plan says so
        started = None
    return tuple(one for one in (running, started) if one is not None)


def in_docker(reality: Reality, meant: Mapping[str, Settings], relayed: Relayed) -> str | None:
    try:
        settings = effective(reality) or prospective(reality)
    except TextRefused:  # the plan says so
        return None
    return meaning(settings, meant, relayed)


def meaning(settings: Settings, meant: Mapping[str, Settings], relayed: Relayed) -> str | None:
    """The upstream that these settings mean; those of the relay mean the one that it uses, if it works."""
    if relayed.port_in(settings) is not None:
        return None if relayed.is_broken else relayed.upstream
    return next((name for name, meaning in meant.items() if agrees(settings, meaning)), None)


def but_for_no_proxy(settings: Settings, meant: Mapping[str, Settings]) -> str | None:
    """The upstream whose proxies these are, whatever they leave out: as somebody wrote them who knew no policy."""
    excepted = {name: msgspec.structs.replace(meaning, no_proxy=settings.no_proxy) for name, meaning in meant.items()}
    return next((name for name, meaning in excepted.items() if agrees(settings, meaning)), None)
