"""A connection to host:port by the orders: through the first upstream, and if that fails once through the next.

Destinations that a container may not reach are refused here, by the address that would be connected to. A name that
goes to a proxy on this host is looked up here as well, because that proxy would connect from here. What a distant proxy
resolves is not checked; nor is a name that nobody here knows, unless the proxy is a container and the name has no dot:
then it may be a container's name.
Not known here: who asks (`who.py`), and what is sent (`conversation.py`, `outward.py`).
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from agent.probe.dial import Address, Ground, Resolve, dial, from_here, in_a_thread
from agent.probe.exchange import Dialogue
from agent.probe.guard import Guard
from agent.probe.reading import read
from agent.probe.stopwatch import Step, Stopwatch
from agent.probe.stream import Stream, StreamFailed, Via, conversed, failures_of, open_proxy
from agent.probe.through_proxy import handshake
from agent.probe.tls import Trust
from agent.relay import refusals
from agent.relay.by_pac import ByPac
from agent.relay.limits import Whose, counts_for
from agent.relay.names import Names
from agent.relay.own_pages import own_page
from agent.relay.refusals import Refusal
from agent.relay.turns import LARGE_HEAD, Turns
from agent.relay.used_ports import UsedPorts
from agent.relay.ways import Way, Ways
from agent.relay.where import Near, forbidden, is_localhost, literal
from agent.relay.who import NotYetKnown
from agent.see import netlink
from agent.values.listening import Listener, unmapped
from agent.values.relay import Source
from agent.values.settings import ProxyUrl, Scheme
from agent.values.verdict import BY_ITS_LIMITS, Outcome, Timings

WITHIN_S: Final = 10.0
_OF_WHAT_IS_LEFT: Final = 0.6  # if there is another to be tried after it
_THIS_HOST: Final = "127.0.0.1"  # of its look-ups, all addresses are one source
_CHECKED_WITHIN_S: Final = 4.0  # before the proxy itself is too late
_READ: Final = 64 * 1024
# Addresses of a name: its name server decides how many there are, up to some thousands. Each costs a question to the
# kernel, or a socket.
_TRIED: Final = 8  # of each family: more are not reached within the time
_MOST_JUDGED: Final = 64  # if a proxy is to choose among them
_AT_ONCE: Final = 4  # then others have their turn
_ASKS_AGAIN_S: Final = 0.25  # where the kernel has not answered yet
_ASKED_AGAIN: Final = 16
LOOKS_S: Final = 1.0  # the agent needs 0.3 s, and more where a gateway does not answer
_LOOKS: Final = 50  # of ours, meanwhile, at the orders
_ITSELF: Final = "that is the relay itself"

# Failures of the upstream, not of the destination: another upstream may do better. A proxy that denies has answered:
# what a company forbids is not tried another way.
_NEXT: Final = frozenset(set(Outcome) - {Outcome.OK, Outcome.PROXY_DENIED})
_UNKNOWN: Final = frozenset({socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_AGAIN, socket.EAI_FAIL})
_ITS_OWN: Final = frozenset({Step.RESOLVE, Step.CONNECT})  # of a proxy: it was not even reached

_T = TypeVar("_T")


class Asked(msgspec.Struct, frozen=True):
    """What a client wants."""

    host: str
    port: int
    source: Source
    peer: str  # its address
    is_tunnel: bool = True  # else it is a request for an http URL
    path: bytes = b""  # of that, with the query
    is_switch: bool = False  # and that offers another protocol: what follows it may be anything
    is_roots: Callable[[], bool] = lambda: False  # whether root of this host wants it, as dockerd is


class NotOpened(Exception):
    """No way led there; what the client is told."""

    def __init__(self, refusal: Refusal, upstream: str = "") -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal
        self.upstream = upstream


class _Forbidden(Exception):
    """Not an OSError: no other address is tried."""


class _ByOthers(Exception):
    """Orders came while the way was being opened, and have another password for it, or none."""


class _TooMany(Exception):
    """Nor is it then."""


class Opened:
    """Bytes to and from the end, or to a proxy that is to be asked for a whole URL. Close it, or take its socket."""

    __slots__ = ("_loop", "_over", "_received", "is_to_proxy", "way")

    def __init__(
        self, way: Way, over: socket.socket | Stream, received: bytes = b"", *, is_to_proxy: bool = False
    ) -> None:
        self.way = way
        self.is_to_proxy = is_to_proxy
        self._over = over
        self._received = received
        self._loop = asyncio.get_running_loop()

    async def read(self) -> bytes:
        """At least one byte; b"" at the end. OSError if it broke off."""
        if self._received:
            taken, self._received = self._received, b""
            return taken
        if isinstance(self._over, Stream):
            return await self._over.read()
        return await read(self._over, _READ)

    async def write(self, data: bytes) -> None:
        if isinstance(self._over, Stream):
            await self._over.write(data)
        else:
            await self._loop.sock_sendall(self._over, data)

    async def shake(self, dialogue: Dialogue[bytes], turn: Callable[[], Awaitable[None]]) -> None:
        """Run the handshake with a proxy. `turn`: before more of a large answer is read."""
        held = 0

        async def heard() -> bytes:
            nonlocal held
            came = await self.read()
            held += len(came)
            if held > LARGE_HEAD:
                await turn()
            return came

        self._received = await conversed(dialogue, heard, self.write)

    async def aclose(self) -> None:
        """At once."""
        if isinstance(self._over, Stream):
            await self._over.aclose()
        else:
            self._over.close()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come that was not read, not even the end."""
        if isinstance(self._over, Stream):
            return self._over.is_quiet and not self._received
        try:
            self._over.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return not self._received
        except OSError:
            pass
        return False

    def note_poured(self, count: int) -> None:
        """So many bytes came from the end, and were not read by this."""

    def taken(self) -> tuple[socket.socket | Stream, bytes]:
        """For a tunnel: what it goes over, and what has been received of it already. This is not used any more."""
        return self._over, self._received

    @property
    def connected(self) -> socket.socket:
        """To look at its addresses."""
        return self._over if isinstance(self._over, socket.socket) else self._over.connected


