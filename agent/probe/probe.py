"""The test of one upstream: a real request to each registry, as dockerd would send it.

Not known here: which upstreams are probed and when, and what follows from a verdict.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from agent.probe import der, registry_answer
from agent.probe.dial import HERE, Ground
from agent.probe.exchange import ask, authority
from agent.probe.guard import Guard
from agent.probe.login import Login
from agent.probe.no_proxy import excludes
from agent.probe.on_their_way import OnTheirWay, Sending
from agent.probe.race import Entrant, race
from agent.probe.stopwatch import Step, Stopwatch
from agent.probe.stream import StreamFailed, Via, failures_of, open_proxy, open_stream
from agent.probe.through_proxy import authorization, known
from agent.probe.tls import Trust
from agent.values.listening import Sockets
from agent.values.policy import RegistryUrl, Upstream
from agent.values.settings import Credentials, ProxyUrl
from agent.values.vantage import HOST, Vantage
from agent.values.verdict import Outcome, Verdict

# How `direct` ends where a portal has no certificate for an https registry.
_PORTAL_LIKE: Final = frozenset({Outcome.TLS, Outcome.TIMEOUT, Outcome.REFUSED, Outcome.ERROR})


_MOST_REALMS: Final = 1000


class Realms:
    """The token servers that registries name, and through which upstreams each was reached in this network."""

    def __init__(self) -> None:
        self._reached: set[tuple[str, RegistryUrl]] = set()

    def forget(self) -> None:
        self._reached.clear()

    def left(self, upstream: str, realms: Iterable[RegistryUrl]) -> tuple[RegistryUrl, ...]:
        return tuple(realm for realm in dict.fromkeys(realms) if (upstream, realm) not in self._reached)

    def note_reached(self, upstream: str, realms: Iterable[RegistryUrl]) -> None:
        if len(self._reached) > _MOST_REALMS:  # a registry may name another one each time
            self._reached.clear()
        self._reached.update((upstream, realm) for realm in realms)


class Question(msgspec.Struct, frozen=True):
    """What every upstream is asked."""

    registries: tuple[RegistryUrl, ...]
    any_of: bool  # whether one registry that answers is enough
    tls: Trust
    timeout_s: float  # of one whole probe
    ground: Ground = HERE
    portal_port: int = 80
    sockets: Sockets | None = None  # None: no upstream has an owner
    vantage: Vantage = HOST  # where the ground is
    realms: Realms | None = None  # None: they are not asked for
    reach: tuple[RegistryUrl, ...] = ()  # what must be reached by TLS besides, such as the layers' host
    on_their_way: OnTheirWay | None = None  # where passwords that are sent are noted; None: nobody asks
    logins: Mapping[str, Login] = {}  # by upstream, where it has one with others


class Beyond(msgspec.Struct, frozen=True):
    """What a pull needs besides the registry, and how each was reached."""

    tokens: tuple[tuple[RegistryUrl, Verdict], ...] = ()  # a registry that gives them itself has answered already
    hosts: tuple[tuple[RegistryUrl, Verdict], ...] = ()


class _TokenServers(msgspec.Struct):
    """Where registries send for tokens: a host of its own, or the registry's."""

    others: list[RegistryUrl] = msgspec.field(default_factory=list)
    own: list[RegistryUrl] = msgspec.field(default_factory=list)


async def probe(upstream: Upstream, question: Question, no_proxy: Sequence[str] = ()) -> Verdict:
    """Test the upstream. `no_proxy` is what dockerd would get with it."""
    ends_at = asyncio.get_running_loop().time() + question.timeout_s
    tokens = _TokenServers()
    verdict = await _ask_registries(upstream, question, no_proxy, ends_at=ends_at, tokens=tokens)
    asks_for = () if question.realms is None else question.realms.left(upstream.name, tokens.others)
    hosts = (*question.reach, *asks_for)
    # Only after the registry answered: by then the password is known to be right, and the proxy to be up.
    if not verdict.is_ok or not hosts:
        return verdict
    failed = await _reach(upstream, question, no_proxy, ends_at=ends_at, hosts=hosts)
    if failed is None and question.realms is not None:
        question.realms.note_reached(upstream.name, asks_for)
    return failed or verdict


