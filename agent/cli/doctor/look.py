"""Looks at what `doctor` judges, and records it as values. Changes nothing, and never starts a Docker that is stopped.

Homes are read by `people.py`; what a pass could not use of them is taken from it. Not known here: what any of it means
(`facts.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from agent import __version__
from agent.audit import system_journal
from agent.audit.account import who
from agent.audit.read import Filter, Legible, moment_of, records
from agent.cli.caller import environment_of_caller
from agent.cli.doctor.clock import Clock
from agent.cli.doctor.compose import Compose, services_of
from agent.cli.doctor.engines import Engines
from agent.cli.doctor.entries import Client
from agent.cli.doctor.facts import Facts
from agent.cli.doctor.firewall import Answer, Seat
from agent.cli.doctor.homes import Left
from agent.cli.doctor.listener import LocalProxy
from agent.cli.doctor.logins import Login, may_be_of_a_network
from agent.cli.doctor.names import Host, InContainers
from agent.cli.doctor.pacs import LookedAt, Pacs
from agent.cli.doctor.password import Refused
from agent.cli.doctor.people import private_registries, told_by_people
from agent.cli.doctor.pulls import OF_HUB, Needed, Role
from agent.cli.doctor.relay import RelaySeen
from agent.cli.doctor.room import Room
from agent.cli.doctor.seat import free_address, kept_by, tried
from agent.cli.doctor.service import Service, unmasked
from agent.cli.doctor.settings import Written
from agent.cli.doctor.shell import ShellsWay, asks_itself, way
from agent.cli.doctor.told import Pause
from agent.cli.doctor.trust import Rejected, Trust
from agent.cli.doctor.units import Starts, Unit
from agent.cli.doctor.waiting import Waiting
from agent.cli.known_relay import with_known_relay
from agent.clients.homes import Homes
from agent.clients.users import ThisSystem
from agent.decide.clients import Intent
from agent.decide.desired import for_dockerd
from agent.decide.pac import is_trusted
from agent.decide.relay import as_upstream
from agent.decide.restart import When
from agent.docker.client_version import DockerClient
from agent.docker.engine import EngineSocket
from agent.docker.process import environment
from agent.one_pass.local_clients import seen_from_containers
from agent.one_pass.memory import only_looking
from agent.one_pass.overrides import pinned_but_failing
from agent.one_pass.pac_units import SERVICE as PAC_SERVICE
from agent.one_pass.pac_units import SOCKET as PAC_SOCKET
from agent.one_pass.reconcile import look
from agent.one_pass.seen import Offline, Planned, Seen, Undecided
from agent.one_pass.sockets import LocalSockets
from agent.one_pass.world import Lasting, TheWorld
from agent.probe.dial import in_a_thread
from agent.probe.exchange import authority
from agent.probe.private import named as registries_named
from agent.probe.probe import proxy_for
from agent.see.docker_bridge import docker_bridge
from agent.see.netlink import NetlinkFailed
from agent.see.ways import way_now
from agent.service.status_file import Status, read
from agent.service.status_page import still_used
from agent.system.clock import SYSTEM_CLOCK
from agent.system.files import is_folder, is_there
from agent.system.process_start import started
from agent.system.programs import run
from agent.system.systemd import Systemd, manager
from agent.system.text_files import read_text
from agent.targets import daemon_json
from agent.targets.refused import TextRefused
from agent.values.condition import Code, Condition
from agent.values.dockerd import Phase, Reality
from agent.values.errors import AgentError, TargetFailed, UnitFailed
from agent.values.events import Event
from agent.values.listening import is_name, loopback_addresses, on_this_host
from agent.values.machine_text import lines, words
from agent.values.paths import Paths
from agent.values.policy import DEFAULT_REGISTRY, Policy, RegistryUrl, Upstream
from agent.values.settings import ProxyUrl, Settings
from agent.values.vantage import HOST
from agent.values.verdict import Outcome

_NAMES_S: Final = 5.0  # for all names together: a resolver that is silent is a finding by itself
_LISTENS: Final = "00010000"  # __SO_ACCEPTCON, in the fourth column of /proc/net/unix
_MOST_ASKED: Final = 4  # upstreams, each for all that a pull needs
# The upstream does not even come to the registry.
_NOT_BEYOND: Final = frozenset({Outcome.PROXY_AUTH, Outcome.REFUSED, Outcome.PORTAL})
_OWN_CAS: Final = ("/usr/local/share/ca-certificates", "/etc/pki/ca-trust/source/anchors")  # Debian's, Fedora's
_TIMES: Final = ("/var/lib/systemd/timesync/clock", "/var/lib/dpkg/status")  # systemd-timesyncd.service(8)
_PLUGINS: Final = tuple(
    f"/usr/{part}docker/cli-plugins" for part in ("lib/", "libexec/", "local/lib/", "local/libexec/")
)
_ENV_LIKE: Final = ("/etc/sysconfig/docker", "/etc/default/docker")  # Fedora's, Debian's
# What only the running agent knows: a pass by itself meets none of them.
_OF_THE_SERVICE: Final = frozenset(
    {
        Code.FILES_UNWATCHED, Code.GAVE_UP, Code.AUDIT_UNWRITABLE, Code.NOT_FINISHED, Code.QUARANTINED, Code.UNSTEADY,
        Code.CONTAINERS_LOST, Code.CONTAINERS_STALE, Code.CONTAINERS_CUT_OFF, Code.RELAY_FAILED, Code.RELAY_NOT_KEPT,
        Code.INTERNAL_ERROR,
    }
)  # fmt: skip
_FILE_STATE: Final = "UnitFileState"
_STARTING: Final = "7d4958e842da4a758f6c1cdc7b36dcc5"  # SD_MESSAGE_UNIT_STARTING, sd-messages.h
_JOURNAL_S: Final = 10.0
_AGENT: Final = "docker-proxy-agent.service"
_NOT_AT_BOOT: Final = frozenset({"disabled", "masked", "masked-runtime"})
_MASKED: Final = frozenset({"masked", "masked-runtime"})
_ABSENT: Final = frozenset({Phase.ABSENT, Phase.MASKED})


class _Named(msgspec.Struct, frozen=True):
    """A proxy that somebody names."""

    url: ProxyUrl
    upstream: str = ""
    owner: str = ""
    is_in_use: bool = False


async def looked(paths: Paths, policy: Policy | None, refused: Sequence[Condition]) -> Facts:
    """`policy`: None where there is none that is valid; `refused` says why."""
    homes = Homes()
    world = with_known_relay(TheWorld(paths, policy or Policy(), Lasting(homes)), policy or Policy(), paths)
    reality, said, unseen = None, tuple(refused), []
    rejected: tuple[Rejected, ...] = ()
    seats: tuple[Seat, ...] = ()
    services = Compose()
    left: tuple[Left, ...] = ()
    kept_down_by, is_docker_failing, is_led_out = "", False, False
    passwords: tuple[Refused, ...] = ()
    clients: tuple[Client, ...] = ()
    logins: tuple[Login, ...] = ()
    needed: tuple[Needed, ...] = ()
    shells: tuple[ShellsWay, ...] = ()
    unknown_to_containers: tuple[InContainers, ...] = ()
    relay: RelaySeen | None = None
    waiting: Waiting | None = None
    pacs = Pacs()
    try:
        if policy is None:
            reality = await world.daemon.reality()
        else:
            choosing = only_looking(policy, world.prober, paths.state)
            async with homes.one_pass():
                seen = await look(policy, world, choosing)
                clients = await _clients(policy, homes, seen)
            policy = world.pacs.known(policy)  # what is in use may be what a PAC names
            held = await _with_the_pins_verdict(policy, world, seen, choosing.conditions)
            reality, said = seen.reality, (*refused, *held, *seen.conditions)
            kept_down_by = seen.keeps_down.path if seen.keeps_down is not None else ""
            is_docker_failing = await _is_docker_failing(policy, world, seen, is_pinned=_is_pinned(choosing.conditions))
            is_led_out = seen.relayed.leads_out
            passwords = tuple(_passwords(policy, seen))
            rejected, left = tuple(_rejected(seen)), tuple(_left(seen))
            services = await _services(world, seen)
            logins = await _logins(policy, clients, seen)
            unknown_to_containers = await _in_containers(paths, policy, seen)
            needed = await _needed(policy, world, seen)
            shells = await _shells(paths, policy, world, needed)
            waiting = _waiting(paths, seen, choosing.conditions)
            pacs = await _pacs(paths, policy, seen)
            relay = await _relay(world, seen)
            seats = await _seats(paths, policy, seen)
            unseen += [
                f"{one.address}:{one.port} from a container's place: {one.why_not}" for one in seats if one.why_not
            ]
    except AgentError as error:  # the other subjects are looked at
        unseen.append(str(error))
    if reality is not None and reality.absence:
        unseen.append(f"what Docker runs with: {reality.absence}")
    runs_with, mask = _runs_with(reality), await _mask(paths, reality)
    asked = tuple(_asked(policy or Policy(), runs_with))
    return Facts(
        policy=str(paths.policy),
        conditions=tuple(dict.fromkeys((*said, *_of_the_service(paths)))),
        is_docker_failing=is_docker_failing,
        is_led_out=is_led_out,
        pause=await asyncio.to_thread(_pause, paths) if any(one.code is Code.PAUSED for one in said) else Pause(),
        still_used=_still_used(paths),
        waiting=waiting,
        refused=passwords,
        proxies=await asyncio.to_thread(_on_this_host, paths, asked),
        hosts=await _hosts(asked, policy or Policy(), runs_with),
        engines=_engines(paths, policy or Policy(), reality, mask) if reality is not None else Engines(),
        compose=services,
        relay=relay,
        seats=seats,
        trust=_trust(paths, reality, rejected),
        clock=_clock(paths),
        written=Written(
            reality=reality,
            environment=_environment(reality),
            go=await _go(paths, policy or Policy(), reality),
            env_like=tuple(_env_like(paths)),
        ),
        unit=await _unit(paths, reality, kept_down_by),
        homes=left,
        clients=clients,
        logins=logins,
        needed=needed,
        shells=shells,
        pacs=pacs,
        unknown_to_containers=unknown_to_containers,
        service=await _service(paths),
        rooms=await asyncio.to_thread(_rooms, paths),
        unseen=tuple(unseen),
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
    status = _status(paths)
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
        state = await _property(systemd, unit, _FILE_STATE)
        if state in _MASKED:
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
    engine = EngineSocket(paths.below(paths.socket(policy.docker.socket)))
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


async def _relay(world: TheWorld, seen: Seen) -> RelaySeen | None:
    """Where Docker has its address. The probe goes the way that pulls go."""
    runs_with = _runs_with(seen.reality)
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
    )


async def _clients(policy: Policy, homes: Homes, seen: Seen) -> tuple[Client, ...]:
    if seen.clients is None:
        return ()
    is_direct = seen.clients.wanted.settings.is_direct
    return await told_by_people(policy, homes, seen.clients.files, is_direct=is_direct)


async def _logins(policy: Policy, clients: Sequence[Client], seen: Seen) -> tuple[Login, ...]:
    """But for those of daemon.json, which the pass has asked for."""
    runs_with = _runs_with(seen.reality)
    if seen.clients is None or runs_with is None or runs_with.is_direct:
        return ()
    of_daemon = set()
    with contextlib.suppress(TextRefused):  # the pass says so
        text = seen.reality.daemon_json
        insecure, mirrors = daemon_json.insecure_registries(text), daemon_json.registry_mirrors(text)
        of_daemon = {one.host for one in registries_named(insecure, mirrors)}

    def is_asked_for(registry: RegistryUrl) -> bool:
        may_be = may_be_of_a_network(registry, policy.probe.registry) and registry.host not in of_daemon
        return may_be and not _is_asked_directly(registry, runs_with)

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


def _status(paths: Paths) -> Status | None:
    """What the running agent shows."""
    found = read(paths.status)
    return found.status if found is not None and found.is_running else None


def _still_used(paths: Paths) -> str:
    status = _status(paths)
    return still_used(status) if status is not None else ""


def _of_the_service(paths: Paths) -> Iterator[Condition]:
    if (status := _status(paths)) is not None:
        yield from (one for one in status.conditions if one.code in _OF_THE_SERVICE)


def _pause(paths: Paths) -> Pause:
    """As the last record of one says."""
    asked = Filter(events=frozenset({Event.PAUSED.value}))
    try:
        last = deque((one.entry for one in records(paths.audit_log, asked) if isinstance(one, Legible)), 1)
    except OSError:  # it is said without
        return Pause()
    at = moment_of(last[0]) if last else None
    if at is None:
        return Pause()
    by = last[0].by or {}
    return Pause(at=f"{at.astimezone():%Y-%m-%d %H:%M}", by=who(by) if by else "", whose=str(by.get("claimed") or ""))


def _rooms(paths: Paths) -> tuple[Room, ...]:
    """Where the agent writes, and where Docker has its settings."""
    folders = (paths.policy.parent, paths.state, paths.audit_log.parent, paths.runtime, paths.daemon_json.parent)
    found = []
    for folder in filter(is_folder, folders):
        with contextlib.suppress(OSError):  # all else is still looked at
            found.append(_room(folder))
    return tuple(found)


def _room(folder: Path) -> Room:
    free = os.statvfs(folder)
    inodes = free.f_ffree if free.f_files else None  # btrfs counts none
    return Room(folder=str(folder), file_system=folder.stat().st_dev, free=free.f_bfree * free.f_frsize, inodes=inodes)


def _env_like(paths: Paths) -> Iterator[tuple[str, str]]:
    if paths.layout.user is not None:  # these are for the system's Docker
        return
    for path in _ENV_LIKE:
        with contextlib.suppress(TargetFailed):  # nothing is known of one that cannot be read
            text = read_text(paths.below(path))
            if text is not None:
                yield path, text


def _environment(reality: Reality | None) -> tuple[str, ...]:
    """The names alone."""
    found = environment(reality.process) if reality is not None and reality.process else None
    return tuple(sorted(name for name, value in (found or {}).items() if value))


async def _go(paths: Paths, policy: Policy, reality: Reality | None) -> str:
    """Only a Docker that has answered is asked: its socket would start another one."""
    if reality is None or reality.engine is None:
        return ""
    engine = EngineSocket(paths.below(paths.socket(policy.docker.socket)))
    with contextlib.suppress(AgentError):  # it may be stopping just now
        said = (await engine.ask("/version", dict) or {}).get("GoVersion")
        return said if isinstance(said, str) else ""
    return ""


async def _unit(paths: Paths, reality: Reality | None, kept_down_by: str) -> Unit:
    systemd = manager(paths)
    if systemd is None or reality is None:
        return Unit(reality=reality, kept_down_by=kept_down_by)
    return Unit(
        reality=reality,
        needs_reload=await _property(systemd, reality.unit_name, "NeedDaemonReload") == "yes",
        kept_down_by=kept_down_by,
        starts=await _starts(paths, systemd, reality.unit_name),
        last_words=await _last_words(reality) if reality.unit.phase is Phase.BROKEN else "",
    )


async def _starts(paths: Paths, systemd: Systemd, unit: str) -> Starts:
    most = await _property(systemd, unit, "StartLimitBurst")
    within = await _property(systemd, unit, "StartLimitIntervalUSec")  # "1min", and whatever journalctl takes
    if not most.isdecimal() or not within or within in ("0", "infinity"):
        return Starts()
    named = "UNIT" if paths.layout.user is None else "USER_UNIT"
    command = ["journalctl", "--quiet", "--no-pager", "--output=cat", f"--since=-{within}"]
    lately = 0
    with contextlib.suppress(OSError, TimeoutError):  # no journal: it is not known how often
        done = await run([*command, f"MESSAGE_ID={_STARTING}", f"{named}={unit}"], _JOURNAL_S)
        lately = len(lines(done.out.decode(errors="replace")))
    return Starts(most=int(most), lately=lately)


async def _last_words(reality: Reality) -> str:
    """Of its last start: a line of an earlier one would mislead."""
    if not reality.unit.invocation:
        return ""
    command = ["journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=1"]
    with contextlib.suppress(OSError, TimeoutError):  # no journal: it is told without
        done = await run([*command, f"_SYSTEMD_INVOCATION_ID={reality.unit.invocation}"], _JOURNAL_S)
        said = lines(done.out.decode(errors="replace"))
        return said[-1] if said else ""
    return ""


async def _service(paths: Paths) -> Service | None:
    systemd = manager(paths)
    if systemd is None:
        return None
    shown = read(paths.status)
    is_running = shown is not None and shown.is_running
    at_boot = await _property(systemd, _AGENT, _FILE_STATE)
    return Service(
        unit=_AGENT,
        systemctl=paths.layout.systemctl,
        is_running=is_running,
        is_enabled=at_boot not in _NOT_AT_BOOT if at_boot else None,
        mask=unmasked(paths.layout.systemctl, _AGENT, at_boot) if at_boot in _MASKED else "",
        version=shown.version if shown is not None and is_running else "",
        installed=__version__,
        audit_log=str(paths.audit_log) if is_there(paths.audit_log) else "",
        anchors=await asyncio.to_thread(_anchors, paths) if is_running and paths.is_real else None,
    )


def _anchors(paths: Paths) -> int | None:
    """In the journal; None: it cannot be read."""
    logs = system_journal.ask(paths.layout.user)
    return None if logs is None else sum(map(len, logs))


async def _property(systemd: Systemd, unit: str, name: str) -> str:
    """'' if systemd does not say."""
    try:
        found = await systemd.show((name,), (unit,))
    except UnitFailed:  # all else is still looked at
        return ""
    return found[0].get(name, "") if found else ""


def _trust(paths: Paths, reality: Reality | None, rejected: tuple[Rejected, ...]) -> Trust:
    pid = reality.process if reality is not None else 0
    ticks = started(pid) if pid else None
    since = 0.0 if ticks is None else time.time() - SYSTEM_CLOCK.boottime_s() + ticks / os.sysconf("SC_CLK_TCK")
    ca_since, ca_file = max((one for folder in _OWN_CAS for one in _files(paths.below(folder))), default=(0.0, ""))
    unit = reality.unit_name if reality is not None else paths.layout.service
    return Trust(rejected=rejected, unit=unit, dockerd_since_s=since, ca_file=ca_file, ca_since_s=ca_since)


def _clock(paths: Paths) -> Clock:
    """The latest of the times that are known to have been; a file of ours was made before it was installed."""
    known = [(_changed(path), str(path)) for path in (*map(paths.below, _TIMES), Path(__file__))]
    known_s, known_by = max(known)
    return Clock(now_s=time.time(), known_s=known_s, known_by=known_by)


def _files(folder: Path) -> Iterator[tuple[float, str]]:
    """The certificates in it, each with the time when it came here: `cp -p` keeps the one when it was changed."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((".crt", ".pem")):
                yield entry.stat().st_ctime, entry.path


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _runs_with(reality: Reality | None) -> Settings | None:
    """None: it does not run, or does not say."""
    proxies = reality.engine.proxies if reality is not None and reality.engine is not None else None
    return None if proxies is None else proxies.meaning()


