"""Checks the owner of a proxy on loopback before anything is sent to it.

Any user may listen on a free port of loopback, and would get the password. So before connecting, every socket that
could accept the connection must be the owner's; and after connecting, one of them must still be there. While it
listens, no other user's can take its place (FACTS 91), so none did in between. The user of the accepted socket would
not help: many proxies open their port as root and continue as another user.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from agent.probe.exchange import DialogueFailed
from agent.values.errors import AgentError
from agent.values.listening import Listener, LocalProxy, Sockets, on_this_host
from agent.values.vantage import HOST, Vantage
from agent.values.verdict import IS_EXPECTED, Outcome


class Guard(msgspec.Struct, frozen=True):
    """Allows connections only to listeners of one user."""

    owner: str
    sockets: Sockets
    vantage: Vantage = HOST  # where the connections come from

    async def admitted(self, addresses: Iterable[str], port: int) -> frozenset[Listener]:
        """The owner's listeners at these addresses. DialogueFailed if there is none, or another user listens, too."""
        asked = [self.vantage.meant(address) for address in addresses]
        if not all(asked):
            raise DialogueFailed(Outcome.REFUSED, f"not on loopback, where {self.owner}'s is expected")
        return await asyncio.to_thread(self._admitted, [one for each in asked for one in each], port)

    async def check_still(self, before: frozenset[Listener], address: str, port: int) -> None:
        """Raises DialogueFailed unless the connection just made to this address went to the owner."""
        after = await self.admitted((address,), port)
        if not before & after:
            raise DialogueFailed(Outcome.ERROR, f"{self.owner} began to listen while connecting; nothing was sent")

    def _admitted(self, addresses: Sequence[str], port: int) -> frozenset[Listener]:
        try:
            found = on_this_host(self.sockets.listeners(port, addresses), addresses, port)
            uid = self.sockets.uid(self.owner) if found else None
        except AgentError as failure:
            raise DialogueFailed(Outcome.ERROR, f"cannot tell who listens there: {failure}") from failure
        if not found:
            raise DialogueFailed(Outcome.REFUSED, "nothing listens there")
        others = sorted({one.uid for one in found if one.uid != uid})
        if others:
            who = " and ".join(self.sockets.name(other) or f"user {other}" for other in others)
            unknown = " (there is no such user)" if uid is None else ""
            listens = "listen" if len(others) > 1 else "listens"
            raise DialogueFailed(Outcome.REFUSED, f"{self.owner}{IS_EXPECTED}{unknown}; {who} {listens}")
        return frozenset(found)


async def is_the_owners(proxy: LocalProxy, sockets: Sockets) -> bool:
    """Whether a connection would go to the owner now."""
    try:
        await Guard(proxy.owner, sockets).admitted((proxy.host,), proxy.port)
    except DialogueFailed:
        return False
    return True
