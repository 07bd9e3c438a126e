"""Wakes when a proxy on this host that is in use is gone: it holds an idle connection to it, and sees its end.

If the proxy's process dies, the connection ends within milliseconds; no byte is sent, and no timer runs while it lasts.
If a proxy closes idle connections, a bare connect finds out whether it still listens, and then it is left alone for a
while. Before each connection the listener's owner is checked: another user may listen there by now.
Not known here: which proxy is in use, whose it must be, and whether it works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from agent.probe.dial import HERE, dial
from agent.probe.stopwatch import Stopwatch
from agent.service.watch.wakeups import Wake
from agent.values.listening import LocalProxy
from agent.values.reason import Reason

_CONNECTS_WITHIN_S: Final = 5.0  # on loopback it takes no time, unless the queue is full
_LINGERS_S: Final = 1.0  # a proxy that shuts down closes its connections first, and listens for a moment longer


IsMeant = Callable[[LocalProxy], Awaitable[bool]]


class ProxyWatch:
    """Wakes until it is closed. `is_meant`: whether the listener there belongs to the owner that the policy names."""

    def __init__(self, wake: Wake, is_meant: IsMeant) -> None:
        self._wake = wake
        self._is_meant = is_meant
        self._held: dict[tuple[LocalProxy, float], asyncio.Task[None]] = {}

    def hold(self, proxies: Collection[LocalProxy], again_s: float) -> None:
        """Watch these, instead of those before. `again_s`: how long to wait before connecting again after an end."""
        wanted = {(proxy, again_s) for proxy in proxies}
        for key in self._held.keys() - wanted:
            self._held.pop(key).cancel()
        for key in wanted - self._held.keys():
            self._held[key] = asyncio.get_running_loop().create_task(self._hold_one(*key))

    def close(self) -> None:
        """No wake-up comes after this."""
        self.hold((), 0.0)

    async def _hold_one(self, proxy: LocalProxy, again_s: float) -> None:
        loop, is_told = asyncio.get_running_loop(), False
        while True:
            began = loop.time()
            try:
                await self._wait_for_end(proxy, None)
                is_told = False
                if await self._wait_for_end(proxy, _LINGERS_S):
                    (await self._connect(proxy))[1].close()
            except OSError:  # refused, another user's, or no connection possible; the pass that is woken probes it
                if not is_told:
                    self._wake(Reason.PROXY)
                is_told = True
            await asyncio.sleep(began + again_s - loop.time())

    async def _wait_for_end(self, proxy: LocalProxy, within_s: float | None) -> bool:
        """Connect, and wait for the end of the connection; False if it lasts longer. OSError if it cannot be made."""
        reader, writer = await self._connect(proxy)
        try:
            async with asyncio.timeout(within_s):
                await reader.read(1)  # if it sends something, that counts as an end
        except TimeoutError:
            return False
        except OSError:  # a reset is an end, too
            return True
        finally:
            writer.close()
        return True

    async def _connect(self, proxy: LocalProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if proxy.owner and not await self._is_meant(proxy):
            raise ConnectionRefusedError(f"no listener of {proxy.owner} alone")
        async with asyncio.timeout(_CONNECTS_WITHIN_S):
            return await asyncio.open_connection(sock=await dial(proxy.host, proxy.port, HERE, Stopwatch()))