def _asked(policy: Policy, runs_with: Settings | None) -> Iterator[_Named]:
    """Each place once: those of the policy, and what Docker runs with besides."""
    used = {
        (url.host, url.port): url
        for url in (() if runs_with is None else (runs_with.http, runs_with.https))
        if isinstance(url, ProxyUrl)
    }
    named = set()
    for name, upstream in policy.upstreams.items():
        for url in dict.fromkeys((upstream.http, upstream.https)):
            if url is not None:
                named.add((url.host, url.port))
                yield _Named(url.without_credentials(), name, upstream.owner, (url.host, url.port) in used)
    for place, url in used.items():
        if place not in named:
            yield _Named(url.without_credentials(), is_in_use=True)


def _on_this_host(paths: Paths, asked: Sequence[_Named]) -> tuple[LocalProxy, ...]:
    sockets = LocalSockets(ThisSystem(paths.root))
    return tuple(_local(sockets, one) for one in asked if loopback_addresses(one.url.host))


def _local(sockets: LocalSockets, asked: _Named) -> LocalProxy:
    host, port = asked.url.host, asked.url.port
    found = LocalProxy(
        at=authority(host, port), port=port, upstream=asked.upstream, owner=asked.owner, is_in_use=asked.is_in_use
    )
    addresses = loopback_addresses(host)
    try:
        there = on_this_host(sockets.listeners(port, addresses), addresses, port)
    except AgentError as error:
        return msgspec.structs.replace(found, unknown=str(error))
    users = {one.uid: sockets.name(one.uid) or f"user {one.uid}" for one in there}
    return msgspec.structs.replace(found, listens=tuple(users[uid] for uid in sorted(users)))


