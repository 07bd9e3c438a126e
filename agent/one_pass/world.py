"""The real world behind the Protocols of a pass: this host's network, its registries and its Docker.

Put together from the policy and the paths; nothing is decided here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from agent.audit.record import Record
from agent.audit.unexpected import unexpected
from agent.clients.bounded_work import WAITS_S
from agent.clients.clients import LocalClients
from agent.clients.from_containers import DropsAll, FromContainers
from agent.clients.homes import Homes
from agent.clients.users import Account, Caller, ThisSystem, Who, who
from agent.decide.bridge import Bridge
from agent.decide.dead_end import dead_end, is_on_loopback
from agent.decide.desired import as_reached, for_dockerd
from agent.decide.plan import OwnedDaemonJson, Plan, without_ours
from agent.decide.probation import Trial
from agent.decide.recognise import is_like
from agent.docker import containers, networks, validate
from agent.docker.client_version import DockerClient
from agent.docker.config_file import ConfigFile
from agent.docker.engine import EngineSocket
from agent.docker.glance import Glance, glance
from agent.docker.inventory import inventory, with_sizes
from agent.docker.journal import Journal, UnderWay
from agent.docker.last_good import LastGood
from agent.docker.look import Looking
from agent.docker.originals import daemon_originals
from agent.docker.recover import note_first_run, recover
from agent.docker.restart_command import CommandUnit
from agent.docker.theirs import owned
from agent.docker.transaction import Applied, Transaction
from agent.docker.unit import Unit
from agent.docker.which import beside, serving
from agent.one_pass.logins import Logins
from agent.one_pass.pac import LocalPacs, PacMemory
from agent.one_pass.pac_source import HostPacs
from agent.one_pass.ports import Relays
from agent.one_pass.relay import LocalRelay, RelayMemory
from agent.one_pass.relay_bridges import Bridges
from agent.one_pass.relay_units import RelayUnits
from agent.one_pass.sockets import LocalSockets
from agent.one_pass.standpoint import Standpoint
from agent.probe.dial import HERE, Address, Ground, Resolve, in_a_thread
from agent.probe.exchange import DialogueFailed, authority
from agent.probe.guard import Guard
from agent.probe.listens import answers
from agent.probe.on_their_way import OnTheirWay
from agent.probe.private import MOST, Asking, Private, is_private, named, through
from agent.probe.probe import Beyond, Question, Realms, beyond, probe, reach
from agent.probe.side_by_side import Verdicts, probe_all
from agent.probe.tls import Trust
from agent.see.docker_bridge import docker_bridge
from agent.see.interfaces import bridge_address
from agent.see.name_servers import ContainerDns
from agent.see.resolver import for_containers, of_container, resolver
from agent.see.see import see
from agent.see.ways import Ways
from agent.system.clock import SYSTEM_CLOCK, Clock
from agent.system.files import Identity, behind_links, identity_of, sweep
from agent.system.process_start import started
from agent.system.systemd import manager
from agent.targets import daemon_json
from agent.targets.container import Carried
from agent.targets.refused import TextRefused
from agent.values.condition import Code, Condition
from agent.values.dockerd import FileFault, Phase, Reality, Running, UnitState
from agent.values.errors import AgentError, TargetFailed
from agent.values.inventory import Inventory
from agent.values.listening import Sockets, all_loopback, is_loopback, is_name, loopback_addresses
from agent.values.paths import Paths
from agent.values.policy import DEFAULT_REGISTRY, Clients, Policy, RegistryUrl, Scope, Upstream
from agent.values.secret import escaped
from agent.values.settings import Settings
from agent.values.snapshot import Snapshot
from agent.values.vantage import HOST, Vantage
from agent.values.verdict import Outcome, Verdict

_NOT_REACHED: Final = frozenset({Outcome.NO_ROUTE, Outcome.REFUSED, Outcome.TIMEOUT})
Loopback = dict[
    str, tuple[str, ...]
]  # by name of a proxy: its loopback addresses at the last look-up; () if it is elsewhere
_PAC_NOT_ASKED: Final = Verdict(Outcome.ERROR, "its PAC is not asked here: only in a network with a match that uses it")
BESIDE_AGAIN_S: Final = 600.0  # each costs the proxy a request, and a note is not urgent
_AT_REST: Final = frozenset({Phase.STOPPED, Phase.ABSENT, Phase.MASKED, Phase.BROKEN})


class ThisHost:
    """The host that the agent runs on."""

    def __init__(
        self,
        paths: Paths,
        policy: Policy,
        ways: Ways,
        arrived: Callable[[], None] = lambda: None,
        of_pacs: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        """`arrived`: called in another network, to forget what was known of the last one. `of_pacs`: more hosts."""
        self._paths = paths
        self._policy = policy
        self._ways = ways
        self._hosts = hosts_connected_to(policy)
        self._proxies = proxies_of(policy)
        self._of_pacs = of_pacs
        self._names = frozenset(name for network in policy.networks for name in network.match.interface)
        self._arrived = arrived
        self._fingerprint = ""

    def _is_named(self, interface: str) -> bool:
        return any(is_like(interface, name) for name in self._names)

    def _to_upstreams(self) -> frozenset[str]:
        return self._ways.leaving(self._proxies | self._of_pacs())

    async def see(self) -> Snapshot:
        found = await see(
            self._paths,
            with_macs=self._policy.names_a_mac,
            is_named=self._is_named,
            to_upstreams=self._to_upstreams,
        )
        snapshot = self._ways.seen(found, self._hosts | self._of_pacs())
        if (fingerprint := snapshot.fingerprint()) != self._fingerprint:
            self._fingerprint = fingerprint
            self._arrived()
        return snapshot

    def dns_elsewhere(self) -> tuple[str, ...]:
        return Snapshot(dns_servers=resolver(self._paths).servers).dns_elsewhere


def hosts_connected_to(policy: Policy) -> frozenset[str]:
    """The hosts of the policy that a probe connects to: the proxies, and registries where it goes directly."""
    return proxies_of(policy) | {registry.host for registry in policy.probe.registry}


def proxies_of(policy: Policy) -> frozenset[str]:
    """The hosts of the upstreams, except those on this host."""
    urls = (url for upstream in policy.upstreams.values() for url in (upstream.http, upstream.https))
    return frozenset(url.host for url in urls if url is not None and not is_loopback(url))


def noting(
    resolve: Resolve, ways: Ways, hosts: Container[str], of_pacs: Callable[[], frozenset[str]] = frozenset
) -> Resolve:
    """The look-up that also tells `ways` the addresses of these hosts."""

    async def resolve_and_note(host: str, port: int) -> Sequence[Address]:
        found = await resolve(host, port)
        if host in hosts or host in of_pacs():
            ways.note_resolved(host, [address[0] for _, address in found])
        return found

    return resolve_and_note


class _Beside(msgspec.Struct, frozen=True):
    """A probe of private registries, and the result of the last one."""

    about: tuple[Upstream, tuple[Private, ...]]
    at: float
    task: asyncio.Task[tuple[Condition, ...]]
    before: tuple[Condition, ...] = ()

    @property
    def said(self) -> tuple[Condition, ...]:
        return self.task.result() if self.task.done() and not self.task.cancelled() else self.before

    def is_due(self, now: float) -> bool:
        """A failure may have been temporary, so it is probed again."""
        return self.task.done() and bool(self.said) and now - self.at >= BESIDE_AGAIN_S


class Registries:
    """Probes with the registries of the policy, which all must answer; else with those of Docker, of which one must."""

    def __init__(  # noqa: PLR0913 - the clock is for tests
        self,
        paths: Paths,
        policy: Policy,
        resolve: Resolve = in_a_thread,
        told: Callable[[], None] | None = None,
        loopback: Loopback | None = None,
        *,
        config_file: ConfigFile | None = None,
        standpoint: Standpoint | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`resolve`: where dockerd stands. `told`: called when a late result is there; None: wait for every result.

        `config_file` and `standpoint`: Docker's.
        """
        self._standpoint = standpoint or Standpoint()
        self._clock = clock
        self._told = told
        self._beside: _Beside | None = None
        self._heard: dict[str, Verdict] = {}
        self._config_file = config_file or ConfigFile(paths)
        self._policy = policy
        self._resolve = resolve
        self._sockets: Sockets = LocalSockets(ThisSystem(paths.root))
        self._realms = Realms()
        self._logins = Logins()
        self._on_their_way, self._on_their_way_beside = OnTheirWay(), OnTheirWay()
        self._loopback = {} if loopback is None else loopback
        ca_file = policy.probe.ca_file
        self._trust = Trust(str(paths.below(ca_file)) if ca_file else "", paths.docker_certificates)

    @property
    def vantage(self) -> Vantage:
        return self._standpoint.vantage

    def note_arrival(self) -> None:
        self._realms.forget()
        self._logins.forget()
        self._heard.clear()
        if self._beside is not None:
            if not self._on_their_way_beside:  # else it goes on until the proxy has said whether it takes the password
                self._beside.task.cancel()
            self._beside = None

    async def beside(self, upstream: Upstream) -> tuple[Condition, ...]:
        """Private registries of daemon.json that cannot be reached through the proxy."""
        about, known, now = (upstream, _private_registries(self._config_file)), self._beside, self._clock.boottime_s()
        if known is None or known.about != about:
            if known is not None:
                known.task.cancel()
            before: tuple[Condition, ...] = ()
        elif known.is_due(now):
            before = known.said
        else:
            return known.said
        task = asyncio.get_running_loop().create_task(self._ask_beside(*about))
        self._beside = asked = _Beside(about, now, task, before)
        if self._told is None:
            return await self._awaited(asked)
        task.add_done_callback(lambda _: self._tell_of_beside(asked))
        return asked.said

    async def _awaited(self, asked: _Beside) -> tuple[Condition, ...]:
        """Another arrival ends it, and not who waits for it: nothing is known then."""
        try:
            await asyncio.wait((asked.task,))
        finally:
            asked.task.cancel()
        return asked.said

    def _tell_of_beside(self, asked: _Beside) -> None:
        """Only a new result is a reason for a pass."""
        if self._told is not None and not asked.task.cancelled() and (asked.said != asked.before or self._heard):
            self._told()

    def take_heard(self) -> Verdicts:
        heard, self._heard = self._heard, {}
        return heard

    async def _ask_beside(self, upstream: Upstream, found: Sequence[Private]) -> tuple[Condition, ...]:
        try:
            excluded = for_dockerd(upstream, self._policy.no_proxy).no_proxy
            maybe = through(found, upstream, excluded)
            private = await asyncio.gather(*(self._is_private(one.urls[0]) for one in maybe))
            here = [one for one, is_so in zip(maybe, private, strict=True) if is_so][:MOST]
            question = msgspec.structs.replace(self._question(), on_their_way=self._on_their_way_beside)
            asking = Asking(as_reached(upstream, question.vantage), question)
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(asking.fails(one)) for one in here]
        except Exception as error:  # noqa: BLE001 - the boundary of a target: a note is not worth the pass
            unexpected("the look at daemon.json's registries", error)
            return ()
        finally:
            self._on_their_way_beside.note_heard((upstream.name,))
        if asking.refused is not None:
            self._heard[upstream.name] = asking.refused
        return tuple(
            _led_nowhere(upstream, one.host, because)
            for one, task in zip(here, asked, strict=True)
            if (because := task.result())
        )

    async def _is_private(self, url: RegistryUrl) -> bool:
        if is_private(url.host):
            return True
        if not is_name(url.host):
            return False
        try:
            async with asyncio.timeout(self._policy.probe.timeout):
                addresses = [address[0] for _, address in await self._resolve(url.host, url.port)]
        except (OSError, UnicodeError):  # includes TimeoutError: an unknown name is not probed
            return False
        return bool(addresses) and all(map(is_private, addresses))

    async def verdicts(self, upstreams: Sequence[Upstream], is_enough: Callable[[Verdicts], bool]) -> Verdicts:
        return await self._verdicts(upstreams, is_enough, self._question())

    async def verdict_by(self, registries: Sequence[RegistryUrl], upstream: Upstream) -> Verdict:
        asked = msgspec.structs.replace(self._question(), registries=tuple(registries), realms=None, reach=())
        found = (await self._verdicts([upstream], lambda _: False, asked))[upstream.name]
        if found.outcome is Outcome.PROXY_AUTH and upstream.username:
            self._heard[upstream.name] = found  # and it is not sent again
        return found

    async def _verdicts(
        self, upstreams: Sequence[Upstream], is_enough: Callable[[Verdicts], bool], asked: Question
    ) -> Verdicts:
        logins = self._logins.of(upstreams, self._policy.probe.timeout)
        question = msgspec.structs.replace(asked, on_their_way=self._on_their_way, logins=logins)

        async def ask(upstream: Upstream) -> Verdict:
            if upstream.is_pac:  # what it stands for is probed, not itself
                return upstream.fault or _PAC_NOT_ASKED
            there = as_reached(upstream, question.vantage)
            excluded = for_dockerd(upstream, self._policy.no_proxy).no_proxy
            hosts = {url.host for url in (there.http, there.https) if url is not None}
            met = set(hosts)  # and the addresses that the probe resolves them to, so that nothing is looked up twice

            async def resolve(host: str, port: int) -> Sequence[Address]:
                found = await self._resolve(host, port)
                if host in hosts:
                    met.update(address[0] for _, address in found)
                    self._loopback[host] = all_loopback(address[0] for _, address in found)
                return found

            try:
                ground = Ground(resolve, question.ground.connect)
                verdict = await probe(there, msgspec.structs.replace(question, ground=ground), excluded)
                if question.vantage.is_host:
                    return _with_its_way(verdict, sorted(met), self._config_file)
                return await self._with_its_end(verdict, upstream, met, question.vantage)
            except Exception as error:  # noqa: BLE001 - the boundary of a target: the other upstreams are asked
                return Verdict(Outcome.ERROR, unexpected(f"the probe of {upstream.name}", error).what)

        def heard(found: Verdicts) -> bool:
            is_over = is_enough(found)
            self._on_their_way.note_heard(found)
            return is_over

        try:
            return await probe_all(upstreams, ask, heard)
        finally:
            self._on_their_way.note_heard(upstream.name for upstream in upstreams)

    async def beyond(self, upstream: Upstream, of_hub: Sequence[RegistryUrl]) -> Beyond:
        """How what a pull needs besides the registry is reached. `of_hub`: needed where Docker Hub alone is asked."""
        question = self._question()
        is_hub = question.registries == (RegistryUrl.parse(DEFAULT_REGISTRY),)
        excluded = for_dockerd(upstream, self._policy.no_proxy).no_proxy
        hosts = dict.fromkeys((*question.reach, *(of_hub if is_hub else ())))
        return await beyond(as_reached(upstream, question.vantage), question, excluded, (*hosts,))

    async def reach(self, upstream: Upstream, host: RegistryUrl) -> Verdict:
        """How this host is reached by TLS through the upstream, whatever it excludes."""
        return await reach(upstream, self._question(), host)

    @property
    def is_password_out(self) -> bool:
        return bool(self._on_their_way) or bool(self._on_their_way_beside)

    async def _with_its_end(
        self, verdict: Verdict, upstream: Upstream, met: Iterable[str], vantage: Vantage
    ) -> Verdict:
        """What is in dockerd's way alone, where something is."""
        if verdict.outcome not in _NOT_REACHED or upstream.is_direct:
            return verdict
        is_ours = is_on_loopback(upstream)
        if is_ours and (silence := await self.silence(upstream)):  # whatever the answer there: it may come yet
            return msgspec.structs.replace(verdict, outcome=Outcome.REFUSED, evidence=silence)
        found = dead_end(upstream, met, vantage, is_heard_here=is_ours)
        if found is None:
            return verdict
        evidence = f"{verdict.evidence}; {found.value}"
        return msgspec.structs.replace(verdict, outcome=Outcome.NO_ROUTE, evidence=evidence, dead_end=found)

    def loopback(self, host: str) -> tuple[str, ...]:
        """By the last look-up (Debian: `127.0.1.1 laptop`), which holds while the resolver does not answer."""
        return loopback_addresses(host) or self._loopback.get(host, ())

    async def silence(self, upstream: Upstream) -> str:
        """Why an app on this host does not listen. With an `owner` only the sockets are looked at."""
        guard = Guard(upstream.owner, self._sockets) if upstream.owner else None
        for host, port in sorted({(url.host, url.port) for url in (upstream.http, upstream.https) if url is not None}):
            if guard is not None:
                try:
                    await guard.admitted(self.loopback(host), port)
                except DialogueFailed as refused:
                    return f"{authority(host, port)}: {refused.evidence}"
            elif not await answers(host, port):
                return "nothing listens there yet"
        return ""

    def _question(self) -> Question:
        wanted, stand = self._policy.probe.registry, self._standpoint.now
        registries = wanted or _default_registries(self._config_file)
        return Question(
            registries,
            any_of=not wanted,
            tls=self._trust,
            timeout_s=self._policy.probe.timeout,
            ground=Ground(self._resolve, stand.ground.connect),
            vantage=stand.vantage,
            sockets=self._sockets,
            realms=self._realms,
            reach=self._policy.probe.reach,
        )


