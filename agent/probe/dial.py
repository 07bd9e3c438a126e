"""A host and a port become a connected socket.

Each name is looked up in its own thread: a resolver that hangs blocks neither the caller's deadline, nor another
look-up, nor the end of the process; and none waits for the kernel's lock on interfaces. Not known here: what is sent on
the socket.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import itertools
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec

from agent.probe.exchange import authority
from agent.probe.guard import Guard
from agent.probe.race import Entrant, race
from agent.probe.stopwatch import Step, Stopwatch
from agent.probe.without_netlink import refuse_netlink
from agent.values.listening import loopback_addresses

STAGGER_S: Final = 0.25  # RFC 8305: before the next address of a name is tried as well

NO_ROUTE: Final = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
)

Address = tuple[int, tuple[Any, ...]]  # the family, and what `connect` takes
Resolve = Callable[[str, int], Coroutine[Any, Any, Sequence[Address]]]
Connect = Callable[[int, tuple[Any, ...]], Coroutine[Any, Any, socket.socket]]  # the family, and the address


async def dial(host: str, port: int, ground: Ground, watch: Stopwatch, *, guard: Guard | None = None) -> socket.socket:
    """Connect to the first address that accepts. OSError if none does, DialogueFailed if the guard refuses."""
    addresses: Sequence[Address] = _literal(host, port)
    if not addresses:
        watch.enter(Step.RESOLVE, f"looking up {host}")
        addresses = await ground.resolve(host, port)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
    watch.enter(Step.CONNECT, f"connecting to {authority(host, port)}")
    if guard is None:
        return await _connect_first(_interleaved(addresses), ground.connect)
    # dockerd may use another address of a name such as localhost than we do.
    meant = {*loopback_addresses(host), *(address[0] for _, address in addresses)}
    before = await guard.admitted(meant, port)
    connected = await _connect_first(_interleaved(addresses), ground.connect)
    try:
        await guard.check_still(before, connected.getpeername()[0], port)
    except BaseException:  # also when cancelled: close the socket
        connected.close()
        raise
    return connected


def threaded(look_up: Callable[[str, int], Sequence[Address]]) -> Resolve:
    """Run a blocking look-up in a thread that is never joined."""

    async def resolve(host: str, port: int) -> Sequence[Address]:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Sequence[Address]] = loop.create_future()

        def run() -> None:
            refuse_netlink()
            try:
                _hand_over(loop, found, look_up(host, port))
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                _hand_over(loop, found, error)

        # Not in the loop's executor: 49 hanging names would fill it, and the interpreter joins it at exit.
        threading.Thread(target=run, name=f"look-up of {host}", daemon=True).start()
        return await found

    return resolve


def in_bytes(host: str) -> bytes:
    """The name as bytes. For a str, Python would load its IDNA tables: 0.3 MB."""
    return host.encode("ascii" if host.isascii() else "idna")


def _system(host: str, port: int) -> Sequence[Address]:
    infos = socket.getaddrinfo(in_bytes(host), port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in infos]


in_a_thread: Final = threaded(_system)


async def from_here(family: int, address: tuple[Any, ...]) -> socket.socket:
    """Connect from the network that this process is in."""
    connecting = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        await asyncio.get_running_loop().sock_connect(connecting, address)
    except BaseException:
        connecting.close()
        raise
    return connecting


class Ground(msgspec.Struct, frozen=True):
    """Where a probe stands: how names are looked up there, and how connections are made from there."""

    resolve: Resolve = in_a_thread
    connect: Connect = from_here


HERE: Final = Ground()


def _hand_over(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Sequence[Address]], result: Sequence[Address] | Exception
) -> None:
    def settle() -> None:
        if future.done():
            return  # the caller was cancelled
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:
        return  # the loop ended while the resolver hung


def _literal(host: str, port: int) -> list[Address]:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return []
    return [(socket.AF_INET if address.version == 4 else socket.AF_INET6, (host, port))]


def _interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Alternate the families, beginning with the resolver's first (RFC 8305)."""
    families = dict.fromkeys(family for family, _ in addresses)
    columns = [[address for address in addresses if address[0] == family] for family in families]
    return [address for row in itertools.zip_longest(*columns) for address in row if address is not None]


async def _connect_first(addresses: Sequence[Address], connect: Connect) -> socket.socket:
    if len(addresses) == 1:
        return await connect(*addresses[0])
    opened: list[socket.socket] = []
    winner: socket.socket | None = None
    try:
        results = await race(
            [_entrant(address, opened, connect) for address in addresses],
            apart_s=[STAGGER_S] * len(addresses),
            enough=lambda _: bool(opened),
        )
        failures = [result for result in results.values() if isinstance(result, OSError)]
        winner = next((result for result in results.values() if isinstance(result, socket.socket)), None)
        if winner is None:
            raise _most_telling(failures)
        return winner
    finally:
        for loser in opened:
            if loser is not winner:
                loser.close()


def _entrant(address: Address, opened: list[socket.socket], connect: Connect) -> Entrant[socket.socket | OSError]:
    async def attempt() -> socket.socket | OSError:
        try:
            connected = await connect(*address)
        except OSError as error:
            return error
        opened.append(connected)
        return connected

    return attempt


def _most_telling(failures: Sequence[OSError]) -> OSError:
    """Prefer an error other than "no route": without IPv6, half of the addresses have none."""
    return next((failure for failure in failures if failure.errno not in NO_ROUTE), failures[0])