async def _hosts(asked: Sequence[_Named], policy: Policy, runs_with: Settings | None) -> tuple[Host, ...]:
    """The proxies, and the registries that Docker asks without one."""
    found = [
        Host(name=one.url.host, is_proxy=True, is_in_use=one.is_in_use)
        for one in asked
        if not loopback_addresses(one.url.host)
    ]
    if runs_with is not None:
        found += [
            Host(name=registry.host, is_in_use=True)
            for registry in policy.probe.registry or (RegistryUrl.parse(DEFAULT_REGISTRY),)
            if _is_asked_directly(registry, runs_with) and not loopback_addresses(registry.host)
        ]
    each = {(one.name, one.is_proxy): one for one in sorted(found, key=lambda one: one.is_in_use)}
    return tuple(await asyncio.gather(*map(_resolved, each.values())))


def _is_asked_directly(registry: RegistryUrl, runs_with: Settings) -> bool:
    urls = [url if isinstance(url, ProxyUrl) else None for url in (runs_with.http, runs_with.https)]
    return proxy_for(Upstream("docker", http=urls[0], https=urls[1]), registry, runs_with.no_proxy) is None


async def _resolved(host: Host) -> Host:
    addresses: tuple[str, ...] = (host.name,)
    if is_name(host.name):
        try:
            async with asyncio.timeout(_NAMES_S):
                known = await in_a_thread(host.name, 0)
        except TimeoutError:
            return msgspec.structs.replace(host, why_not=f"no answer within {_NAMES_S:.0f} s")
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, socket.gaierror) else None
            return msgspec.structs.replace(host, why_not=why or str(error))
        addresses = tuple(dict.fromkeys(str(address[0]) for _, address in known))
    way, bridge = _way(addresses[0]) if addresses else "", docker_bridge(addresses[0]) if addresses else ""
    return msgspec.structs.replace(host, addresses=addresses, way=way, is_tunnel=_is_tunnel(way), bridge=bridge)


