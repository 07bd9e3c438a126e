"""The upstreams that a PAC file stands for, in one network.

Pure. The policy and what its PACs answered come in, a policy comes out in which the network uses, instead of the PAC,
what it names: each an upstream of its own, called `corp → proxy.corp.example:8080`, and `direct` where it says so. So
nothing that probes, chooses or shows upstreams needs to know of a PAC.

Docker has one proxy. Where the PAC sends registries different ways, the first that it sends through a proxy decides;
those that it sends directly are excepted from the proxy, and what is left is said (`splits`).
Not known here: how a PAC is fetched and evaluated, and when (`one_pass/pac.py`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from agent.decide.recognise import is_like
from agent.values.condition import Code, Condition
from agent.values.events import PacTold
from agent.values.listening import is_loopback
from agent.values.pac import PacAnswer, PacFault, Way
from agent.values.policy import DIRECT_NAME, Exclusion, HostPattern, Network, Policy, RegistryUrl, Upstream
from agent.values.settings import ProxyUrl, proxy
from agent.values.snapshot import Snapshot
from agent.values.verdict import IN_OUR_WORDS, Outcome, Verdict

_NAMES: Final = " → "
_SHOWN: Final = 4  # registries in a condition


class Answered(msgspec.Struct, frozen=True):
    """What a PAC says for one registry."""

    registry: RegistryUrl
    answer: PacAnswer

    @property
    def is_direct(self) -> bool:
        """By its first word: what Docker is told to reach without a proxy, it never tries with one."""
        return bool(self.answer.ways) and self.answer.ways[0].is_direct

    @property
    def is_by_proxy(self) -> bool:
        return bool(self.answer.ways) and not self.is_direct


class Said(msgspec.Struct, frozen=True):
    """What the PAC of one upstream says here."""

    answers: tuple[Answered, ...] = ()  # in the order of the registries
    fault: PacFault | None = None  # why there are no answers, or none for the unanswered
    unanswered: tuple[RegistryUrl, ...] = ()  # for which it failed, where it answered for others

    @property
    def ways(self) -> tuple[Way, ...]:
        """Those that Docker can have."""
        found = self._decisive
        return found.answer.ways if found is not None else ()

    @property
    def _decisive(self) -> Answered | None:
        """The first registry that goes by a proxy: the others can be excepted from one, but not the other way round.

        Directly only if all do: of one that it says nothing for, nobody knows that it may.
        """
        by_proxy = next((one for one in self.answers if one.is_by_proxy), None)
        if by_proxy is not None or self.unanswered or not all(one.answer.ways for one in self.answers):
            return by_proxy
        return next(iter(self.answers), None)

    @property
    def excepted(self) -> tuple[Exclusion, ...]:
        """The registries that it sends directly, where others go by a proxy."""
        decisive = self._decisive
        if decisive is None or not decisive.is_by_proxy:
            return ()
        found = (_as_exclusion(one.registry) for one in self.answers if one.is_direct)
        return tuple(dict.fromkeys(entry for entry in found if entry is not None))

    @property
    def split(self) -> tuple[Answered, ...]:
        """What Docker cannot have: the registries that go another way than the one that decides."""
        decisive = self._decisive
        if decisive is None:
            return ()
        others = (one for one in self.answers if one.is_by_proxy)
        return tuple(one for one in others if one.answer.ways != decisive.answer.ways)

    @property
    def silent(self) -> tuple[RegistryUrl, ...]:
        """The registries for which it names no way, where it names one for others."""
        return (*self.unanswered, *(one.registry for one in self.answers if not one.answer.ways))

    @property
    def skipped(self) -> tuple[str, ...]:
        """What of the answers says no way."""
        return tuple(dict.fromkeys(word for one in self.answers for word in one.answer.skipped))

    @property
    def verdict(self) -> Verdict | None:
        """Why there is no way; None: there is one."""
        if self.ways:
            return None
        if self.fault is not None:
            of = f" for {self.unanswered[0].host}" if self.unanswered else ""
            return Verdict(self.fault.outcome, f"its PAC{of}: {self.fault.evidence}")
        return Verdict(Outcome.ERROR, f"its PAC names no way out: {'; '.join(self.skipped) or 'it was not asked'}")


class PacSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What a person should know of a PAC in this network."""

    name: str  # of the upstream
    url: str  # where the script is from; '': there is none
    said: Said
    fetched_at: float | None = None  # of the wall clock
    problem: str = ""  # why it is no newer; '': it is as its server has it
    untrusted: tuple[str, ...] = ()  # the hosts that do not get the password, where there is one


