"""What a pass would find here, and what is asked besides because of it. Nothing is carried out.

Homes are read by `people.py`; what a pass could not use of them is taken from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from agent.cli.caller import environment_of_caller
from agent.cli.doctor.compose import Compose, services_of
from agent.cli.doctor.entries import Client
from agent.cli.doctor.firewall import Answer, Seat
from agent.cli.doctor.homes import Left
from agent.cli.doctor.logins import Login, may_be_of_a_network
from agent.cli.doctor.look_at_proxies import is_asked_directly, running_with
from agent.cli.doctor.look_at_units import FILE_STATE, MASKED, property_of
from agent.cli.doctor.names import InContainers
from agent.cli.doctor.pacs import LookedAt, Pacs
from agent.cli.doctor.password import Refused
from agent.cli.doctor.people import private_registries, told_by_people
from agent.cli.doctor.pulls import OF_HUB, Needed, Role
from agent.cli.doctor.relay import RelaySeen
from agent.cli.doctor.seat import free_address, kept_by, tried
from agent.cli.doctor.service import unmasked
from agent.cli.doctor.shell import ShellsWay, asks_itself, way
from agent.cli.doctor.trust import Rejected
from agent.cli.doctor.waiting import Waiting
from agent.cli.known_relay import with_known_relay
from agent.clients.homes import Homes
from agent.decide.clients import Intent
from agent.decide.desired import for_dockerd
from agent.decide.pac import is_trusted
from agent.decide.relay import as_upstream
from agent.decide.restart import When
from agent.docker.client_version import DockerClient
from agent.docker.engine import EngineSocket
from agent.one_pass.local_clients import seen_from_containers
from agent.one_pass.look import look
from agent.one_pass.overrides import pinned_but_failing
from agent.one_pass.pac_units import SERVICE as PAC_SERVICE
from agent.one_pass.pac_units import SOCKET as PAC_SOCKET
from agent.one_pass.patiently import only_looking
from agent.one_pass.seen import Offline, Planned, Seen, Undecided
from agent.one_pass.world import Lasting, TheWorld
from agent.probe.private import named as registries_named
from agent.service.status_file import read_running
from agent.system.files import is_there
from agent.system.systemd import manager
from agent.targets import daemon_json
from agent.targets.refused import TextRefused
from agent.values.condition import Code, Condition
from agent.values.dockerd import Reality
from agent.values.errors import AgentError
from agent.values.paths import Paths
from agent.values.policy import Policy, RegistryUrl, Upstream
from agent.values.vantage import HOST
from agent.values.verdict import Outcome

_MOST_ASKED: Final = 4  # upstreams, each for all that a pull needs
# The upstream does not even come to the registry.
_NOT_BEYOND: Final = frozenset({Outcome.PROXY_AUTH, Outcome.REFUSED, Outcome.PORTAL})
_PLUGINS: Final = tuple(
    f"/usr/{part}docker/cli-plugins" for part in ("lib/", "libexec/", "local/lib/", "local/libexec/")
)


class Passed(msgspec.Struct, kw_only=True):
    """Filled in subject by subject, so that an error ends the look and what was found before stays."""

    policy: Policy  # with what its PACs name
    conditions: tuple[Condition, ...] = ()
    reality: Reality | None = None
    kept_down_by: str = ""  # the file that Docker does not start with
    is_docker_failing: bool = False
    is_led_out: bool = False
    passwords: tuple[Refused, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    left: tuple[Left, ...] = ()
    compose: Compose = Compose()
    clients: tuple[Client, ...] = ()
    logins: tuple[Login, ...] = ()
    unknown_to_containers: tuple[InContainers, ...] = ()
    needed: tuple[Needed, ...] = ()
    shells: tuple[ShellsWay, ...] = ()
    waiting: Waiting | None = None
    pacs: Pacs = Pacs()
    relay: RelaySeen | None = None
    seats: tuple[Seat, ...] = ()
    unseen: list[str] = msgspec.field(default_factory=list)  # what could not be looked at, and why


async def passed(paths: Paths, policy: Policy | None) -> Passed:
    """Without a policy Docker alone is looked at."""
    homes = Homes()
    found = Passed(policy=policy or Policy())
    world = with_known_relay(TheWorld(paths, found.policy, Lasting(homes)), found.policy, paths)
    try:
        if policy is None:
            found.reality = await world.daemon.reality()
        else:
            await _pass(paths, world, homes, found)
    except AgentError as error:  # the other subjects are looked at
        found.unseen.append(str(error))
    if found.reality is not None and found.reality.absence:
        found.unseen.append(f"what Docker runs with: {found.reality.absence}")
    return found


async def _pass(paths: Paths, world: TheWorld, homes: Homes, found: Passed) -> None:
    choosing = only_looking(found.policy, world.prober, paths.state)
    async with homes.one_pass():
        seen = await look(found.policy, world, choosing)
        found.clients = await _clients(found.policy, homes, seen)
    found.policy = policy = world.pacs.known(found.policy)  # what is in use may be what a PAC names
    held = await _with_the_pins_verdict(policy, world, seen, choosing.conditions)
    found.reality, found.conditions = seen.reality, (*held, *seen.conditions)
    found.kept_down_by = seen.keeps_down.path if seen.keeps_down is not None else ""
    is_pinned = _is_pinned(choosing.conditions)
    found.is_docker_failing = await _is_docker_failing(policy, world, seen, is_pinned=is_pinned)
    found.is_led_out = seen.relayed.leads_out
    found.passwords = tuple(_passwords(policy, seen))
    found.rejected, found.left = tuple(_rejected(seen)), tuple(_left(seen))
    found.compose = await _services(world, seen)
    found.logins = await _logins(policy, found.clients, seen)
    found.unknown_to_containers = await _in_containers(paths, policy, seen)
    found.needed = await _needed(policy, world, seen)
    found.shells = await _shells(paths, policy, world, found.needed)
    found.waiting = _waiting(paths, seen, choosing.conditions)
    found.pacs = await _pacs(paths, policy, seen)
    found.relay = await _relay(world, seen, choosing.conditions)
    found.seats = await _seats(paths, policy, seen)
    found.unseen += (
        f"{one.address}:{one.port} from a container's place: {one.why_not}" for one in found.seats if one.why_not
    )


def _rejected(seen: Seen) -> Iterator[Rejected]:
    for name, verdict in seen.verdicts.items():
        if verdict.outcome is Outcome.TLS:
            is_in_use = seen.in_docker == name and not seen.relayed.leads_out
            yield Rejected(upstream=name, evidence=verdict.evidence, is_in_use=is_in_use)


async def _services(world: TheWorld, seen: Seen) -> Compose:
    """Nobody is asked where a new container gets no proxy."""
    if seen.clients is None or seen.reality.engine is None or seen.clients.wanted.settings.is_direct:
        return Compose()
    found = await world.daemon.inventory()
    excluded = seen.clients.wanted.settings.no_proxy
    return Compose(services=services_of(found.containers if found else ()), has_proxy=True, no_proxy=excluded)


def _is_pinned(conditions: Sequence[Condition]) -> bool:
    return any(one.code in (Code.PINNED, Code.PINNED_BUT_FAILING) for one in conditions)


async def _with_the_pins_verdict(
    policy: Policy, world: TheWorld, seen: Seen, conditions: Sequence[Condition]
) -> Sequence[Condition]:
    """A pin is obeyed before it is known whether it works, and clients have it, whatever Docker still runs with."""
    pin = next((one for one in conditions if one.code is Code.PINNED), None)
    upstream = policy.upstreams.get(seen.upstream.name) if isinstance(seen, Planned) and pin is not None else None
    if pin is None or upstream is None:
        return conditions
    verdict = seen.verdicts.get(upstream.name)
    verdict = verdict or (await world.prober.verdicts([upstream], lambda _: False))[upstream.name]
    if verdict.is_ok:
        return conditions
    failing = pinned_but_failing(pin, verdict)
    return [failing if one is pin else one for one in conditions]


async def _is_docker_failing(policy: Policy, world: TheWorld, seen: Seen, *, is_pinned: bool) -> bool:
    """Whether what Docker runs with fails here, where it is not what would be chosen freely."""
    name = seen.in_docker
    if not isinstance(seen, Planned) or not seen.reality.unit.is_running or name is None:
        return False
    if seen.relayed.leads_out or (name == seen.upstream.name and not is_pinned):
        return False
    verdicts = seen.verdicts
    if name not in verdicts:  # no upstream of this network, or one that comes later
        verdicts = await world.prober.verdicts([policy.upstreams[name]], lambda _: False)
    return not verdicts[name].is_ok


def _waiting(paths: Paths, seen: Seen, conditions: Sequence[Condition]) -> Waiting | None:
    """As it is now, else as the running agent has it, which knows how long the last restart is ago."""
    if not isinstance(seen, Planned) or seen.plan.restart is None or any(one.code is Code.PAUSED for one in conditions):
        return None
    due = seen.plan.restart
    if due.when is not When.NOW:
        return Waiting(because=due.holds, is_overrulable=due.is_overrulable)
    status = read_running(paths.status)
    docker = status.docker if status is not None else None
    return Waiting(because=docker.deferred) if docker is not None and docker.deferred else None


def _passwords(policy: Policy, seen: Seen) -> Iterator[Refused]:
    for name, verdict in seen.verdicts.items():
        upstream = policy.upstreams[name]
        if verdict.outcome is Outcome.PROXY_AUTH:
            yield Refused(
                upstream=name,
                pac=upstream.named_by,
                untrusted=_untrusted(policy, upstream),
                username=upstream.username,
                file=upstream.password_file,
                sends=upstream.credentials is not None,
                is_in_use=name == seen.in_docker or isinstance(seen, Undecided),
                is_led_out=seen.relayed.leads_out,
            )


def _untrusted(policy: Policy, upstream: Upstream) -> str:
    """The host, if a PAC that has a password names it, and may not send it there."""
    pac = policy.upstreams.get(upstream.named_by) if upstream.named_by else None
    if pac is None or not pac.username or upstream.http is None or is_trusted(upstream.http.host, pac.trusted):
        return ""
    return upstream.http.host


async def _pacs(paths: Paths, policy: Policy, seen: Seen) -> Pacs:
    """A command evaluates by itself where the unit cannot be asked, so that one that is masked would not show."""
    if isinstance(seen, Offline) or not seen.pacs:
        return Pacs()
    here = tuple(LookedAt(seen=one, pac=policy.upstreams[one.name].pac, verdicts=seen.verdicts) for one in seen.pacs)
    is_needed = isinstance(seen, Undecided) and not (seen.is_waiting or seen.relayed.leads_out)
    systemd = manager(paths)
    if systemd is None or not paths.is_the_systems:
        return Pacs(here=here, is_needed=is_needed)
    for unit in (PAC_SOCKET, PAC_SERVICE):
        state = await property_of(systemd, unit, FILE_STATE)
        if state in MASKED:
            command = unmasked(paths.layout.systemctl, unit, state)
            return Pacs(here=here, is_needed=is_needed, unit=unit, unmask=command)
    return Pacs(here=here, is_needed=is_needed)


async def _seats(paths: Paths, policy: Policy, seen: Seen) -> tuple[Seat, ...]:
    """The chosen proxy on this host, where containers are told to use it by the bridge's address."""
    is_possible = paths.is_the_systems and os.geteuid() == 0 and paths.layout.bridge_is_here
    if not is_possible or not isinstance(seen, Planned) or seen.reality.engine is None:
        return ()
    upstream = seen.relayed.for_clients or seen.upstream
    bridge = await seen_from_containers(paths, policy, HOST).bridge(upstream)
    if bridge.address is None or bridge.heard_at:
        return ()
    ports = [url.port for url in bridge.on_loopback(upstream) if bridge.heard(url.port)]
    engine = EngineSocket.of(paths, policy.docker)
    network = await engine.ask("/networks/bridge", dict) or {}
    name = str((network.get("Options") or {}).get("com.docker.network.bridge.name") or "docker0")
    own = free_address(network)
    asked = Seat(
        upstream=upstream.name,
        bridge=name,
        address=bridge.address,
        port=0,
        answer=Answer.UNKNOWN,
        kept_by=kept_by(paths),
    )
    return tuple([await tried(msgspec.structs.replace(asked, port=port), own) for port in ports if own])