def _with_its_way(verdict: Verdict, hosts: Iterable[str], config_file: ConfigFile) -> Verdict:
    """Explains a verdict where a network of Docker's hides the proxy's: no packet gets there, and no error says so."""
    if verdict.outcome not in _NOT_REACHED:
        return verdict
    for host in hosts:
        if bridge := docker_bridge(host, _default_bridge(config_file)):
            why = f"the route to {host} ends at {bridge}"
            evidence = f"{verdict.evidence}; {why}" if verdict.evidence else why
            return msgspec.structs.replace(verdict, evidence=evidence)
    return verdict


def _private_registries(config_file: ConfigFile) -> tuple[Private, ...]:
    """From daemon.json alone. What users can write, such as `auths`, must not decide whom the agent asks."""
    try:
        text = config_file.text()
        return named(daemon_json.insecure_registries(text), daemon_json.registry_mirrors(text))
    except (TextRefused, TargetFailed):  # the plan says so
        return ()


def _led_nowhere(upstream: Upstream, host: str, because: str) -> Condition:
    entry = escaped(host)
    return Condition(
        Code.REGISTRY_UNREACHABLE,
        f"Docker reaches {entry}, a private address in daemon.json, through {upstream.name}, and that fails: {because}",
        f'If {entry} is in this network: upstream.{upstream.name}.no_proxy = ["{entry}"]',
    )


