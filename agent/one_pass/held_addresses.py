"""Addresses that are kept from others for the moment in which systemd's own sockets there are closed.

Any user may listen at a port above 1023 as soon as nobody does, and dockerd and every container would go on connecting
there. A socket that is bound and does not listen gets no connections, but nobody of another user can bind beside it;
systemd can, with `ReusePort=yes` in its socket unit (FACTS 257).
Not known here: which addresses, and when (`relay_units.py`).
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Collection, Iterable
from typing import Final, Self

# linux/in.h, linux/in6.h: as FreeBind= of the unit, for the bridge may come later.
_FREEBIND: Final = {socket.AF_INET: (socket.IPPROTO_IP, 15), socket.AF_INET6: (socket.IPPROTO_IPV6, 78)}


class HeldAddresses:
    """As `host:port`, and none of them listened at. Let go at the end of the `with`."""

    def __init__(self) -> None:
        self._held: dict[str, socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    def hold(self, ends: Iterable[str]) -> Collection[str]:
        """Those that cannot be held, as somebody has them, or listens there and does not share them.

        An address that may not be bound to at all is passed over: where the agent's unit denies it, or a port below
        1024, which nobody without rights can take either.
        """
        taken = []
        for end in ends:
            if end in self._held:
                continue
            try:
                self._held[end] = _bound(end)
            except OSError as failure:
                if failure.errno == errno.EADDRINUSE:
                    taken.append(end)
        return taken

    def let_go(self) -> bool:
        """Whether any was held."""
        held, self._held = self._held, {}
        for one in held.values():
            one.close()
        return bool(held)


def _bound(end: str) -> socket.socket:
    host, _, port = end.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    where = (host.strip("[]"), int(port))
    with contextlib.ExitStack() as undone:
        one = undone.enter_context(socket.socket(family))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.setsockopt(*_FREEBIND[family], 1)
        try:
            one.bind(where)
        except OSError as failure:
            if failure.errno != errno.EADDRINUSE:
                raise
            # Connections that are open there, which are the relay's user's, are in the way. Not set any longer than for
            # that: it would let in everybody who sets it as well, as long as nobody listens.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(where)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        undone.pop_all()
        return one
