"""The probes of a pass: every upstream is asked for the registries of the policy, else for those of Docker.

Not known here: what a verdict leads to; and when private registries are asked for, beside a pass
(`private_registries.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from agent.audit.unexpected import unexpected
from agent.clients.users import ThisSystem
from agent.decide.dead_end import dead_end, is_on_loopback
from agent.decide.desired import as_reached, for_dockerd
from agent.docker.config_file import ConfigFile
from agent.one_pass.aside import aside_or
from agent.one_pass.docker_defaults import default_bridge, default_registries
from agent.one_pass.logins import Logins
from agent.one_pass.private_registries import PrivateRegistries
from agent.one_pass.sockets import LocalSockets
from agent.one_pass.standpoint import Standpoint
from agent.probe.dial import Address, Ground, Resolve, in_a_thread
from agent.probe.exchange import DialogueFailed, authority
from agent.probe.guard import Guard
from agent.probe.listens import answers
from agent.probe.on_their_way import OnTheirWay
from agent.probe.probe import Beyond, Question, Realms, beyond, probe, reach
from agent.probe.side_by_side import Verdicts, probe_all
from agent.probe.tls import Trust
from agent.see.docker_bridge import docker_bridge
from agent.system.clock import SYSTEM_CLOCK, Clock
from agent.values.condition import Condition
from agent.values.listening import Sockets, all_loopback, loopback_addresses
from agent.values.paths import Paths
from agent.values.policy import DEFAULT_REGISTRY, Policy, RegistryUrl, Upstream
from agent.values.vantage import Vantage
from agent.values.verdict import Outcome, Verdict

_EXPLAINED_WITHIN_S: Final = 1.0  # a choice waits for the verdict
_NOT_REACHED: Final = frozenset({Outcome.NO_ROUTE, Outcome.REFUSED, Outcome.TIMEOUT})
# By name of a proxy: its loopback addresses at the last look-up; () if it is elsewhere.
Loopback = dict[str, tuple[str, ...]]
_PAC_NOT_ASKED: Final = Verdict(Outcome.ERROR, "its PAC is not asked here: only in a network with a match that uses it")


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
        self._heard: dict[str, Verdict] = {}
        self._config_file = config_file or ConfigFile(paths)
        self._policy = policy
        self._resolve = resolve
        self._sockets: Sockets = LocalSockets(ThisSystem(paths.root))
        self._realms = Realms()
        self._logins = Logins()
        self._on_their_way = OnTheirWay()
        self._loopback = {} if loopback is None else loopback
        ca_file = policy.probe.ca_file
        self._trust = Trust(str(paths.below(ca_file)) if ca_file else "", paths.docker_certificates)
        self._private = PrivateRegistries(
            policy, self._config_file, resolve, question=self._question, heard=self._heard, told=told, clock=clock
        )

    @property
    def vantage(self) -> Vantage:
        return self._standpoint.vantage

    def note_arrival(self) -> None:
        self._realms.forget()
        self._logins.forget()
        self._heard.clear()
        self._private.forget()

    async def beside(self, upstream: Upstream) -> tuple[Condition, ...]:
        """Private registries of daemon.json that cannot be reached through the proxy."""
        return await self._private.said(upstream)

    def take_heard(self) -> Verdicts:
        heard = dict(self._heard)
        self._heard.clear()
        return heard

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
                    return await _with_its_way(verdict, sorted(met), self._config_file)
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
        return bool(self._on_their_way) or self._private.is_password_out

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


async def _with_its_way(verdict: Verdict, hosts: Iterable[str], config_file: ConfigFile) -> Verdict:
    """Explains a verdict if a Docker network hides the proxy's: no packet gets there, and no error says so."""
    if verdict.outcome not in _NOT_REACHED:
        return verdict
    ends = functools.partial(_where_it_ends, hosts, default_bridge(config_file))
    why = await aside_or("", ends, within_s=_EXPLAINED_WITHIN_S)
    if not why:
        return verdict
    return msgspec.structs.replace(verdict, evidence=f"{verdict.evidence}; {why}" if verdict.evidence else why)


def _where_it_ends(hosts: Iterable[str], default: str | None) -> str:
    found = ((host, docker_bridge(host, default)) for host in hosts)
    return next((f"the route to {host} ends at {bridge}" for host, bridge in found if bridge), "")