def _default_registries(config_file: ConfigFile) -> tuple[RegistryUrl, ...]:
    """Docker Hub, and the mirrors that daemon.json names for it."""
    hub = RegistryUrl.parse(DEFAULT_REGISTRY)
    try:
        mirrors = daemon_json.registry_mirrors(config_file.text())
        return (*(RegistryUrl.parse(mirror) for mirror in mirrors), hub)
    except (TextRefused, TargetFailed, ValueError):  # dockerd would refuse it, too: the plan says so
        return (hub,)


def hub_and_mirrors(config_file: ConfigFile) -> tuple[RegistryUrl, ...]:
    """The same for a PAC: whom Docker asks in any case is first."""
    *mirrors, hub = _default_registries(config_file)
    return (hub, *mirrors)


def _default_bridge(config_file: ConfigFile) -> str | None:
    try:
        return daemon_json.bridge(config_file.text())
    except (TextRefused, TargetFailed):  # the plan says so
        return daemon_json.DEFAULT_BRIDGE


def way_to_host(paths: Paths, config_file: ConfigFile, vantage: Vantage) -> Bridge:
    """The address by which containers reach this host. Its bridge may be gone now."""
    if not vantage.is_host:  # theirs is dockerd's network
        leads_to = next(iter(vantage.meant(vantage.gateway)), "")
        if vantage.is_closed or not leads_to:
            return Bridge(is_closed=True)
        return Bridge(vantage.gateway, heard_at=leads_to)
    if not paths.layout.bridge_is_here:
        return Bridge(is_closed=True)
    bridge = _default_bridge(config_file)
    return Bridge(bridge_address(bridge)) if bridge is not None else Bridge(is_none=True)