def told(pacs: Iterable[PacSeen], when: Callable[[float], str], *, says_where: bool) -> tuple[PacTold, ...]:
    """As a record has them. `when`: a moment of the wall clock, in words. `says_where`: see `events.judged`."""
    return tuple(_told(one, when, says_where=says_where) for one in pacs)


def _told(pac: PacSeen, when: Callable[[float], str], *, says_where: bool) -> PacTold:
    verdict = pac.said.verdict
    is_in_our_words = says_where or (verdict is not None and verdict.outcome in IN_OUR_WORDS)
    found = PacTold(
        pac.name,
        names=candidate_names(pac.name, pac.said),
        excepted=tuple(map(str, pac.said.excepted)),
        fault=verdict.evidence if verdict is not None and is_in_our_words else "",
    )
    if not says_where:
        return found
    fetched = when(pac.fetched_at) if pac.fetched_at is not None else ""
    return msgspec.structs.replace(found, url=pac.url, fetched=fetched, problem=pac.problem)


def untrusted(upstream: Upstream, said: Said) -> tuple[str, ...]:
    """To whom the password does not go."""
    if not upstream.username:
        return ()
    hosts = dict.fromkeys(way.proxy.host for way in said.ways if way.proxy is not None)
    return tuple(host for host in hosts if not is_trusted(host, upstream.trusted))


def in_the_order_of(before: Said, said: Said) -> Said:
    """What the same script says now, in the order in which it named the same ways before.

    Many spread their load: by chance, or by the second, another proxy comes first. Each would be a restart of Docker,
    while the one in use works and is named.
    """
    known = {one.registry: one.answer for one in before.answers}
    answers = tuple(_in_the_order_of(known.get(one.registry), one) for one in said.answers)
    return msgspec.structs.replace(said, answers=answers)


def _in_the_order_of(before: PacAnswer | None, one: Answered) -> Answered:
    if before is None or {*before.ways} != {*one.answer.ways}:
        return one
    return msgspec.structs.replace(one, answer=msgspec.structs.replace(one.answer, ways=before.ways))


def my_ip(snapshot: Snapshot) -> str:
    """What `myIpAddress()` says: the source of the way to the world, or, where there is none, the first address."""
    for way in (snapshot.way_ipv4, snapshot.way_ipv6):
        if way is not None and way.source is not None:
            return way.source
    addresses = (text for one in snapshot.interfaces if one.is_online and one.is_ground for text in one.ipv4)
    return next((text.partition("/")[0] for text in addresses), "")


def unfold(policy: Policy, network: Network, said: Mapping[str, Said]) -> Policy:
    """The policy in which this network uses what its PACs name. `said`: by the name of the upstream.

    A PAC that says nothing stays in its place, with the reason.
    """
    upstreams = _with_candidates(policy, ((name, _without_the_relay(one, policy)) for name, one in said.items()))
    use = tuple(dict.fromkeys(one for name in network.use for one in upstreams[name].candidates or (name,)))
    unfolded = msgspec.structs.replace(network, use=use)
    networks = tuple(unfolded if one.name == network.name else one for one in policy.networks)
    return msgspec.structs.replace(policy, upstreams=upstreams, networks=networks)


def knowing(policy: Policy, said: Iterable[tuple[str, Said]]) -> Policy:
    """The policy with what its PACs named elsewhere or before, so that Docker's settings are recognised.

    No network uses it. The first of a name counts.
    """
    upstreams = dict(policy.upstreams)
    for name, one in said:
        for candidate in _candidates(upstreams[name], one):
            upstreams.setdefault(candidate.name, candidate)
    return msgspec.structs.replace(policy, upstreams=upstreams)


def candidate(policy: Policy, name: str, excepted: Iterable[str] = ()) -> Upstream | None:
    """The upstream that is called so, if a PAC of this policy may have named it: no more is known than its name."""
    pac, _, way = name.partition(_NAMES)
    upstream, url = policy.upstreams.get(pac), proxy(way)
    if upstream is None or not upstream.is_pac or not isinstance(url, ProxyUrl) or url.credentials:
        return None
    return _candidate(upstream, name, url, (*upstream.no_proxy, *excepted))