async def _relay(world: TheWorld, seen: Seen, conditions: Sequence[Condition]) -> RelaySeen | None:
    """Where Docker has its address. The probe goes the way that pulls go."""
    runs_with = running_with(seen.reality)
    port = seen.relayed.port_in(runs_with) if runs_with is not None else None
    if isinstance(seen, Offline) or port is None:
        return None
    relay = as_upstream(port)
    upstream = seen.relayed.upstream or ""
    return RelaySeen(
        port=port,
        upstream=upstream,
        through=(await world.prober.verdicts([relay], lambda _: False))[relay.name],
        without=seen.verdicts.get(upstream),
        is_paused=any(one.code is Code.PAUSED for one in conditions),
    )


async def _clients(policy: Policy, homes: Homes, seen: Seen) -> tuple[Client, ...]:
    if seen.clients is None:
        return ()
    is_direct = seen.clients.wanted.settings.is_direct
    return await told_by_people(policy, homes, seen.clients.files, is_direct=is_direct)


async def _logins(policy: Policy, clients: Sequence[Client], seen: Seen) -> tuple[Login, ...]:
    """But for those of daemon.json, which the pass has asked for."""
    runs_with = running_with(seen.reality)
    if seen.clients is None or runs_with is None or runs_with.is_direct:
        return ()
    of_daemon = set()
    with contextlib.suppress(TextRefused):  # the pass says so
        text = seen.reality.daemon_json
        insecure, mirrors = daemon_json.insecure_registries(text), daemon_json.registry_mirrors(text)
        of_daemon = {one.host for one in registries_named(insecure, mirrors)}

    def is_asked_for(registry: RegistryUrl) -> bool:
        may_be = may_be_of_a_network(registry, policy.probe.registry) and registry.host not in of_daemon
        return may_be and not is_asked_directly(registry, runs_with)

    return await private_registries(clients, seen.clients.files, is_asked_for, seen.in_docker or "")