def container_dns(paths: Paths, config_file: ConfigFile) -> ContainerDns:
    """Where containers look names up: by `dns` in daemon.json, else by what Docker makes of the host's resolver.

    User-defined networks forward to the same servers. Where the bridge is in a network of its own, the name server
    there asks whom the host asks at that moment (FACTS 141), so what the host knows is known.
    """
    of_host = for_containers(paths)
    if not paths.layout.bridge_is_here:
        of_host = msgspec.structs.replace(of_host, servers=())
    try:
        text = config_file.text()
        servers, search = daemon_json.dns(text), daemon_json.dns_search(text) or of_host.search
    except (TextRefused, TargetFailed):  # the plan says so
        return ContainerDns((), (), "")
    return ContainerDns(
        servers or of_host.servers, search, "dns in daemon.json" if servers else "of this host's resolv.conf"
    )


class LocalDaemon:
    """The dockerd of the policy."""

    def __init__(
        self,
        paths: Paths,
        policy: Policy,
        config_file: ConfigFile | None = None,
        standpoint: Standpoint | None = None,
        *,
        carried: containers.Known | None = None,
    ) -> None:
        """`paths`: of the Docker that is served (`docker/which.py`)."""
        docker = policy.docker
        self._paths = paths
        self._config_file = config_file or ConfigFile(paths)
        self._standpoint = standpoint or Standpoint()
        self._service = service = paths.layout.service
        self._standpoint.serve(paths.state, service)
        self._engine = engine = EngineSocket(paths.below(paths.socket(docker.socket)))
        self._carried = carried or containers.Known()
        self._carries: tuple[Carried, ...] | None = None
        self._is_looked_at = False  # since the containers were last asked for
        self._has_answered = False  # the last time
        self._places: tuple[Path, ...] = ()  # that the last look was about
        systemd = manager(paths)
        is_systemd = systemd is not None and not docker.restart_command
        self._last: tuple[Reality, Glance] | None = None
        self._journal = Journal(paths.state, service)
        self._last_good = LastGood(paths.state)
        self._noted: Reality | None = None
        self._refusal: tuple[tuple[object, ...], FileFault | None] | None = None
        self._supervisor = (
            CommandUnit(docker.restart_command, engine, systemd)
            if systemd is None or docker.restart_command
            else Unit(service, systemd, paths, engine=engine)
        )
        self._is_systemd = is_systemd
        can_restart = is_systemd or bool(docker.restart_command)
        self._look = Looking(paths, service, self._supervisor, engine, can_restart=can_restart)

    async def recover(self, record: Record, *, may_restart: bool) -> bool:
        """Finish or undo what a crashed agent left, before anything else. The caller holds the lock.

        `may_restart`: whether Docker may be asked and started already; without it, call it again when it may. Whether
        nothing may be written until then.
        """
        await asyncio.to_thread(self.sweep)
        state = self._paths.state
        self._noted = None  # a probation may have ended
        return await recover(
            self._supervisor,
            self._look,
            state,
            record,
            is_systemd=self._is_systemd,
            may_restart=may_restart,
            unit=self._service,
        )

    async def goes_down(self) -> bool:
        return await self._supervisor.goes_down()

    def under_way(self) -> UnderWay:
        return self._journal.under_way()

    def is_to_be_judged(self, trial: Trial) -> bool:
        return started(trial.pid) is None or time.monotonic() >= trial.until

    def sweep(self) -> None:
        """Remove what a crash left beside the targets. The caller holds the lock."""
        state = self._paths.state
        sweep(state)  # first: what follows reads from there
        ours = (self._paths.environment_file, self._paths.drop_in(self._service), self._paths.daemon_json)
        # Includes a daemon.json that --config-file names.
        files = {*map(str, ours), *Journal(state).under_way().notes, *daemon_originals(state).all()}
        # Links are followed: a replacement is made beside the real file.
        for folder in {behind_links(Path(file)).parent for file in files}:
            sweep(folder)

    async def inventory(self) -> Inventory | None:
        """All that carries settings; None: Docker does not run. EngineSilent if it does not answer."""
        if not await self._look.may_be_asked():
            return None
        return await inventory(self._engine, of_container, self._paths.below)

    async def with_sizes(self, found: Inventory, names: Collection[str]) -> Inventory:
        """The same with how much those containers have written. EngineSilent as `inventory`."""
        return await with_sizes(self._engine, found, names)

    def known(self) -> Reality | None:
        if self._last is None or self._glance(self._last[0], self._starts()) != self._last[1]:
            self._last = None
            return None
        return self._last[0]

    async def reality(self, *desired: Settings) -> Reality:
        before, starts = self._on_disk(), self._starts()
        found = await self._look.reality(*desired)
        self._config_file.note(found)
        self._standpoint.note(found)
        # A dockerd that is starting, or does not answer fully, is looked at again each time.
        unit = found.unit
        is_at_rest = not found.is_silent if unit.is_running else unit.phase in _AT_REST and not unit.comes_back
        self._places = self._places_of(found)
        after = self._on_disk()
        # Nor is one that was started, or whose files were written, in the middle of the look: no glance would tell.
        is_one_moment = self._is_start(unit) and all(before[place] == after[place] for place in before.keys() & after)
        is_known = is_at_rest and is_one_moment and not found.is_place_unknown
        self._last = (found, self._glance(found, starts)) if is_known else None
        self._has_answered = found.engine is not None and not found.is_silent
        self._carries, self._is_looked_at = None, self._has_answered
        return found

    async def carried(self, *, anew: bool = False) -> tuple[Carried, ...] | None:
        if self._is_looked_at or (anew and self._has_answered):
            self._is_looked_at = False
            try:
                is_up = await self._look.may_be_asked()
                self._carries = await containers.running(self._engine, self._carried) if is_up else None
            except AgentError:  # silent by now: the next look asks again
                self._carries = None
            except Exception as error:  # noqa: BLE001 - the boundary of a target: a note is not worth the pass
                unexpected("the look at Docker's containers", error)
        return self._carries

    async def bridges(self) -> Mapping[str, bool] | None:
        """By name, and whether their networks are internal; None: not known now."""
        try:
            if not await self._look.may_be_asked_itself():
                return None
            return await networks.bridges(self._engine)
        except AgentError:  # silent by now
            return None

    async def note_place(self) -> None:
        """Take note of where dockerd stands, for a probe without a pass."""
        self._standpoint.note(await self._look.place())

    async def busy_now(self, found: Reality) -> Reality:
        return await self._look.busy_now(found)

    async def running(self) -> frozenset[Running]:
        return await self._look.running()

    def _is_start(self, unit: UnitState) -> bool:
        """Whether Docker is still of that start, or still down."""
        return self._supervisor.started() == (unit.invocation if unit.is_running else "")

    def _on_disk(self) -> dict[Path, Identity | None]:
        return {place: identity_of(place) for place in self._places}

    def _places_of(self, found: Reality) -> tuple[Path, ...]:
        files = (found.daemon_json_path, found.environment_file_path, found.drop_in_path, *found.unit.drop_ins)
        places = self._paths.unit_places(self._service) if self._paths.is_real else ()
        return (*map(Path, (*files, *found.environment_files)), *places)

    def _starts(self) -> str:
        """Another value after each start of a unit, also one that failed at once and has left nothing."""
        return str(identity_of(self._paths.below(self._paths.layout.starts)))

    def _glance(self, found: Reality, starts: str) -> Glance:
        start = f"{self._supervisor.started()} {started(found.process) if found.process else ''}"
        if found.unit.phase in (Phase.ABSENT, Phase.MASKED):
            start += str(beside(self._paths))
        elif not found.unit.is_running:
            start += starts
        return glance(start, self._places_of(found))

    def owned(self, reality: Reality) -> OwnedDaemonJson:
        return owned(reality, self._paths.state)

    async def refusal(self, reality: Reality) -> FileFault | None:
        try:
            theirs = without_ours(reality, self.owned(reality))
        except TextRefused:  # the plan says so
            return None
        # If the file is no text, its identity alone tells whether it changed.
        faulty = identity_of(Path(reality.daemon_json_path)) if reality.daemon_json_fault is not None else None
        asked = (theirs, faulty, reality.arguments, identity_of(Path(reality.binary)))
        if self._refusal is None or self._refusal[0] != asked:
            self._refusal = asked, await validate.refused(reality, theirs)
        return self._refusal[1]

    def note(self, reality: Reality) -> None:
        if reality is not self._noted:
            self._standpoint.keep()
            with contextlib.suppress(AgentError):  # it is tried again
                note_first_run(self._journal, reality)
            self._last_good.keep_if_seen(reality)
            self._noted = reality

    async def carry_out(self, plan: Plan, reality: Reality, record: Record) -> Applied:
        transaction = Transaction(self._supervisor, self._look, self._paths.state, record, unit=self._service)
        return await transaction.carry_out(plan, reality)


