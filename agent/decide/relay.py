"""Whether Docker and its clients are given the relay's address, and what the relay is told.

Pure. One way only: tried → given → failed. What was given up stays given up until a person asks, or the policy is
another: going back and forth would be the restarts that the relay is there to save. A probe through the relay counts
against it only if the upstream works without it.

Not known here: how the relay is started, probed and told (`one_pass/relay.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from agent.decide.choose import Choice, Ending
from agent.decide.desired import for_dockerd
from agent.decide.pac import Said
from agent.values.condition import Code, Condition
from agent.values.errors import AgentError, Unexpected
from agent.values.listening import Backlog
from agent.values.machine_text import lines
from agent.values.policy import Listen, Network, NoProxy, Policy, RegistryUrl, Relay, Upstream
from agent.values.relay import (
    LARGEST_ORDERS,
    Orders,
    RelayPac,
    RelayState,
    RelayUpstream,
    Source,
    orders_file,
)
from agent.values.secret import escaped, without_userinfo
from agent.values.settings import ProxyUrl, Scheme, Settings, agrees
from agent.values.verdict import BY_ITS_LIMITS, Outcome, Verdict

# As an upstream, in what a person reads. No upstream of a policy has a blank in its name (`values/policy_text.py`).
RELAY: Final = "the relay"
LOOPBACK: Final = "127.0.0.1"
LOOPBACK_IPV6: Final = "::1"
MOST_FAILURES: Final = 3
_SEE_ITS_SOCKET: Final = "See: journalctl -u docker-proxy-relay.socket -u docker-proxy-relay -n 20"
TAKES_S: Final = 5.0  # it takes what it is told within milliseconds, and says so within a second
AGAIN_S: Final = 2.0  # as two probes of an upstream in use are apart
# What may pass by itself is given longer: who keeps it busy for some seconds does not decide on a restart of Docker.
SOFT_AGAIN_S: Final = 15.0
_SOFT: Final = frozenset({Outcome.TIMEOUT, Outcome.PROXY_DOWN})
# Which it answers, or what it leads to; one that is down itself is refused, or breaks off.
_MAY_BE_ANOTHERS: Final = frozenset(
    {
        Outcome.PROXY_DOWN,
        Outcome.PROXY_DENIED,
        Outcome.PROXY_AUTH,
        Outcome.TLS,
        Outcome.PORTAL,
        Outcome.REGISTRY,
        Outcome.TIMEOUT,
    }
)
_UNANSWERED: Final = frozenset({Outcome.TIMEOUT, Outcome.ERROR})  # the latter by tcp_abort_on_overflow
CROWD: Final = 64  # connections that wait to be accepted: it takes more at once
MOST_OF_A_SCRIPT: Final = 400 * 1024  # bytes; in JSON they may be six times as many: see `fitting`
_ROOM: Final = 64  # bytes, for a longer generation
MOST_KNOWN: Final = 64  # of what a PAC has named
_EARLY: Final = 0.1  # of that time
PROVES_S: Final = 60.0  # with recheck = "0s", and while the upstreams fail as well

# For ever the same, whatever the policy says: the relay itself knows what is not to go through an upstream.
_ALWAYS: Final = NoProxy()


class Stage(enum.Enum):
    """How far it has come."""

    OFF = "off"  # the policy does not enable it, or it cannot be here
    TRIED = "tried"  # it must answer before Docker is told
    GIVEN = "given"  # Docker and clients have its address
    FAILED = "failed"  # given up


class Relaying(msgspec.Struct, frozen=True):
    """What is known of the relay."""

    stage: Stage = Stage.OFF
    failures: int = 0  # in a row, each while the upstream worked without it
    asked: float | None = None  # CLOCK_BOOTTIME; None: not yet
    because: str = ""  # how the last probe through it failed; where it is given up or cannot be: why
    is_soft: bool = False  # that failure may pass by itself
    is_full: bool = False  # others kept it busy, which is no failure of its own
    is_crowded: bool = False  # so full that a probe had no answer, which may have another reason as well
    is_by_pac: bool = False  # it may have gone a way that a PAC names and nobody has tried, which is none either

    @property
    def is_used(self) -> bool:
        """Whether it is to work."""
        return self.stage in (Stage.TRIED, Stage.GIVEN)


def begun(*, is_in_docker: bool, gave_up: str = "") -> Relaying:
    """As a policy asks for it. `is_in_docker`: Docker has its address already: an agent before this has seen it work.

    `gave_up`: why it was given up by an earlier agent.
    """
    if gave_up:
        return Relaying(Stage.FAILED, because=gave_up)
    return Relaying(Stage.GIVEN if is_in_docker else Stage.TRIED)


def is_due(relaying: Relaying, now: float, recheck_s: float, *, is_doubted: bool = False) -> bool:
    """Whether it is to be probed in this pass. `is_doubted`: it says itself that something is wrong."""
    if not relaying.is_used:
        return False
    at = next_at(relaying, recheck_s)
    if relaying.asked is None or at is None:
        return True
    if relaying.failures or relaying.is_full:
        return now >= at
    if relaying.stage is Stage.TRIED or is_doubted:  # in any pass, but not in each of a storm
        return now >= relaying.asked + AGAIN_S
    # With the upstreams, which were asked a moment before it: else each would have a timer of its own.
    return now >= at - (recheck_s or PROVES_S) * _EARLY


def next_at(relaying: Relaying, recheck_s: float) -> float | None:
    """When it is to be probed without any other reason for a pass; None: only in the next pass, or not at all."""
    if not relaying.is_used or relaying.asked is None:
        return None
    if relaying.failures or relaying.is_full:
        return relaying.asked + (SOFT_AGAIN_S if relaying.is_soft else AGAIN_S)
    return relaying.asked + (recheck_s or PROVES_S)


def deaf(told: Orders | None, told_at: float | None, state: RelayState | None, now: float) -> str:
    """Why it does not go by what it was told, although it had the time; '' if it does, or may yet, or says nothing."""
    if told is None or told_at is None or state is None or state.generation == told.generation:
        return ""
    if now < told_at + TAKES_S:
        return ""
    why = f": {said(state)}" if state.problem else ""
    return f"it uses generation {state.generation} of its orders, not {told.generation}{why}"


def said(state: RelayState) -> str:
    """What it says is wrong, for a person: another user's text."""
    return escaped(without_userinfo(state.problem))


