"""What a pass would choose here, and what containers need so that they reach an upstream: a look at this host."""

from __future__ import annotations

import asyncio

from agent.decide.clients import Wanted, for_clients
from agent.decide.recognise import recognise
from agent.one_pass.local_clients import seen_from_containers
from agent.one_pass.look import unfolded
from agent.one_pass.patiently import only_looking
from agent.one_pass.world import Lasting, TheWorld
from agent.values.errors import AgentError
from agent.values.paths import Paths
from agent.values.policy import Policy, Upstream

_HERE = "env"
_NAME_ONE = "Name one: docker-proxy-agent env --upstream NAME"


def chosen_here(policy: Policy, paths: Paths) -> tuple[Upstream, str]:
    """The upstream that a pass would choose, and why. AgentError: none."""
    return asyncio.run(_chosen_here(policy, paths))


async def _chosen_here(policy: Policy, paths: Paths) -> tuple[Upstream, str]:
    world = TheWorld(paths, policy)
    snapshot = await world.host.see()
    if snapshot.is_offline:
        raise AgentError(_HERE, "offline: nothing can be chosen", _NAME_ONE)
    await world.daemon.note_place()
    choosing = only_looking(policy, world.prober, paths.state)
    recognised = recognise(policy.networks, snapshot)
    policy, recognised = await unfolded(policy, recognised, snapshot, pacs=world.pacs, pinned=choosing.pinned)
    choosing.know(policy)
    _, choice = await choosing.choose(recognised.network, snapshot, None)
    if choice.upstream is None:
        raise AgentError(_HERE, f"nothing is chosen in {recognised.network.name}: {choice.because}", _NAME_ONE)
    return policy.upstreams[choice.upstream], f"chosen in {recognised.network.name}: {choice.because}"


def named_by_pac(name: str, policy: Policy, paths: Paths) -> tuple[Upstream, str]:
    """The first that works of what this PAC names here, and if none does, the first. AgentError: it names none."""
    return asyncio.run(_named_by_pac(name, policy, paths))


async def _named_by_pac(name: str, policy: Policy, paths: Paths) -> tuple[Upstream, str]:
    world = TheWorld(paths, policy)
    snapshot = await world.host.see()
    if snapshot.is_offline:
        raise AgentError(_HERE, f'offline: "{name}" is not fetched', _NAME_ONE)
    await world.daemon.note_place()
    recognised = recognise(policy.networks, snapshot)
    policy, recognised = await unfolded(policy, recognised, snapshot, pacs=world.pacs, pinned=name)
    pac = policy.upstreams[name]
    if not pac.candidates:
        here = f"{recognised.network.name} has no match, so it is not fetched here"
        why = pac.fault.evidence if pac.fault is not None else here
        raise AgentError(_HERE, f'"{name}" names no way out: {why}', "See: docker-proxy-agent pac")
    ways = [policy.upstreams[one] for one in pac.candidates]
    verdicts = await world.prober.verdicts(ways, lambda _: False)
    works = next((one for one in ways if verdicts[one.name].is_ok), None)
    because = "the first that works" if works is not None else "none works, and this is the first"
    return works or ways[0], f"{because} of what {name} names in {recognised.network.name}"


def needed_by_containers(upstream: Upstream, policy: Policy, paths: Paths) -> Wanted:
    """What containers need so that they reach it: not this host's loopback."""
    return asyncio.run(_needed_by_containers(upstream, policy, paths))


async def _needed_by_containers(upstream: Upstream, policy: Policy, paths: Paths) -> Wanted:
    lasting = Lasting()
    await TheWorld(paths, policy, lasting).daemon.note_place()
    looking = seen_from_containers(paths, policy, lasting.standpoint.vantage)
    bridge = await looking.bridge(upstream)
    around = await looking.around(upstream, is_resolved=policy.clients.resolve)
    return for_clients(upstream, policy.clients, policy.no_proxy, bridge=bridge, around=around)