def local_clients(  # noqa: PLR0913 - named at every call
    paths: Paths,
    policy: Policy,
    homes: Homes | None = None,
    told: Callable[[], None] | None = None,
    *,
    config_file: ConfigFile,
    vantage: Callable[[], Vantage] = lambda: HOST,
) -> LocalClients:
    """The files of all users that the policy covers.

    `told`: one that was not waited for has come; None: all are waited for. `config_file` and `vantage`: Docker's.
    """
    system, caller = ThisSystem(paths.root), Caller.this()
    socket = paths.socket(policy.docker.socket)
    scope = Scope(paths.layout.scope or policy.clients.scope)
    policy = msgspec.structs.replace(
        policy,
        docker=msgspec.structs.replace(policy.docker, socket=socket),
        clients=msgspec.structs.replace(policy.clients, scope=scope),
    )

    def whose() -> Who:
        return who(policy.clients, system, caller, str(paths.root), more=paths.layout.configs)

    def accounts(files: Iterable[str]) -> tuple[Account, ...]:
        return accounts_of(paths, policy.clients, files)

    return LocalClients(
        policy=policy,
        state=paths.state,
        who=whose,
        accounts=accounts,
        homes=homes or Homes(),
        from_containers=_from_containers(
            paths,
            config_file=config_file,
            vantage=vantage,
            drops_all=DockerClient().drops_all if paths.is_real else None,
        ),
        waits_s=WAITS_S if told is not None else None,
        told=told or _nobody,
    )