def after(relaying: Relaying, through: Verdict, without: Verdict | None, now: float, *, crowd: str = "") -> Relaying:
    """After a probe. `through` the relay; `without` it, by the upstream alone, asked at the same time.

    `crowd`: who else wanted to connect to it meanwhile.
    """
    if through.is_ok:
        return Relaying(Stage.GIVEN, asked=now)
    because = in_words(through)
    is_crowded = bool(crowd) and through.outcome in _UNANSWERED
    asked = msgspec.structs.replace(
        relaying,
        asked=now,
        because=f"{because}; {crowd}" if is_crowded else because,
        is_soft=through.outcome in _SOFT or is_crowded,
        is_full=is_crowded or is_full(through),
        is_crowded=is_crowded,
        is_by_pac=False,
    )
    if asked.is_full or without is None or not without.is_ok:  # it says nothing of the relay
        return asked
    failures = relaying.failures + 1
    stage = Stage.FAILED if failures >= MOST_FAILURES else relaying.stage
    return msgspec.structs.replace(asked, stage=stage, failures=failures)


def in_words(through: Verdict) -> str:
    """What a probe through it said."""
    return through.outcome.value + (f": {through.evidence}" if through.evidence else "")


def by_a_pac(relaying: Relaying, through: Verdict, now: float) -> Relaying:
    """After a probe that says nothing of the relay, for each registry goes a way that a PAC names at that moment."""
    return msgspec.structs.replace(after(relaying, through, None, now), is_by_pac=True)