def _without_the_relay(said: Said, policy: Policy) -> Said:
    """Whose only way out would be itself: through it every probe works, until it is the one that is chosen."""
    if not policy.relay.enable:
        return said
    kept = tuple(_without(one, policy.relay.port) for one in said.answers)
    found = msgspec.structs.replace(said, answers=kept)
    if said.ways and not found.ways and found.fault is None:
        fault = PacFault(Outcome.ERROR, "names nothing but the relay of this host")
        return msgspec.structs.replace(found, fault=fault)
    return found


def _without(one: Answered, port: int) -> Answered:
    ways = tuple(way for way in one.answer.ways if not _is_relay(way.proxy, port))
    return msgspec.structs.replace(one, answer=msgspec.structs.replace(one.answer, ways=ways))


def _is_relay(url: ProxyUrl | None, port: int) -> bool:
    return url is not None and url.port == port and is_loopback(url)


def _with_candidates(policy: Policy, said: Iterable[tuple[str, Said]]) -> dict[str, Upstream]:
    upstreams = dict(policy.upstreams)
    for name, one in said:
        upstream = policy.upstreams[name]
        upstreams |= {candidate.name: candidate for candidate in _candidates(upstream, one)}
        upstreams[name] = msgspec.structs.replace(upstream, candidates=candidate_names(name, one), fault=one.verdict)
    return upstreams


def _candidates(upstream: Upstream, said: Said) -> list[Upstream]:
    no_proxy = (*upstream.no_proxy, *said.excepted)
    ways = ((way, way.proxy) for way in said.ways)
    return [_candidate(upstream, _name_of(upstream.name, way), url, no_proxy) for way, url in ways if url is not None]


def _candidate(upstream: Upstream, name: str, url: ProxyUrl, no_proxy: tuple[str, ...]) -> Upstream:
    """http and https go alike: the PAC was asked for registries."""
    found = Upstream(name, http=url, https=url, no_proxy=no_proxy, named_by=upstream.name)
    if not is_trusted(url.host, upstream.trusted):
        return found
    return msgspec.structs.replace(
        found,
        username=upstream.username,
        password_file=upstream.password_file,
        password_credential=upstream.password_credential,
        password=upstream.password,
    )


def candidate_names(pac: str, said: Said) -> tuple[str, ...]:
    """What its ways are called, as upstreams."""
    return tuple(_name_of(pac, way) for way in said.ways)


def _name_of(pac: str, way: Way) -> str:
    return DIRECT_NAME if way.is_direct else f"{pac}{_NAMES}{way}"


def name_in_policy(name: str) -> str:
    """Of an upstream: that of the PAC's, where a PAC names it."""
    return name.partition(_NAMES)[0]


def way_in_name(name: str) -> str:
    """`a:8080`, `socks5://a:1080`; '' where no PAC names it."""
    return name.partition(_NAMES)[2]


def is_trusted(host: str, trusted: Iterable[HostPattern]) -> bool:
    """Whether the password may go there. By name alone: what a PAC says is no proof of who answers."""
    name = host.lower().removesuffix(".")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return any(is_like(name, one) for one in trusted if not one.is_of_addresses)
    return any(_is_among(address, one) for one in trusted if not one.is_of_names)


def _is_among(address: ipaddress.IPv4Address | ipaddress.IPv6Address, pattern: HostPattern) -> bool:
    return address in ipaddress.ip_network(pattern) if "/" in pattern else is_like(str(address), pattern)


def _as_exclusion(registry: RegistryUrl) -> Exclusion | None:
    try:
        return Exclusion.parse(registry.host)
    except ValueError:  # Docker could not read it
        return None


def split_of(pac: PacSeen) -> Iterator[Condition]:
    """What Docker cannot have by this PAC without the relay."""
    said = pac.said
    if said.ways and said.silent:
        why = f" ({said.fault.evidence})" if said.fault is not None else ""
        yield Condition(
            Code.PAC_SPLIT,
            f"the PAC of {pac.name} names no proxy for {_listed([one.host for one in said.silent])}{why}; Docker is"
            f" given {said.ways[0]} for it as well",
            "See: docker-proxy-agent pac",
        )
    if not said.split:
        return
    others = [f"{other.registry.host} by {other.answer.ways[0]}" for other in said.split]
    yield Condition(
        Code.PAC_SPLIT,
        f"the PAC of {pac.name} sends {_listed(others)}, but Docker can use only one proxy and is given {said.ways[0]}",
        "To let the PAC decide for each request, set in [relay]: enable = true",
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
