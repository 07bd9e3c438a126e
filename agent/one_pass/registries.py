"""The probes of a pass: every upstream is asked for the registries of the policy, else for those of Docker.

Beside a pass, private registries of daemon.json are asked for through the upstream that was chosen (`beside`).
Not known here: what a verdict leads to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from agent.audit.unexpected import unexpected
from agent.clients.users import ThisSystem
from agent.decide.dead_end import dead_end, is_on_loopback
from agent.decide.desired import as_reached, for_dockerd
from agent.docker.config_file import ConfigFile
from agent.one_pass.docker_defaults import default_bridge, default_registries
from agent.one_pass.logins import Logins
from agent.one_pass.sockets import LocalSockets
from agent.one_pass.standpoint import Standpoint
from agent.probe.dial import Address, Ground, Resolve, in_a_thread
from agent.probe.exchange import DialogueFailed, authority
from agent.probe.guard import Guard
from agent.probe.listens import answers
from agent.probe.on_their_way import OnTheirWay
from agent.probe.private import MOST, Asking, Private, is_private, named, through
from agent.probe.probe import Beyond, Question, Realms, beyond, probe, reach
from agent.probe.side_by_side import Verdicts, probe_all
from agent.probe.tls import Trust
from agent.see.docker_bridge import docker_bridge
from agent.system.clock import SYSTEM_CLOCK, Clock
from agent.targets import daemon_json
from agent.targets.refused import TextRefused
from agent.values.condition import Code, Condition
from agent.values.errors import TargetFailed
from agent.values.listening import Sockets, all_loopback, is_name, loopback_addresses
from agent.values.paths import Paths
from agent.values.policy import DEFAULT_REGISTRY, Policy, RegistryUrl, Upstream
from agent.values.secret import escaped
from agent.values.vantage import Vantage
from agent.values.verdict import Outcome, Verdict

_NOT_REACHED: Final = frozenset({Outcome.NO_ROUTE, Outcome.REFUSED, Outcome.TIMEOUT})
# By name of a proxy: its loopback addresses at the last look-up; () if it is elsewhere.
Loopback = dict[str, tuple[str, ...]]
_PAC_NOT_ASKED: Final = Verdict(Outcome.ERROR, "its PAC is not asked here: only in a network with a match that uses it")
BESIDE_AGAIN_S: Final = 600.0  # each costs the proxy a request, and a note is not urgent


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
        """Another arrival cancels the probe, but not those that wait for it: they get no result."""
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
            hosts = {url.host for url in there.urls}
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
        for host, port in sorted({(url.host, url.port) for url in upstream.urls}):
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
        registries = wanted or default_registries(self._config_file)
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
    """Explains a verdict if a Docker network hides the proxy's: no packet gets there, and no error says so."""
    if verdict.outcome not in _NOT_REACHED:
        return verdict
    for host in hosts:
        if bridge := docker_bridge(host, default_bridge(config_file)):
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