def _from_containers(
    paths: Paths, *, config_file: ConfigFile, vantage: Callable[[], Vantage], drops_all: DropsAll | None = None
) -> FromContainers:
    return FromContainers(
        way_to_host=lambda: way_to_host(paths, config_file, vantage()),
        sockets=LocalSockets(ThisSystem(paths.root)),
        resolve=in_a_thread,
        drops_all=drops_all,
        container_dns=lambda: container_dns(paths, config_file),
    )


def seen_from_containers(paths: Paths, policy: Policy, vantage: Vantage) -> FromContainers:
    """What containers find, whatever client starts them. `vantage`: of their dockerd."""
    paths = serving(paths, policy.docker.service_named(paths.layout.service))
    return _from_containers(paths, config_file=ConfigFile(paths), vantage=lambda: vantage)


def _nobody() -> None:
    """Waits for it."""


def accounts_of(paths: Paths, clients: Clients, files: Iterable[str]) -> tuple[Account, ...]:
    """The account that each of these files is written as, even if the policy no longer lists it."""
    system, caller, wanted = ThisSystem(paths.root), Caller.this(), set(files)
    configs = paths.layout.configs
    found = {str(one.config): one for one in who(clients, system, caller, str(paths.root), more=configs).accounts}
    if missing := wanted - found.keys():
        below = "" if paths.is_real else str(paths.root)  # the policy names files without the root
        named = Clients(users=(), files=tuple(sorted(file.removeprefix(below) for file in missing)))
        found |= {str(one.config): one for one in who(named, system, caller, str(paths.root)).accounts}
    return tuple(account for file, account in found.items() if file in wanted)