async def _in_containers(paths: Paths, policy: Policy, seen: Seen) -> tuple[InContainers, ...]:
    if not isinstance(seen, Planned) or seen.clients is None or seen.clients.wanted.intent is not Intent.SET:
        return ()
    upstream = seen.upstream
    containers = seen_from_containers(paths, policy, HOST)
    around = await containers.around(upstream, is_resolved=policy.clients.resolve)
    is_of_a_pac = bool(upstream.named_by)
    return tuple(
        InContainers(name=name, upstream=upstream.name, is_of_a_pac=is_of_a_pac, asked=asked)
        for name, asked in around.unknown.items()
    )


async def _needed(policy: Policy, world: TheWorld, seen: Seen) -> tuple[Needed, ...]:
    """Through what Docker runs with, and through each that failed where none is chosen.

    A password that may have been refused is not sent again.
    """
    names = [] if seen.in_docker is None else [seen.in_docker]
    if isinstance(seen, Undecided):
        names += [name for name, verdict in seen.verdicts.items() if not verdict.is_ok]

    def may_lead_there(name: str) -> bool:
        verdict = seen.verdicts.get(name)
        if policy.upstreams[name].is_pac:  # leads nowhere by itself
            return False
        if verdict is None:
            return policy.upstreams[name].credentials is None and not isinstance(seen, Offline)
        return verdict.outcome not in _NOT_BEYOND

    asked = [*filter(may_lead_there, dict.fromkeys(names))][:_MOST_ASKED]
    found = await asyncio.gather(*(world.prober.beyond(policy.upstreams[name], OF_HUB) for name in asked))
    needed: list[Needed] = []
    for name, beyond in zip(asked, found, strict=True):
        of_policy = set(policy.probe.reach)
        roles = [(Role.TOKENS, one) for one in beyond.tokens]
        roles += [(Role.REACH if one[0] in of_policy else Role.LAYERS, one) for one in beyond.hosts]
        needed += [
            Needed(
                role=role,
                host=host.partition("://")[2],
                upstream=name,
                verdict=verdict,
                is_in_use=name == seen.in_docker and not seen.relayed.leads_out,
            )
            for role, (host, verdict) in roles
        ]
    return tuple(needed)