async def beyond(
    upstream: Upstream, question: Question, no_proxy: Sequence[str], hosts: Sequence[RegistryUrl]
) -> Beyond:
    """How the token servers that the registries name, and these hosts, are reached. Nothing if no registry answers."""
    ends_at = asyncio.get_running_loop().time() + question.timeout_s
    named = _TokenServers()
    verdict = await _ask_registries(upstream, question, no_proxy, ends_at=ends_at, tokens=named)
    if not verdict.is_ok:
        return Beyond()
    tokens = [*dict.fromkeys(named.others)]
    # With a time of their own: here a slow registry is no reason to call the server behind it unreachable.
    ends_at = asyncio.get_running_loop().time() + question.timeout_s
    found = await _reached(upstream, question, no_proxy, ends_at=ends_at, hosts=(*tokens, *hosts))
    each = [*zip((*tokens, *hosts), found, strict=True)]
    answered = [(registry, verdict) for registry in dict.fromkeys(named.own)]
    return Beyond((*each[: len(tokens)], *answered), tuple(each[len(tokens) :]))


async def reach(upstream: Upstream, question: Question, host: RegistryUrl) -> Verdict:
    """How this host is reached by TLS, through the upstream whatever its no_proxy."""
    ends_at = asyncio.get_running_loop().time() + question.timeout_s
    (found,) = await _reached(upstream, question, (), ends_at=ends_at, hosts=(host,))
    return found


async def _ask_registries(
    upstream: Upstream, question: Question, no_proxy: Sequence[str], *, ends_at: float, tokens: _TokenServers
) -> Verdict:
    """Adds to `tokens` what the registries name."""
    if not question.registries:
        raise ValueError("a probe needs a registry to ask")
    attempts = _attempts(upstream, question, no_proxy, ends_at)
    turn_s = question.timeout_s / (2 * len(attempts))
    refused: dict[Credentials, Verdict] = {}
    found = await race(
        [_entrant(attempt, refused) for attempt in attempts],
        apart_s=[turn_s if attempt.waits_its_turn else 0.0 for attempt in attempts],
        enough=lambda verdicts: any(verdict.is_ok is question.any_of for verdict in verdicts.values()),
    )
    for named in [attempts[at].tokens for at, verdict in found.items() if verdict.is_ok]:
        tokens.others.extend(named.others)
        tokens.own.extend(named.own)
    position = min(found, key=lambda position: (_weight(found[position], any_of=question.any_of), position))
    if len(attempts) == 1:
        return found[position]
    asked = attempts[position].registry
    evidence = f"{authority(asked.host, asked.port)}: {found[position].evidence}"
    return msgspec.structs.replace(found[position], evidence=evidence)


def proxy_for(upstream: Upstream, registry: RegistryUrl, no_proxy: Sequence[str]) -> ProxyUrl | None:
    """The proxy that dockerd would use for this registry. None: it connects directly."""
    if excludes(no_proxy, registry.host, registry.port):
        return None
    return upstream.https_with_credentials if registry.is_https else upstream.http_with_credentials


class _Attempt(msgspec.Struct, frozen=True):
    """One registry, and how it is reached."""

    registry: RegistryUrl
    via: Via
    question: Question
    ends_at: float  # of the loop's clock
    portal_is_possible: bool
    waits_its_turn: bool = False
    tokens: _TokenServers = msgspec.field(default_factory=_TokenServers)  # that its registry named

    @property
    def credentials(self) -> Credentials | None:
        return known(self.via.proxy) if self.via.proxy else None


def _attempts(upstream: Upstream, question: Question, no_proxy: Sequence[str], ends_at: float) -> list[_Attempt]:
    """In the order of the list. A password is sent to one registry's proxy first: accounts lock (FACTS 25)."""
    guard = _guard(upstream, question)
    at_once: list[_Attempt] = []
    in_turn: list[_Attempt] = []
    for registry in question.registries:
        tls = question.tls.context(registry.host, registry.port)
        via = Via(
            proxy_for(upstream, registry, no_proxy), tls, question.ground, guard, sending=_sending(upstream, question)
        )
        attempt = _Attempt(
            registry, via, question, ends_at, portal_is_possible=upstream.is_direct and registry.is_https
        )
        if attempt.credentials and any(other.credentials for other in at_once):
            in_turn.append(msgspec.structs.replace(attempt, waits_its_turn=True))
        else:
            at_once.append(attempt)
    return at_once + in_turn