def is_the_last_try(relaying: Relaying) -> bool:
    """Whether one more failure gives it up: before Docker is restarted for it, it is started anew itself."""
    return relaying.stage is Stage.GIVEN and relaying.failures == MOST_FAILURES - 1


def is_full(through: Verdict) -> bool:
    """Whether it turned the probe away for its limits, by its own word: it works, and others keep it busy."""
    return through.outcome is Outcome.PROXY_DOWN and through.evidence.endswith(BY_ITS_LIMITS)


def crowd_at(before: Backlog | None, after: Backlog | None) -> str:
    """Why a connection to the relay may not have had its turn, by its listening socket before and after; '' if it had.

    Any user of this host may connect to it as often as he likes.
    """
    if after is None:
        return ""
    is_same = before is not None and before.cookie == after.cookie
    dropped = after.dropped - before.dropped if before is not None and is_same else 0
    if dropped > 0:
        return f"{dropped} connections to it were dropped, because so many came"
    if after.waiting >= min(CROWD, max(1, after.most)):
        return f"{after.waiting} connections waited for it to accept them"
    return ""


def may_be_by_another(through: Verdict, pac: RelayPac, said: Said) -> bool:
    """Whether it failed by the way that the PAC names for one registry, and not by the chosen one: no failure of its
    own. It goes by that where it has to ask.

    One that does not answer may as well hang: only a registry that goes by the chosen upstream tells.
    """
    if through.outcome not in _MAY_BE_ANOTHERS or is_full(through):
        return False
    if through.outcome is Outcome.TIMEOUT and not settled_in(pac, said):
        return False
    asked = (*(one.registry for one in said.answers), *said.unanswered)
    return any(not _is_settled(one, pac) for one in asked)


def settled_in(pac: RelayPac, said: Said) -> tuple[RegistryUrl, ...]:
    """The registries that it leads by the chosen upstream, whatever the PAC says at that moment."""
    return tuple(one.registry for one in said.answers if _is_settled(one.registry, pac))


def _is_settled(registry: RegistryUrl, pac: RelayPac) -> bool:
    return f"{registry.host}:{registry.port}" in pac.settled


def anew(relaying: Relaying) -> Relaying:
    """A person asks to try again whatever was given up."""
    return Relaying(Stage.TRIED) if relaying.stage is Stage.FAILED else relaying


def conditions(relaying: Relaying, *, is_enabled: bool) -> tuple[Condition, ...]:
    """What a person should know of it."""
    match relaying.stage:
        case Stage.OFF if is_enabled and relaying.because:
            return (Condition(Code.BLOCKED, f"no relay: {relaying.because}", "Set relay.enable = false"),)
        case Stage.FAILED:
            text = f"the relay does not work, so Docker uses the upstreams themselves: {relaying.because}"
            remedy = "See: journalctl -u docker-proxy-relay. When it is fixed, run: docker-proxy-agent reload"
            return (Condition(Code.RELAY_FAILED, text, remedy),)
        case Stage.TRIED | Stage.GIVEN if relaying.is_crowded:
            text = f"while many connect to the relay, a probe through it had no answer: {relaying.because}"
            remedy = "See who connects: sudo ss -tnp. See also: journalctl -u docker-proxy-relay"
            return (Condition(Code.RELAY_FAILED, text, remedy),)
        case Stage.TRIED | Stage.GIVEN if relaying.is_by_pac:
            text = f"a probe through the relay failed, perhaps at a proxy that only the PAC names: {relaying.because}"
            remedy = "See: journalctl -u docker-proxy-relay; docker-proxy-agent pac"
            return (Condition(Code.RELAY_FAILED, text, remedy),)
        case Stage.TRIED | Stage.GIVEN if relaying.is_full:
            text = f"others have more connections to the relay than it serves, and a probe got none: {relaying.because}"
            return (
                Condition(Code.RELAY_FAILED, text, "See who has them: sudo ss -tnp. Or raise relay.max_connections"),
            )
        case Stage.TRIED | Stage.GIVEN if relaying.failures:
            text = f"{relaying.failures} of {MOST_FAILURES} probes through the relay failed: {relaying.because}"
            return (Condition(Code.RELAY_FAILED, text, "See: journalctl -u docker-proxy-relay"),)
    return ()