async def _shells(paths: Paths, policy: Policy, world: TheWorld, needed: Sequence[Needed]) -> tuple[ShellsWay, ...]:
    """The token servers that Docker reaches, by the proxy of the shell that this was typed in."""
    reached = [one for one in needed if one.role is Role.TOKENS and one.is_in_use and one.verdict.is_ok]
    is_the_hosts = paths.is_real and world.prober.vantage.is_host
    environment = environment_of_caller() if reached and is_the_hosts else None
    if environment is None or not asks_itself(
        environment,
        has_buildx=any(is_there(paths.below(f"{folder}/docker-buildx")) for folder in _PLUGINS),
        is_before_23=bool(await DockerClient().drops_all()),
    ):
        return ()
    found = []
    for one in reached:
        docker, tokens = policy.upstreams[one.upstream], RegistryUrl.parse(f"https://{one.host}")
        excluded = for_dockerd(docker, policy.no_proxy).no_proxy
        tried_with = way(environment, tokens, docker=docker, excluded=excluded, others=policy.upstreams.values())
        if tried_with is not None:
            proxy = None if tried_with.is_direct else tried_with.https
            verdict = await world.prober.reach(tried_with, tokens)
            found.append(ShellsWay(tokens=one.host, proxy=proxy, docker=one.upstream, verdict=verdict))
    return tuple(found)


def _left(seen: Seen) -> Iterator[Left]:
    for file in seen.clients.failed if seen.clients is not None else ():
        yield Left(whose=file.name, path=file.path, why=file.error)
    for skipped in seen.clients.skipped if seen.clients is not None else ():
        yield Left(whose=skipped.name, why=skipped.why, is_skipped=True)