def _way(address: str) -> str:
    with contextlib.suppress(ValueError, NetlinkFailed):  # it explains a finding, and is none
        way = way_now(address)
        return way.interface if way is not None else ""
    return ""


def _is_tunnel(interface: str) -> bool:
    """Only a TUN or TAP has the file."""
    return bool(interface) and os.path.lexists(f"/sys/class/net/{interface}/tun_flags")


def _engines(paths: Paths, policy: Policy, reality: Reality, mask: str) -> Engines:
    return Engines(
        unit=reality.unit_name,
        mask=mask,
        is_there=reality.unit.phase not in _ABSENT,
        sockets=listening(Path("/proc/net/unix").read_text(errors="replace")) if paths.is_real else (),
        served=paths.socket(policy.docker.socket),
        others=reality.others,
    )


async def _mask(paths: Paths, reality: Reality | None) -> str:
    """The command that takes away the one of Docker's unit, and starts it."""
    systemd = manager(paths)
    if systemd is None or reality is None or reality.unit.phase is not Phase.MASKED:
        return ""
    unit, systemctl = reality.unit_name, reality.systemctl
    file_state = await _property(systemd, unit, _FILE_STATE)
    return f"{unmasked(systemctl, unit, file_state)} && sudo {systemctl} start {unit}"


def listening(table: str) -> tuple[str, ...]:
    """The paths of Unix sockets that somebody listens on, from /proc/net/unix."""
    rows = (words(line) for line in lines(table))
    return tuple(sorted({row[7] for row in rows if len(row) > 7 and row[3] == _LISTENS and row[7].startswith("/")}))
