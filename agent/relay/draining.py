"""What ends an open connection that neither end has closed.

    its local address is gone     a roam, or a bridge that was removed: reset at once, because people hate silent hangs
    the peer has not acknowledged what we sent for 20 s: it is gone
    the client has reset it, and the other end does not take what it sent before
    nothing came for an hour, or for five minutes while half of it is closed
    all together hold more kernel memory than there is for them (`weight.py`)
    the relay stops

TCP_USER_TIMEOUT is not used for the second: it also ends a connection whose other end acknowledges everything but reads
nothing for that long (FACTS 210), as a stopped container or a slow disk does. So the kernel is asked for the time of
the last acknowledgement.
Not known here: what is carried.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from agent.relay.limits import Whose
from agent.relay.pump import Ended
from agent.relay.weight import MARKS, KernelsAccount, Marks, Weight, held_by, narrow, share, too_heavy, widen
from agent.see import netlink
from agent.see.announcements import Announcements, MulticastGroup
from agent.see.netlink import NetlinkFailed

IDLE_S: Final = 3600.0
HALF_OPEN_S: Final = 300.0
SILENT_MS: Final = 20_000
_SWEEP_S: Final = 5.0
_WEIGHED_S: Final = 0.25
_OFTEN_S: Final = 0.05  # while they hold much
_APART_S: Final = 0.02  # two looks, however much is read
_STUCK_S: Final = 1.0
_FEW: Final = 8  # whatever they hold, there is room for it
_SETTLES_S: Final = 0.05  # the kernel announces that an address goes before its route is gone

# Bytes of struct tcp_info (linux/tcp.h), the same on all machines.
_CLOSED: Final = 7  # as its first byte: TCP_CLOSE (linux/tcp_states.h)
_PROBES: Final = 2
_UNACKED: Final = 24
_LAST_ACK_RECEIVED: Final = 56
_NOT_SENT: Final = 144
_TCP_INFO: Final = 148
_NUMBER: Final = struct.Struct("=I")

# A peer that has gone while nothing is on its way: 20 s and three questions.
KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class Open(Protocol):
    """A connection that may be ended from here."""

    @property
    def client(self) -> socket.socket: ...
    @property
    def end(self) -> socket.socket | None:
        """None: it is not open yet, or not any more."""

    @property
    def touched(self) -> float: ...
    @property
    def is_half_closed(self) -> bool: ...
    @property
    def held(self) -> int:
        """Bytes in this process."""

    def finish(self, how: Ended) -> None: ...


class Draining:
    """All that is open."""

    def __init__(  # noqa: PLR0913 - all but the first two are named
        self,
        leads_here: Callable[[str], bool] = netlink.leads_here,
        sweep_s: float = _SWEEP_S,
        *,
        moved: Callable[[], None] = lambda: None,
        ended: Callable[[str], None] = lambda _what: None,
        marks: Marks = MARKS,
        silent_ms: int = SILENT_MS,
        whose: Whose = list,
    ) -> None:
        """`moved`: called when this host has got or lost an address; `ended`: with what is to be said of it."""
        self._leads_here = leads_here
        self._moved = moved
        self._ended = ended
        self._marks = marks
        self._silent_ms = silent_ms
        self._whose = whose
        self._account = KernelsAccount()
        self._weighing: asyncio.TimerHandle | None = None
        self._weighed_at = float("-inf")
        self._held = 0  # bytes, then
        self._narrowed: set[Open] = set()
        self._share = 0  # bytes of a buffer of theirs
        self._sweep_s = sweep_s
        self._loop = asyncio.get_running_loop()
        self._open: set[Open] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._kernel = Announcements((MulticastGroup.IPV4_ADDRESS, MulticastGroup.IPV6_ADDRESS))
        self._loop.add_reader(self._kernel, self._told)

    def add(self, one: Open) -> None:
        self._open.add(one)
        if self._narrowed and one.end is not None:  # as the others, from its first byte
            narrow(_sockets(one), share(len(self._open)))
            self._narrowed.add(one)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._sweep_s, self._sweep)
        if self._weighing is None and len(self._open) > _FEW:
            self._weighing = self._loop.call_later(_WEIGHED_S, self.weigh)

    def discard(self, one: Open) -> None:
        self._open.discard(one)
        self._narrowed.discard(one)

    def finish(self, how: Ended) -> None:
        """All of them."""
        for one in tuple(self._open):
            one.finish(how)

    def latest(self) -> float:
        """When bytes came last, anywhere; 0: nothing is open."""
        return max((one.touched for one in self._open), default=0.0)

    def close(self) -> None:
        for timer in (self._sweeping, self._looking, self._weighing):
            if timer is not None:
                timer.cancel()
        self._loop.remove_reader(self._kernel)
        self._kernel.close()
        self._account.close()

    def room(self) -> int:
        """How many bytes the connections that are not served yet may hold.

        The kernel's total for TCP includes other programs: if it is large, the connections open here are weighed.
        """
        if not self._may_exceed(self._marks.most):
            return self._marks.most
        if self._loop.time() - self._weighed_at >= _OFTEN_S:
            self.weigh()
        return max(0, self._marks.most - self._held)

    def _told(self) -> None:
        if self._kernel.drain() and self._looking is None:
            self._looking = self._loop.call_later(_SETTLES_S, self._look)

    def _look(self) -> None:
        """Which addresses are gone."""
        self._looking = None
        self._moved()
        is_there: dict[str, bool] = {}
        for one in tuple(self._open):
            own = list(map(_own_address, _sockets(one)))
            for address in own:
                if address not in is_there:
                    is_there[address] = self._is_there(address)
            if not all(is_there[address] for address in own):
                one.finish(Ended.ADDRESS_GONE)

    def _is_there(self, address: str) -> bool:
        try:
            return not address or self._leads_here(address)
        except NetlinkFailed:  # not known is not gone
            return True

    def _sweep(self) -> None:
        now = self._loop.time()
        self._sweeping = self._loop.call_later(self._sweep_s, self._sweep) if self._open else None
        for one in tuple(self._open):
            if now - one.touched > (HALF_OPEN_S if one.is_half_closed else IDLE_S):
                one.finish(Ended.IDLE)
            elif _is_gone(one.client):
                one.finish(Ended.BROKEN)
            elif any(_silent_ms(each) > self._silent_ms for each in _sockets(one)):
                one.finish(Ended.SILENT)

    def look(self) -> None:
        """Much has been read: weigh, unless that was done just now."""
        if self._loop.time() - self._weighed_at >= _APART_S:
            self.weigh()

    def weigh(self) -> None:
        """Now, and again in a while. What holds too much is ended."""
        if self._weighing is not None:
            self._weighing.cancel()
            self._weighing = None
        held = self._weighed() if self._may_exceed(self._marks.much // 2) else 0
        self._held, self._weighed_at = held, self._loop.time()
        if len(self._open) > _FEW:
            is_soon = held > self._marks.most // 2
            self._weighing = self._loop.call_later(_OFTEN_S if is_soon else _WEIGHED_S, self.weigh)
        if held > self._marks.much and len(self._open) > _FEW:
            self._narrow()
        elif held <= self._marks.much // 2:
            self._widen()

    def _may_exceed(self, most: int) -> bool:
        return self._account.may_exceed(most) or sum(one.held for one in self._open) > most

    def _weighed(self) -> int:
        """Bytes that are held by all that is open; those that hold too much are ended."""
        now = self._loop.time()
        weighed = tuple(self._open)
        weights = [_weight(one, is_stuck=now - one.touched > _STUCK_S) for one in weighed]
        held = sum(one.held for one in weights)
        if held > self._marks.most:
            weights = self._by_whose(weights)
        ending = too_heavy(weights, self._marks)
        for place in ending:
            weighed[place].finish(Ended.TOO_HEAVY)
        if ending:
            self._ended(
                f"{len(ending)} connections were ended, the first of {weights[ending[0]].source}: all together held"
                f" {held // 1024**2} MB that were not read"
            )
        return held

    def _by_whose(self, weights: list[Weight]) -> list[Weight]:
        """However many addresses a container has, what it holds is added up."""
        found = iter(self._whose([one.source for one in weights if one.is_container]))
        return [one._replace(whose=next(found)) if one.is_container else one for one in weights]

    def _narrow(self) -> None:
        size = share(len(self._open))
        if size <= self._share // 2:  # there are many more by now
            self._narrowed.clear()
        if not self._narrowed:
            self._share = size
        open_ = {one for one in self._open if one.end is not None}  # what is not open yet is narrow already
        for one in open_ - self._narrowed:
            narrow(_sockets(one), size)
        self._narrowed = open_

    def _widen(self) -> None:
        for one in self._narrowed:
            widen(one.client, one.end)
        self._narrowed.clear()


def _sockets(one: Open) -> tuple[socket.socket, ...]:
    end = one.end
    return (one.client,) if end is None else (one.client, end)


def _weight(one: Open, *, is_stuck: bool) -> Weight:
    client = one.client
    try:
        source, own = str(client.getpeername()[0]), str(client.getsockname()[0])
    except OSError:
        source = own = ""
    held = held_by(_sockets(one)) + one.held
    is_container = not own.removeprefix("::ffff:").startswith("127.") and own != "::1"
    return Weight(held, source, is_container=is_container, is_stuck=is_stuck)


def keep_alive(connected: Iterable[socket.socket]) -> None:
    """A peer that is gone is noticed, also if nothing is sent."""
    for one in connected:
        with contextlib.suppress(OSError):  # it is gone already
            for option in KEEPALIVE:
                one.setsockopt(*option)


def silent_ms(info: bytes) -> int:
    """By struct tcp_info: for how long nothing of what we sent was acknowledged; 0 if nothing is outstanding.

    If the other end reads nothing, the kernel probes its window only now and then, up to two minutes apart: it is
    silent if it did not answer twice.
    """
    if len(info) < _TCP_INFO:
        return 0
    is_on_its_way = bool(_NUMBER.unpack_from(info, _UNACKED)[0])
    is_kept_back = bool(_NUMBER.unpack_from(info, _NOT_SENT)[0]) and info[_PROBES] > 1
    return int(_NUMBER.unpack_from(info, _LAST_ACK_RECEIVED)[0]) if is_on_its_way or is_kept_back else 0


def _silent_ms(connected: socket.socket) -> int:
    try:
        return silent_ms(connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO))
    except OSError:
        return 0


def _is_gone(client: socket.socket) -> bool:
    """Whether it was reset. That does not show while nothing is read from it, because the other end takes nothing."""
    try:
        return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _CLOSED
    except OSError:
        return False


def _own_address(connected: socket.socket) -> str:
    try:
        return str(connected.getsockname()[0]).partition("%")[0]
    except OSError:
        return ""