def without_a_policy(relayed: Relayed, in_docker: Iterable[Settings]) -> Condition | None:
    """Docker has its address, and there is no policy to say where it should go. What it was told before stays."""
    if relayed.generation or all(relayed.port_in(one) is None for one in in_docker):
        return None
    text = "Docker has the relay's address, but without a policy the relay leads nowhere"
    return Condition(Code.RELAY_FAILED, text, "See: docker-proxy-agent check")


def by_a_pause(kept: str, verdict: Verdict | None, through: Verdict | None) -> str:
    """Why the way that a pause keeps may lead nowhere here; '' if it does not. `verdict`: None: not asked here.

    `through` the relay: as it is told, which may be without a password that the policy has, and if it listens at all.
    """
    if verdict is not None and verdict.is_ok:
        if through is None or through.is_ok:
            return ""
        return f"while the agent is paused, the relay reaches no registry, although {kept} works: {in_words(through)}"
    how = f"does not work here: {verdict.outcome.value}" if verdict is not None else "must not be used here"
    return f"while the agent is paused, the relay uses {kept}, which {how}"


def goes_by_last_orders(chosen: Chosen, used: str | None, *, is_paused: bool) -> bool:
    """Whether only a probe through it tells if it leads out: it is told nothing of this choice, and what it uses fails.

    In a pause nothing else would tell that it does not run, or has no password. A portal answers through it as well,
    and on arrival no choice waits for more probes.
    """
    is_told = chosen.choice.upstream is not None and not is_paused
    if is_told or chosen.choice.ending in (Ending.PORTAL, Ending.WAITING):
        return False
    if is_paused:
        return True
    verdict = chosen.verdicts.get(used or "")
    return verdict is None or not verdict.is_ok


def may_be_asked_through(told: Orders, chosen: Chosen, upstreams: Mapping[str, Upstream]) -> bool:
    """Whether a probe through it sends no password that this network must not see, or that is known to be refused."""

    def may_be_sent(one: RelayUpstream) -> bool:
        urls = (one.http, one.https)
        if all(url is None or url.credentials is None for url in urls):
            return True
        if one.name not in chosen.network.use:
            return False
        verdict, known = chosen.verdicts.get(one.name), upstreams.get(one.name)
        if verdict is None or verdict.outcome is not Outcome.PROXY_AUTH:
            return True
        return known is not None and urls != (known.http_with_credentials, known.https_with_credentials)

    return all(map(may_be_sent, (*told.upstreams, *(told.pac.known if told.pac is not None else ()))))


class Chosen(msgspec.Struct, frozen=True):
    """What a pass has found and chosen, for the relay."""

    network: Network
    verdicts: Mapping[str, Verdict]  # also on those whose password was refused before
    choice: Choice


class Silence(msgspec.Struct, frozen=True):
    """Docker has its address, and the relay does not listen there, or nobody is behind its sockets."""

    ports: tuple[int, ...] = ()
    because: str = ""  # why it could not be brought up again
    is_paused: bool = False  # then nobody tries

    @property
    def verdict(self) -> Verdict:
        return Verdict(Outcome.REFUSED, self._words)

    @property
    def condition(self) -> Condition:
        text = f"Docker has the relay's address, but {self._words}" + (f": {self.because}" if self.because else "")
        remedy = "Run: docker-proxy-agent resume" if self.is_paused else _SEE_ITS_SOCKET
        return Condition(Code.RELAY_FAILED, text, remedy)

    @property
    def _words(self) -> str:
        does_not = "come up" if self.because else "listen"
        return f"the relay does not {does_not} at {', '.join(f'{LOOPBACK}:{port}' for port in self.ports)}"