class Failures(Protocol):
    """Is told of upstreams that fail."""

    def note_failed(self, upstream: str, failure: StreamFailed, used: str = "", /) -> None: ...


class _Owner(msgspec.Struct, frozen=True):
    """The sockets of this host, and one user, whom the agent has named."""

    name_: str
    uid_: int | None

    def listeners(self, port: int, addresses: Iterable[str]) -> Sequence[Listener]:
        return netlink.listeners(port, addresses)

    def uid(self, name: str) -> int | None:
        return self.uid_ if name == self.name_ else None

    def name(self, uid: int) -> str:
        return self.name_ if uid == self.uid_ else ""


class Opening:
    """Of one relay."""

    def __init__(  # noqa: PLR0913 - all but three are named
        self,
        failures: Failures,
        near: Near,
        own_ports: Collection[int] = (),
        *,
        resolve: Resolve = in_a_thread,
        by_pac: ByPac | None = None,
        whose: Whose = list,
    ) -> None:
        """`whose`: the sources that addresses of containers count for, where something is scarce."""
        self._failures = failures
        self._by_pac = by_pac
        self._own_ports = own_ports  # that the relay itself listens at
        self._names = Names(resolve, whose)
        self._whose = whose
        self._used_ports = UsedPorts(whose)
        self._near = near
        self._heads = Turns(1)
        self._handshakes = Turns(1)
        self._judging = Turns(2)
        self._trust: tuple[str, Trust] | None = None
        self._moved_at = -LOOKS_S  # of the loop's clock

    async def open(self, asked: Asked, ways: Ways) -> Opened:
        """Raises NotOpened."""
        await self._check_spelled(asked)
        possible = await self._possible(asked, ways)
        until = asyncio.get_running_loop().time() + WITHIN_S
        while True:
            try:
                return await self._open(asked, possible, ways, until)
            except _ByOthers:  # this host may be elsewhere by now
                ways = ways.latest
                possible = await self._possible(asked, ways)

    async def _open(self, asked: Asked, possible: Sequence[Way], ways: Ways, until: float) -> Opened:
        if not possible:
            raise NotOpened(refusals.not_ready("no upstream is chosen here"))
        loop, failed = asyncio.get_running_loop(), list[tuple[Way, StreamFailed]]()
        for way, following in zip(possible, (*possible[1:], None), strict=True):
            left_s = until - loop.time()
            try:
                opened = await self._attempt(
                    asked, way, ways, left_s if following is None else left_s * _OF_WHAT_IS_LEFT
                )
            except StreamFailed as failure:
                failed.append((way, failure))
                if failure.outcome not in _NEXT or (
                    following is not None and following.is_last_resort and not _is_the_ways(way, failure)
                ):
                    break
            else:
                if failed:
                    first, why = failed[0]
                    self._failures.note_failed(first.upstream, why, way.upstream)
                return opened
        for tried, why in failed:
            self._note(tried, why)
        first, why = failed[0]
        raise NotOpened(_told(asked, first, why), first.upstream) from why

    async def _possible(self, asked: Asked, ways: Ways) -> tuple[Way, ...]:
        pac = ways.orders.pac
        if pac is not None and self._by_pac is not None and ways.is_for_the_pac(asked.host, asked.port):
            named = await self._by_pac.ways(
                pac,
                asked.host,
                asked.port,
                is_tunnel=asked.is_tunnel,
                container=asked.peer if asked.source is Source.CONTAINERS else "",
                is_roots=asked.is_roots,
            )
            if named:
                return ways.by(named)
        return ways.to(asked.host, asked.port, is_tunnel=asked.is_tunnel)

    def note_moved(self) -> None:
        """This host has got or lost an address: it may be elsewhere."""
        self._moved_at = asyncio.get_running_loop().time()
        self._names.forget()
        if self._by_pac is not None:
            self._by_pac.forget()

    def note_refused(self, asked: Asked, way: Way, ways: Ways, evidence: str) -> None:
        """The proxy took the request for a URL, and answered it with 407."""
        ways.note_refused(way, self._whose_url(asked))
        self._failures.note_failed(way.upstream, StreamFailed(Outcome.PROXY_AUTH, evidence, Step.PROXY, Timings()))

    async def may_follow(self, asked: Asked, kept: Opened) -> bool:
        """Whether what was opened for the same host and port may be used for it again.

        A proxy looks the name up anew for each request: if it is on this host, so do we.
        """
        if kept.way.proxy is None:
            return True
        try:
            await self._check_name(asked, str(kept.connected.getpeername()[0]))
        except (OSError, _Forbidden):
            return False
        return True

    def _note(self, way: Way, failure: StreamFailed) -> None:
        """Only what is the upstream's fault: a host that is not there fails by each of them."""
        if _is_the_ways(way, failure):
            self._failures.note_failed(way.upstream, failure)

    async def _attempt(self, asked: Asked, way: Way, ways: Ways, within_s: float) -> Opened:
        watch = Stopwatch()
        if ways.is_refused(way, lambda: self._whose_url(asked)):
            raise StreamFailed(Outcome.PROXY_AUTH, "its password was refused before", Step.PROXY, watch.timings())
        try:
            async with asyncio.timeout(within_s):
                if way.proxy is None:
                    return await self._directly(asked, way, watch)
                return await self._by_proxy(asked, way, way.proxy, ways=ways, watch=watch)
        except TimeoutError as error:
            evidence = f"{watch.doing}: timed out after {within_s:.0f} s"
            raise StreamFailed(Outcome.TIMEOUT, evidence, watch.step, watch.timings()) from error
        except StreamFailed as failure:
            if failure.outcome is Outcome.PROXY_AUTH:
                ways.note_refused(way)
            failure.evidence = failure.evidence.removesuffix(BY_ITS_LIMITS)  # whose they are then is not known here
            raise
        except _Forbidden as error:
            raise NotOpened(refusals.forbidden(str(error)), way.upstream) from error
        except _TooMany as error:
            raise NotOpened(refusals.too_often(str(error)), way.upstream) from error

    async def _directly(self, asked: Asked, way: Way, watch: Stopwatch) -> Opened:
        async def resolve(host: str, port: int) -> Sequence[Address]:
            return await self._allowed(asked, await self._looked_up(asked, host, port))

        with failures_of(watch):
            ground = Ground(resolve, functools.partial(self._connect, asked))
            return Opened(way, _prompt(await dial(asked.host, asked.port, ground, watch)))

    async def _looked_up(self, asked: Asked, host: str, port: int) -> Sequence[Address]:
        is_container = asked.source is Source.CONTAINERS
        source = asked.peer if is_container else _THIS_HOST
        return await self._names.of(source, host, port, is_container=is_container, is_roots=asked.is_roots)

    async def _by_proxy(self, asked: Asked, way: Way, proxy: ProxyUrl, *, ways: Ways, watch: Stopwatch) -> Opened:
        async def resolve(host: str, port: int) -> Sequence[Address]:
            if way.is_unknown:  # its name may depend on the request: looked up on behalf of the client
                return _few(await self._looked_up(asked, host, port))
            return _few(await self._names.of("", host, port))  # the relay's own: no container keeps it from that

        async def connect(family: int, address: tuple[Any, ...]) -> socket.socket:
            if self._is_itself(address):  # the fault is the way's: another one may work
                raise StreamFailed(Outcome.REFUSED, _ITSELF, Step.CONNECT, watch.timings())
            await self._check_unknown(asked, way, str(address[0]))
            await self._check_name(asked, str(address[0]))
            return await self._connect(asked, family, address)

        ground = Ground(resolve, connect)
        guard = Guard(way.owner, _Owner(way.owner, way.owner_uid)) if way.owner else None
        # A proxy may pass a 101 on and then read what follows as the next request to itself (FACTS 248). So whatever
        # may become something else is asked for as browsers do, by CONNECT: then it is a tunnel for the proxy as well.
        is_to_proxy = not (asked.is_tunnel or asked.is_switch or proxy.scheme.is_socks)
        if proxy.scheme is Scheme.HTTPS:
            trust = self._trusted(ways.orders.ca_file)
            with _told_of_files(trust):
                via = Via(proxy, trust.context(), ground=ground, guard=guard, turn=lambda: self._handshake(asked))
                opened = Opened(way, await open_proxy(via, watch=watch), is_to_proxy=is_to_proxy)
        else:
            with failures_of(watch):
                connected = await dial(proxy.host, proxy.port, ground, watch, guard=guard)
            opened = Opened(way, _prompt(connected), is_to_proxy=is_to_proxy)
        # A look-up, a PAC or a connect may have taken seconds, and whoever answers now may be anybody.
        try:
            await self._until_looked(ways, proxy)
        except BaseException:  # also when cancelled
            await opened.aclose()
            raise
        if is_to_proxy:
            return opened
        with failures_of(watch):
            try:
                watch.enter(Step.PROXY, f"asking the proxy for {asked.host}")
                await opened.shake(handshake(proxy, asked.host, asked.port), lambda: self._large_head(asked))
            except BaseException:  # also when cancelled: close the socket
                await opened.aclose()
                raise
        return opened

    async def _until_looked(self, ways: Ways, proxy: ProxyUrl) -> None:
        """Raises _ByOthers if other orders have come, and have another password for it, or none.

        On arrival in a network the relay has none until the agent has looked which one this is.
        """
        loop = asyncio.get_running_loop()
        until = self._moved_at + LOOKS_S if proxy in ways.withheld else 0.0
        for _ in range(_LOOKS):
            if not ways.may_still_send(proxy) or loop.time() >= until:  # others may still have none
                break
            await asyncio.sleep(LOOKS_S / _LOOKS)
        if not ways.may_still_send(proxy):
            raise _ByOthers

    async def _large_head(self, asked: Asked) -> None:
        """Its turn to be read. A few hundred may come at the same moment."""
        await self._heads.next(lambda: self._counts_for(asked), is_first=False)

    async def _handshake(self, asked: Asked) -> None:
        """Its turn to check the proxy's certificate, and what comes with that: 1 to 3 ms, in which nobody is served."""
        await self._handshakes.next(lambda: self._counts_for(asked), is_first=False)

    def _counts_for(self, asked: Asked) -> str:
        is_container = asked.source is Source.CONTAINERS
        return counts_for(asked.peer, self._whose, is_container=is_container, is_roots=asked.is_roots)

    def _trusted(self, ca_file: str) -> Trust:
        if self._trust is None or self._trust[0] != ca_file:
            self._trust = ca_file, Trust(ca_file)
        return self._trust[1]

    def _whose_url(self, asked: Asked) -> str:
        """The source of a request for a URL; '' for a tunnel, where only the proxy itself answers."""
        if asked.is_tunnel or asked.is_switch:
            return ""
        return self._whose([asked.peer])[0] if asked.source is Source.CONTAINERS else _THIS_HOST

    # What a container may not be connected to.

    async def _check_spelled(self, asked: Asked) -> None:
        """What can be told without a look-up, whatever the way."""
        if asked.source is not Source.CONTAINERS:
            return
        address = literal(asked.host)
        if address is not None and (why := await self._why_not(str(address))):
            raise NotOpened(refusals.forbidden(f"{asked.host} {why}"))
        if is_localhost(asked.host):
            raise NotOpened(refusals.forbidden(f"{asked.host} is loopback"))

    async def _allowed(self, asked: Asked, found: Sequence[Address]) -> Sequence[Address]:
        """The addresses of a name that may be connected to."""
        tried = _few(found)
        if asked.source is not Source.CONTAINERS:
            return tried
        refused = await self._judged(asked, tried)
        if tried and all(refused):
            raise _Forbidden(f"{asked.host} {refused[0]}")
        return [address for address, why in zip(tried, refused, strict=True) if not why]

    async def _check_unknown(self, asked: Asked, way: Way, proxy_address: str) -> None:
        """A PAC may name anything, also for a registry. A container does not reach what is near and no proxy by it."""
        if way.is_unknown and asked.source is Source.CONTAINERS and (why := await self._why_not(proxy_address)):
            raise _Forbidden(f"the proxy of {way.upstream} that the PAC names for {asked.host} {why}")

    async def _check_name(self, asked: Asked, proxy_address: str) -> None:
        """If the proxy is on this host, the destination is as near to it as to us."""
        if asked.source is not Source.CONTAINERS:
            return
        await self._check_name_for_guest(asked, proxy_address)
        if not self._is_here(proxy_address):
            return
        if whose := own_page(asked.host, asked.path):
            raise _Forbidden(f"{asked.host} is asked for a page of {whose} itself, which is not for containers")
        if literal(asked.host) is not None:
            return
        # Many a proxy leaves the dot at the end out before it looks a name up.
        for name in dict.fromkeys((asked.host, asked.host.rstrip("."))):
            await self._check_found(asked, await self._known(asked, name))

    async def _check_name_for_guest(self, asked: Asked, proxy_address: str) -> None:
        """Docker's DNS tells a proxy in a container the names of its neighbours, and nobody else."""
        name = asked.host.rstrip(".")
        if "." in name or literal(name) is not None or not await self._is_guest(proxy_address):
            return
        found = await self._known(asked, name)
        if not found:
            raise _Forbidden(f"{asked.host} is not known on this host, and may be a container beside the proxy")
        await self._check_found(asked, found)

    async def _check_found(self, asked: Asked, found: Sequence[Address]) -> None:
        """None of them may be near: which one a proxy takes is not known."""
        if len(found) > _MOST_JUDGED:
            raise _Forbidden(f"{asked.host} has more than {_MOST_JUDGED} addresses, and the proxy is on this host")
        if why := next(filter(None, await self._judged(asked, found)), ""):
            raise _Forbidden(f"{asked.host} {why}")

    async def _known(self, asked: Asked, name: str) -> Sequence[Address]:
        """Nothing if nobody here knows it. A look-up that could not be made is different, and no proxy's fault."""
        try:
            async with asyncio.timeout(_CHECKED_WITHIN_S):
                return await self._names.of(asked.peer, name, asked.port, is_container=True)
        except socket.gaierror as error:
            if error.errno in _UNKNOWN:
                return ()
            why = error.strerror
        except TimeoutError:
            why = "that takes too long"
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", "") or "that is not a name"
        raise _Forbidden(f"{name} cannot be looked up on this host, where the proxy is: {why}")

    async def _judged(self, asked: Asked, addresses: Sequence[Address]) -> list[str]:
        """Of each why not, in this order."""
        judged: list[str] = []
        for _, address in addresses:
            if len(judged) % _AT_ONCE == 0:  # hundreds may have waited for the same look-up
                await self._judging.next(lambda: self._counts_for(asked), is_first=not judged)
            judged.append(await self._why_not(str(address[0])))
        return judged

    async def _why_not(self, address: str) -> str:
        try:
            return await self._in_time(lambda: forbidden(ipaddress.ip_address(address), self._near))
        except netlink.NetlinkFailed:
            return "cannot be told from this host: the kernel does not answer"

    async def _in_time(self, tell: Callable[[], _T]) -> _T:
        """The kernel may be long about an interface that it was not asked about before. Raises NetlinkFailed."""
        for _ in range(_ASKED_AGAIN):
            with contextlib.suppress(NotYetKnown):
                return tell()
            await asyncio.sleep(_ASKS_AGAIN_S)
        return tell()

    def _is_here(self, address: str) -> bool:
        """Also if that cannot be told."""
        ip = unmapped(ipaddress.ip_address(address))
        try:
            return ip.is_loopback or self._near.is_own(str(ip).partition("%")[0])
        except netlink.NetlinkFailed:
            return True

    async def _is_guest(self, address: str) -> bool:
        """Also if that cannot be told. An address of this host may be on a bridge of guests."""
        text = str(unmapped(ipaddress.ip_address(address))).partition("%")[0]
        try:
            return await self._in_time(lambda: not self._near.is_own(text) and self._near.is_guest(text))
        except netlink.NetlinkFailed:
            return True

    async def _connect(self, asked: Asked, family: int, address: tuple[Any, ...]) -> socket.socket:
        if self._is_itself(address):
            raise _Forbidden(_ITSELF)
        is_container, place = asked.source is Source.CONTAINERS, (str(address[0]), int(address[1]))
        if is_container and (why := self._used_ports.why_not(place, asked.peer)):
            raise _TooMany(why)
        return await from_here(family, address)

    def _is_itself(self, address: tuple[Any, ...]) -> bool:
        return address[1] in self._own_ports and self._is_here(str(address[0]))


