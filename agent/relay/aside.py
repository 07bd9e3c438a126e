"""What the kernel is asked that it may be long about, without waiting for it.

Whoever may make a namespace of his own, as any user may, can keep the kernel's lock on all interfaces (RTNL) for a
minute: it is held while a namespace with thousands of them ends. Meanwhile a question about interfaces does not come
back from sendmsg(2), whatever the socket's timeout is (FACTS 255). So these are asked by a thread, one after the other.
Routes and connections are not behind that lock, and are asked for directly.
"""

from __future__ import annotations

import errno
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from agent.relay.who import End, Kernel
from agent.see import netlink
from agent.see.netlink import NetlinkFailed, Reached
from agent.see.netlink_messages import Link, Route

WITHIN_S: Final = 1.0  # the end of any container holds that lock for a moment, and a busy machine lets a thread wait
SHARE: Final = 0.1  # of all time: for so much the loop waits again, as where the lock is held in many short pieces

_T = TypeVar("_T")


class Aside:
    """As `Kernel`; what takes too long raises NetlinkFailed, and so does what is asked before that has come back.

    "Too long" counts all questions together: many that take a little would else keep the loop waiting as one does.
    """

    def __init__(
        self, kernel: Kernel = netlink, within_s: float = WITHIN_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kernel = kernel
        self._within_s = self._left_s = within_s
        self._clock = clock
        self._counted_at = clock()
        self._asked: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._late: Future[Any] | None = None
        self._thread: threading.Thread | None = None

    def leads_here(self, address: str, /) -> bool:
        return self._kernel.leads_here(address)

    def way_to(self, address: str, /) -> Route | None:
        return self._kernel.way_to(address)

    def owner_of(self, near: End, far: End, /) -> int | None:
        return self._kernel.owner_of(near, far)

    def owners_of(self, connections: Sequence[tuple[End, End]], /) -> Sequence[int | None]:
        return self._kernel.owners_of(connections)

    def link_at(self, index: int, /) -> Link | None:
        return self._answered(lambda: self._kernel.link_at(index))

    def ports_of(self, bridge: int, /) -> Sequence[Link]:
        return self._answered(lambda: self._kernel.ports_of(bridge))

    def default_routes(self) -> Sequence[Route]:
        return self._answered(
            self._kernel.default_routes
        )  # a list of all of a kind is behind the lock before Linux 6.9

    def routers_are_behind(self, interface: int, /) -> bool:
        return self._answered(lambda: self._kernel.routers_are_behind(interface))

    def ports_to(self, addresses: Sequence[str], /) -> Sequence[Reached]:
        return self._answered(lambda: self._kernel.ports_to(addresses))

    def _answered(self, ask: Callable[[], _T]) -> _T:
        began = self._clock()
        self._left_s = min(self._within_s, self._left_s + SHARE * (began - self._counted_at))
        self._counted_at = began
        if self._left_s <= 0 or (self._late is not None and not self._late.done()):
            raise _silent()
        if self._thread is None:  # not before it is needed; and whoever ends does not wait for it
            self._thread = threading.Thread(target=self._ask, name="kernel", daemon=True)
            self._thread.start()
        answer: Future[_T] = Future()
        self._asked.put((ask, answer))
        try:
            return answer.result(self._left_s)
        except TimeoutError:
            self._late = answer
            raise _silent() from None
        finally:
            self._counted_at = self._clock()
            self._left_s -= self._counted_at - began

    def _ask(self) -> None:
        while True:
            ask, answer = self._asked.get()
            try:
                answer.set_result(ask())
            except Exception as error:  # noqa: BLE001 - it is raised where it is awaited
                answer.set_exception(error)


def _silent() -> NetlinkFailed:
    return NetlinkFailed("the kernel does not answer", errno.EBUSY)