class Relayed(msgspec.Struct, frozen=True):
    """The relay in one pass."""

    relay: Relay = Relay()
    relaying: Relaying = Relaying()
    earlier: tuple[int, ...] = ()  # the ports of earlier policies at which Docker has it; where it runs with it first
    upstream: str | None = None  # that it uses now; None: none of the policy's
    generation: int = 0  # of what it is told
    state: RelayState | None = None  # what it says of itself; None: it does not run, or that does not count
    fault: AgentError | None = None  # why it could not be told, or kept
    comes_up: bool = False  # it does not listen everywhere yet, and is brought up as soon as it may be
    stays: str = ""  # why the way that a pause keeps may lead nowhere
    # What a probe through it said, where it goes by its last orders and the verdicts on upstreams do not tell whether
    # these lead out; None: they do tell, or it was not asked.
    through: Verdict | None = None
    silence: Silence = Silence()
    is_assumed: bool = False  # it is to be tried first, and is taken for one that works
    # Where containers were given it (`host:port`):
    listens: tuple[str, ...] = ()  # and it was brought up
    leaving: tuple[str, ...] = ()  # it listens there only as long as Docker has it
    gone: tuple[str, ...] = ()  # it does not listen there any more
    taken: Mapping[str, str] = {}  # somebody else listens there, and who

    @property
    def leads_out(self) -> bool:
        """Whether it was seen to lead to a registry by its last orders, whatever the upstreams do now."""
        return self.through is not None and self.through.is_ok

    def for_what_it_uses(self, verdict: Verdict | None) -> Verdict | None:
        """How what Docker uses does, by the verdict on that upstream alone: one that fails itself says more."""
        if self.through is None or (not self.through.is_ok and verdict is not None and not verdict.is_ok):
            return verdict
        return self.through

    @property
    def address(self) -> Settings:
        """What a dockerd runs with that uses it, whether or not it should."""
        return for_docker(self.relay)

    def port_in(self, settings: Settings) -> int | None:
        """At which port these settings of a dockerd lead to it; None: they do not."""
        return port_had([settings], (self.relay.port, *self.earlier))

    @property
    def given(self) -> Relay | None:
        """As Docker and clients are given it; None: they are given the upstream itself."""
        if self.relaying.stage is Stage.GIVEN:
            return self.relay
        # At another port it has to show first that it works: until then it is had where it does.
        is_moving = self.relaying.stage is Stage.TRIED and bool(self.earlier)
        return msgspec.structs.replace(self.relay, port=self.earlier[0]) if is_moving else None

    @property
    def for_docker(self) -> Settings | None:
        return for_docker(self.given) if self.given is not None else None

    @property
    def for_clients(self) -> Upstream | None:
        return for_clients(self.given) if self.given is not None else None

    @property
    def is_broken(self) -> bool:
        return self.relaying.stage is Stage.FAILED

    def is_dead_for(self, running: Settings) -> bool:
        """Whether a dockerd that runs with these settings uses a relay that was given up, or is not there."""
        port = self.port_in(running)
        return port is not None and (self.is_broken or port in self.silence.ports)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        known = conditions(self.relaying, is_enabled=self.relay.enable)
        if self.stays:
            known = (*known, Condition(Code.RELAY_FAILED, self.stays, "Run: docker-proxy-agent resume"))
        elif self.silence.ports and not (self.relaying.is_used and known):
            known = (*known, self.silence.condition)
        if self.fault is None:
            return known
        code = Code.INTERNAL_ERROR if isinstance(self.fault, Unexpected) else Code.RELAY_NOT_KEPT
        return (*known, Condition(code, f"the relay: {self.fault.what}", self.fault.remedy, self.fault.where))


# What Docker and clients are given.


def as_upstream(port: int) -> Upstream:
    """The relay, as this host asks it."""
    url = ProxyUrl(Scheme.HTTP, LOOPBACK, port)
    return Upstream(RELAY, http=url, https=url)


def is_the_relay(upstream: Upstream) -> bool:
    """Whether clients are given the relay, and not an upstream of the policy."""
    return upstream.name == RELAY


def for_docker(relay: Relay) -> Settings:
    """What dockerd is given: the same for every choice, for ever."""
    return for_dockerd(as_upstream(relay.port), _ALWAYS)