@contextlib.contextmanager
def _told_of_files(trust: Trust) -> Iterator[None]:
    """The agent, which is root, reads files of CAs that the relay may not, and finds the same proxy well."""
    try:
        yield
    except StreamFailed as failure:
        if failure.outcome is Outcome.TLS and trust.problems:
            failure.evidence += f"; {trust.problems[0]}"
        raise


def _few(found: Sequence[Address]) -> Sequence[Address]:
    """Of both families, in case one of them has no route."""
    seen = collections.Counter[int]()
    few: list[Address] = []
    for one in found:
        seen[one[0]] += 1
        if seen[one[0]] <= _TRIED:
            few.append(one)
    return few


def _prompt(connected: socket.socket) -> socket.socket:
    """Small pieces are not held back for larger ones: a TLS handshake would take 40 ms longer."""
    with contextlib.suppress(OSError):  # it is gone already: the first read says so
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def _is_the_ways(way: Way, failure: StreamFailed) -> bool:
    """Whether it says something of the way, and not of where it was to lead."""
    is_not_reached = way.proxy is not None and failure.step in _ITS_OWN
    return is_not_reached or failure.outcome in (Outcome.PROXY_AUTH, Outcome.PORTAL, Outcome.NO_ROUTE)


def _told(asked: Asked, way: Way, failure: StreamFailed) -> Refusal:
    if failure.outcome is Outcome.TIMEOUT:
        return refusals.too_late(way.upstream, failure.evidence)
    if failure.outcome is Outcome.PROXY_DENIED:
        needs = ", which an Upgrade needs" if asked.is_switch else ""
        return Refusal(403, f"through {way.upstream}: {failure.evidence}{needs}")
    return refusals.no_way(way.upstream, failure.evidence)