def _sending(upstream: Upstream, question: Question) -> Sending:
    return Sending(upstream.name, question.on_their_way, question.logins.get(upstream.name))


def _guard(upstream: Upstream, question: Question) -> Guard | None:
    if not upstream.owner:
        return None
    if question.sockets is None:
        raise TypeError("an upstream with an owner cannot be probed without a look at who listens")
    return Guard(upstream.owner, question.sockets, question.vantage)


def _entrant(attempt: _Attempt, refused: dict[Credentials, Verdict]) -> Entrant[Verdict]:
    async def attempted() -> Verdict:
        credentials = attempt.credentials
        if credentials in refused:
            return refused[credentials]
        verdict = await (_ask_directly(attempt) if attempt.portal_is_possible else _ask(attempt))
        if credentials and verdict.outcome is Outcome.PROXY_AUTH:
            refused[credentials] = verdict
        return verdict

    return attempted


def _weight(verdict: Verdict, *, any_of: bool) -> int:
    """The verdict with the lowest weight stands for all."""
    if verdict.is_ok:
        return 0 if any_of else 5
    if verdict.outcome is Outcome.PROXY_AUTH:
        return 1  # a wrong password must be reported
    if verdict.outcome is Outcome.PORTAL:
        return 2
    return 3 if verdict.is_soft else 4  # a soft failure may pass by itself


async def _ask(attempt: _Attempt, finding: _FindingOf | None = None) -> Verdict:
    watch = Stopwatch()
    try:
        async with asyncio.timeout_at(attempt.ends_at):
            outcome, evidence = await (finding or _get_v2)(attempt, watch)
    except StreamFailed as failure:
        evidence = failure.evidence
        if failure.outcome is Outcome.TLS:
            evidence += await _whose(attempt, failure.step)
        return Verdict(failure.outcome, evidence, failure.timings)
    except TimeoutError:
        evidence = f"{watch.doing}: timed out after {attempt.question.timeout_s:g} s"
        return Verdict(Outcome.TIMEOUT, evidence, watch.timings())
    return Verdict(outcome, evidence, watch.timings())


async def _get_v2(attempt: _Attempt, watch: Stopwatch) -> registry_answer.Finding:
    """What the registry answers. For a plain http URL an HTTP proxy is asked for the URL, else a stream is opened."""
    registry, via = attempt.registry, attempt.via
    if registry.is_https or via.proxy is None or via.proxy.scheme.is_socks:
        end_tls = via.proxy_tls if registry.is_https else None
        stream = await open_stream(registry.host, registry.port, via, end_tls=end_tls, watch=watch)
        request = ask(b"GET", "/v2/", _host_header(registry))
        answerer = registry_answer.Answerer.REGISTRY if registry.is_https else registry_answer.Answerer.ANYBODY
    else:
        stream = await open_proxy(via, watch=watch)
        request = ask(b"GET", f"{registry}/v2/", _host_header(registry), authorization(attempt.credentials))
        answerer = registry_answer.Answerer.PROXY
    sends = answerer is registry_answer.Answerer.PROXY and attempt.credentials is not None
    async with stream:
        watch.enter(Step.ANSWER, f"waiting for the answer of {registry.host}")
        with failures_of(watch):
            async with via.sending.turn() if sends else contextlib.nullcontext():
                answer = await stream.converse(request)
                found = registry_answer.judged(answer, answerer)
                if sends:
                    _note(via.sending, found)
        if answerer is registry_answer.Answerer.REGISTRY and (realm := registry_answer.realm(answer)):
            named = attempt.tokens
            (named.own if realm.host == registry.host else named.others).append(realm)
        return found