def port_had(in_docker: Iterable[Settings], ports: Iterable[int]) -> int | None:
    """The first of these ports at which a dockerd with one of these settings has the relay."""
    had = tuple(in_docker)
    return next((port for port in ports if any(agrees(one, for_docker(Relay(port=port))) for one in had)), None)


def for_clients(relay: Relay) -> Upstream | None:
    """What clients are given, at the address of the bridge (`decide/clients.py`); None: the upstream itself, for the
    relay is out of their reach.
    """
    return as_upstream(relay.port) if Listen.BRIDGE in relay.listen else None


def exclusions_of_clients(policy: NoProxy) -> NoProxy:
    """Theirs beside the relay: the same in every place, for what an upstream excludes is the relay's business.

    What the policy excludes is theirs, too: the relay knows no name of Compose's, and leads no container to another.
    """
    always = tuple(dict.fromkeys((*NoProxy().always, *policy.always)))
    return NoProxy(always=always, private_networks=policy.private_networks)


def addresses(relay: Relay, bridge: str | None, *, has_ipv6: bool) -> tuple[str, ...]:
    """Where it listens, as systemd writes it."""
    hosts = [LOOPBACK, *([f"[{LOOPBACK_IPV6}]"] if has_ipv6 else [])]
    if Listen.BRIDGE in relay.listen and bridge is not None:
        hosts.append(bridge)
    return tuple(f"{host}:{relay.port}" for host in hosts)


def listening(where: Sequence[str]) -> str:
    """The drop-in of its socket unit."""
    listed = "".join(f"ListenStream={one}\n" for one in where)
    about = "# Written by docker-proxy-agent, from its policy and the address of Docker's bridge."
    return f"{about}\n[Socket]\nListenStream=\n{listed}"


def listened(drop_in: str) -> tuple[str, ...]:
    """Where it listens by that."""
    found = (line.partition("=") for line in lines(drop_in))
    return tuple(value for key, _, value in found if key == "ListenStream" and value)


def ports_of(where: Sequence[str]) -> tuple[int, ...]:
    """At which it listens there for dockerd."""
    ports = (one.removeprefix(f"{LOOPBACK}:") for one in where if one.startswith(f"{LOOPBACK}:"))
    return tuple(int(port) for port in ports if port.isdecimal())


def ends_of_containers(where: Iterable[str]) -> frozenset[str]:
    """Those of these addresses that a container can be given."""
    return frozenset(one for one in where if one.rpartition(":")[0] not in (LOOPBACK, f"[{LOOPBACK_IPV6}]"))


def bridge_of(where: Sequence[str]) -> str | None:
    """The address of the bridge among them; the bridge itself may be gone now, or not there yet."""
    hosts = (one.rpartition(":")[0] for one in where)
    return next((host for host in hosts if host not in (LOOPBACK, f"[{LOOPBACK_IPV6}]")), None)


# What the relay is told.

_NO_VERDICTS: Final[Mapping[str, Verdict]] = {}
# An account may be locked; a portal answers anything.
_NOT_TRIED: Final = frozenset({Outcome.PROXY_AUTH, Outcome.PORTAL})


def ways_out(network: Network, choice: Choice, verdicts: Mapping[str, Verdict]) -> tuple[str, ...]:
    """The upstreams in their order: the chosen one, then those that stand behind it, then those before it.

    A pin leaves no other.
    """
    chosen = choice.upstream
    if chosen is None:
        return ()
    if choice.is_pinned:
        return (chosen,)
    place = network.use.index(chosen) if chosen in network.use else -1
    others = (*network.use[place + 1 :], *network.use[: max(place, 0)])
    return (chosen, *(name for name in others if not _is_out(verdicts.get(name))))