class Lasting(msgspec.Struct, frozen=True):
    """What outlives a policy. An upstream that did not change is not probed again, so this would be lost."""

    homes: Homes = msgspec.field(default_factory=Homes)  # which of them hang, and what is watched
    ways: Ways = msgspec.field(default_factory=Ways)  # the known routes
    loopback: Loopback = msgspec.field(default_factory=Loopback)
    standpoint: Standpoint = msgspec.field(default_factory=Standpoint)  # of dockerd
    carried: containers.Known = msgspec.field(default_factory=containers.Known)  # by its containers
    relay: RelayMemory = msgspec.field(default_factory=RelayMemory)
    pacs: PacMemory = msgspec.field(default_factory=PacMemory)


class TheWorld:
    """Implements `ports.World` for this host."""

    def __init__(
        self,
        paths: Paths,
        policy: Policy,
        lasting: Lasting | None = None,
        told: Callable[[], None] | None = None,
    ) -> None:
        lasting = lasting or Lasting()
        paths = serving(paths, policy.docker.service_named(paths.layout.service))
        config_file = ConfigFile(paths)  # the daemon reads it, the others use what it found
        self.clients = local_clients(
            paths, policy, lasting.homes, told, config_file=config_file, vantage=lambda: lasting.standpoint.vantage
        )
        self.daemon = LocalDaemon(paths, policy, config_file, lasting.standpoint, carried=lasting.carried)

        def of_pacs() -> frozenset[str]:
            return self.pacs.hosts

        self.pacs = LocalPacs(
            policy,
            paths.state,
            HostPacs(
                paths,
                policy,
                Ground(noting(in_a_thread, lasting.ways, (), of_pacs), HERE.connect),
                manager(paths) if told is not None else None,
            ),
            registries=lambda: policy.probe.registry or hub_and_mirrors(config_file),
            told=told,
            memory=lasting.pacs,
        )

        resolve = noting(lasting.standpoint.resolve, lasting.ways, hosts_connected_to(policy), of_pacs)
        self.prober = Registries(
            paths,
            policy,
            resolve,
            told,
            loopback=lasting.loopback,
            config_file=config_file,
            standpoint=lasting.standpoint,
        )
        self.host = ThisHost(paths, policy, lasting.ways, self.prober.note_arrival, of_pacs=of_pacs)
        systemd = None if policy.docker.restart_command else manager(paths)
        self.relay: Relays = LocalRelay(
            paths,
            policy,
            prober=self.prober,
            sockets=LocalSockets(ThisSystem(paths.root)),
            bridge=lambda: way_to_host(paths, config_file, lasting.standpoint.vantage).address,
            bridges=Bridges(self.daemon.bridges),
            memory=lasting.relay,
            unfolded=lambda: self.pacs.known(policy),
            script_of=self.pacs.script_of,
            pacs=self.pacs.seen,
            units=None if systemd is None else RelayUnits(paths, systemd),
        )
        self._paths, self._config_file = paths, config_file

    def container_dns(self) -> tuple[str, ...]:
        """Whom a new container asks; () if that is not known."""
        return container_dns(self._paths, self._config_file).servers