def _note(sending: Sending, found: registry_answer.Finding) -> None:
    if found[0] is Outcome.PROXY_AUTH:
        sending.note_refused()
    else:
        sending.note_taken()


_FindingOf = Callable[[_Attempt, Stopwatch], Awaitable[registry_answer.Finding]]


async def _reach(
    upstream: Upstream, question: Question, no_proxy: Sequence[str], *, ends_at: float, hosts: Sequence[RegistryUrl]
) -> Verdict | None:
    """The verdict of the first host that cannot be reached by TLS. None: all can."""
    found = await _reached(upstream, question, no_proxy, ends_at=ends_at, hosts=hosts)
    for host, verdict in zip(hosts, found, strict=True):
        if not verdict.is_ok:
            return msgspec.structs.replace(verdict, evidence=f"{authority(host.host, host.port)}: {verdict.evidence}")
    return None


async def _reached(
    upstream: Upstream, question: Question, no_proxy: Sequence[str], *, ends_at: float, hosts: Sequence[RegistryUrl]
) -> list[Verdict]:
    """How each of the hosts is reached by TLS."""
    guard = _guard(upstream, question)
    attempts = []
    for host in hosts:
        via = Via(
            proxy_for(upstream, host, no_proxy),
            question.tls.context(host.host, host.port),
            question.ground,
            guard,
            sending=_sending(upstream, question),
        )
        attempts.append(_Attempt(host, via, question, ends_at, portal_is_possible=False))
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_ask(attempt, _connect)) for attempt in attempts]
    return [task.result() for task in asked]


async def _connect(attempt: _Attempt, watch: Stopwatch) -> registry_answer.Finding:
    host = attempt.registry
    async with await open_stream(host.host, host.port, attempt.via, end_tls=attempt.via.proxy_tls, watch=watch):
        return Outcome.OK, ""


async def _whose(attempt: _Attempt, rejected_at: Step | None) -> str:
    """Whose certificate was rejected: connect again without verification, as no exception holds it (FACTS 35).

    Nothing is sent to the end then, and no password to the proxy.
    """
    registry, unverified = attempt.registry, attempt.question.tls.unverified
    try:
        async with asyncio.timeout_at(attempt.ends_at):
            if rejected_at is Step.PROXY:
                stream = await open_proxy(msgspec.structs.replace(attempt.via, proxy_tls=unverified))
            else:
                stream = await open_stream(registry.host, registry.port, attempt.via, end_tls=unverified)
            async with stream:
                return f"; {der.certificate(stream.certificate or b'')}"
    except (StreamFailed, TimeoutError, ValueError):
        return ""  # the rejection is known; who signed it only explains it


def _host_header(registry: RegistryUrl) -> str:
    return registry.partition("://")[2]


async def _ask_directly(attempt: _Attempt) -> Verdict:
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(_ask(attempt))
        check = group.create_task(_look_for_a_portal(attempt, asked))
        verdict = await asked
        if verdict.outcome not in _PORTAL_LIKE:
            check.cancel()
            return verdict
        portal = await check
    if portal is None:
        return verdict
    return msgspec.structs.replace(verdict, outcome=Outcome.PORTAL, evidence=f"{portal}; {verdict.evidence}")


async def _look_for_a_portal(attempt: _Attempt, asked: asyncio.Task[Verdict]) -> str | None:
    """Look for a portal with a plain GET once the registry was not reached.

    A portal that drops port 443 would use up the whole timeout, so the GET is sent after half of it.
    """
    await asyncio.wait({asked}, timeout=attempt.question.timeout_s / 2)
    if asked.done() and asked.result().outcome not in _PORTAL_LIKE:
        return None
    host, port = attempt.registry.host, attempt.question.portal_port
    watch = Stopwatch()
    try:
        async with asyncio.timeout_at(attempt.ends_at):
            stream = await open_stream(host, port, Via(ground=attempt.via.ground), watch=watch)
            async with stream:
                with failures_of(watch):
                    head = await stream.converse(ask(b"GET", "/v2/", authority(host, port)))
    except (StreamFailed, TimeoutError):
        return None  # no answer: the registry's own verdict stands
    return registry_answer.on_port_80(head, host)