def _is_out(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.outcome in _NOT_TRIED


def orders(  # noqa: PLR0913 - named at its one call
    policy: Policy,
    names: Sequence[str],
    owners: Mapping[str, int | None],
    *,
    ca_file: str = "",
    internal: tuple[str, ...] = (),
    told: tuple[str, ...] | None = None,
    verdicts: Mapping[str, Verdict] = _NO_VERDICTS,
    pac: RelayPac | None = None,
) -> Orders:
    """What is in relay.json but for the generation. `owners`: the uids of the users that `owner` names."""
    relay = policy.relay
    sources = (Source.LOOPBACK, *((Source.CONTAINERS,) if Listen.BRIDGE in relay.listen else ()))
    return Orders(
        generation=0,
        upstreams=tuple(_way_out(policy.upstreams[name], owners, verdicts.get(name)) for name in names),
        no_proxy=tuple(map(str, policy.no_proxy.always)),
        sources=sources,
        log=relay.log,
        max_connections=relay.max_connections,
        ca_file=ca_file,
        internal=internal,
        told=told,
        pac=pac,
    )


def excluded_by_all(policy: Policy, network: Network) -> tuple[str, ...]:
    """What goes directly whichever upstream of this network is chosen, so also while none is."""
    proxies = [one for name in network.use if (one := policy.upstreams.get(name)) is not None and not one.is_direct]
    each = [tuple(map(str, one.no_proxy)) for one in proxies]
    return tuple(entry for entry in each[0] if all(entry in other for other in each[1:])) if each else ()


def pac_in_force(policy: Policy, choice: Choice) -> Upstream | None:
    """The PAC that decides for each request: the one that names the chosen upstream.

    None: whoever pins `direct` wants that for everything, and so does who lists it in `use` for when the PAC fails.
    """
    upstream = policy.upstreams.get(choice.upstream or "")
    if upstream is None or (upstream.is_direct and choice.is_pinned):
        return None
    named_by = (one for one in policy.upstreams.values() if one.is_pac and upstream.name in one.candidates)
    return next((one for one in named_by if upstream.is_direct or one.name == upstream.named_by), None)


def relay_pac(  # noqa: PLR0913 - named at its one call
    policy: Policy,
    pac: Upstream,
    script: str,
    my_ip: str,
    *,
    verdicts: Mapping[str, Verdict] = _NO_VERDICTS,
    said: Said | None = None,
) -> RelayPac | None:
    """What the relay is told of it; None: the script is too long, and what it says of the registries is for all."""
    if len(script.encode()) > MOST_OF_A_SCRIPT:
        return None
    # Not what it named elsewhere: nobody has asked that here, and it gets no password.
    named = (one for name in pac.candidates if (one := policy.upstreams[name]).named_by == pac.name)
    known = tuple(_way_out(one, {}, verdicts.get(one.name)) for one in named)
    return RelayPac(
        pac.name,
        script,
        my_ip,
        no_proxy=tuple(map(str, pac.no_proxy)),
        settled=settled(said) if said is not None else (),
        known=known[:MOST_KNOWN],
    )


def settled(said: Said) -> tuple[str, ...]:
    """The registries that go by the upstreams that the agent has chosen from: it has asked about them already.

    A PAC that is asked once more may answer otherwise, as by chance, and a relay that goes by that would not go where
    the agent has seen it work. The others, which it sends another way, the relay has to ask about.
    """
    if not said.ways:
        return ()
    excepted = {str(entry) for entry in said.excepted}
    others = {one.registry for one in said.split}
    by_orders = (
        one.registry
        for one in said.answers
        if one.answer.ways and one.registry not in others and (one.is_by_proxy or said.ways[0].is_direct)
    )
    directly = (one.registry for one in said.answers if one.is_direct and one.registry.host in excepted)
    return tuple(dict.fromkeys(f"{one.host}:{one.port}" for one in (*by_orders, *directly)))


def fitting(wanted: Orders) -> Orders:
    """What can be written: without a script that makes it too long, what the PAC says of the registries is for all."""
    if wanted.pac is None or len(orders_file(wanted)) + _ROOM <= LARGEST_ORDERS:
        return wanted
    return msgspec.structs.replace(wanted, pac=None)


def _way_out(upstream: Upstream, owners: Mapping[str, int | None], verdict: Verdict | None) -> RelayUpstream:
    # Where it is not a PAC's, another verdict is nothing that the relay has to know, and no new generation.
    works = verdict.is_ok if verdict is not None and upstream.named_by else None
    is_out = _is_out(verdict)  # also where nothing else is left: whoever asks the relay would send it again and again
    return RelayUpstream(
        upstream.name,
        http=upstream.http if is_out else upstream.http_with_credentials,
        https=upstream.https if is_out else upstream.https_with_credentials,
        no_proxy=tuple(map(str, upstream.no_proxy)),
        owner=upstream.owner,
        owner_uid=owners.get(upstream.owner) if upstream.owner else None,
        named_by=upstream.named_by,
        works=works,
    )


def without_passwords(told: Orders, network: Network, refused: Collection[ProxyUrl] = ()) -> Orders:
    """The same, but what this network does not use gets no password here, as in a probe (`may_be_asked`).

    `refused`: what else gets none, with the password that it has.
    """
    return without_refused(_each(told, lambda one: one if one.name in network.use else _bare(one)), refused)


def without_refused(told: Orders, refused: Collection[ProxyUrl]) -> Orders:
    """The same, but what is among these, with the password that it has, gets none."""
    ways = {*refused}
    return _each(told, lambda one: one if ways.isdisjoint((one.http, one.https)) else _bare(one))


def _bare(upstream: RelayUpstream) -> RelayUpstream:
    http, https = (url.without_credentials() if url is not None else None for url in (upstream.http, upstream.https))
    return msgspec.structs.replace(upstream, http=http, https=https)


def _each(told: Orders, changed: Callable[[RelayUpstream], RelayUpstream]) -> Orders:
    """With the upstreams changed, and those that a PAC names."""
    pac = told.pac
    if pac is not None:
        pac = msgspec.structs.replace(pac, known=tuple(map(changed, pac.known)))
    return msgspec.structs.replace(told, upstreams=tuple(map(changed, told.upstreams)), pac=pac)


def with_passwords(
    told: Orders, network: Network, upstreams: Mapping[str, Upstream], refused: Collection[ProxyUrl] = ()
) -> Orders:
    """The same, but what was told without its password has it where this network uses it. What has one keeps that."""

    def whole(upstream: RelayUpstream) -> RelayUpstream:
        known = upstreams.get(upstream.name) if upstream.name in network.use else None
        if known is None or (upstream.http, upstream.https) != (known.http, known.https):
            return upstream
        http, https = known.http_with_credentials, known.https_with_credentials
        if not refused_here.isdisjoint((http, https)):
            return upstream
        return msgspec.structs.replace(upstream, http=http, https=https)

    refused_here = {*refused}
    return _each(told, whole)


def refused_ways(upstreams: Mapping[str, Upstream], verdicts: Mapping[str, Verdict]) -> frozenset[ProxyUrl]:
    """The proxies, with the passwords of the policy, that the relay is not given by these verdicts."""
    known = (upstreams[name] for name, verdict in verdicts.items() if name in upstreams and _is_out(verdict))
    ways = (way for one in known for way in (one.http_with_credentials, one.https_with_credentials))
    return frozenset(way for way in ways if way is not None and way.credentials)


def follows(before: Orders | None, wanted: Orders, latest: int = 0) -> Orders | None:
    """What is to be written; None: the relay has it already. Another generation is always a later one.

    `latest`: that this agent has written, should somebody have removed it.
    """
    if before is not None and before == msgspec.structs.replace(wanted, generation=before.generation):
        return None
    return msgspec.structs.replace(wanted, generation=max(latest, before.generation if before is not None else 0) + 1)


def first_of(orders: Orders | None, names: Collection[str]) -> str | None:
    """The upstream of the policy that the relay uses by these orders; None: none, or not known."""
    if orders is None or not orders.upstreams:
        return None
    return orders.upstreams[0].name if orders.upstreams[0].name in names else None
