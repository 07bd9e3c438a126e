"""What the kernel is asked that it may be long about, without waiting for it.

Whoever may make a namespace of his own, as any user may, can keep the kernel's lock on all interfaces (RTNL) for a
minute: it is held while a namespace with thousands of them ends. Meanwhile a question about interfaces does not come
back from sendmsg(2), whatever the socket's timeout is (FACTS 255). So these are asked by a thread, one after the other.
Routes are not behind that lock, and are asked for directly. Nor are connections; but before Linux 6.9 they are behind
one of their own, which any container can hold (FACTS 261): there another thread asks.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from typing import Any, Final, TypeVar

from agent.relay.who import End, Kernel, NotYetKnown
from agent.see import netlink
from agent.see.netlink import Reached
from agent.see.netlink_messages import Link, Route
from agent.system.one_thread import OneThread

WITHIN_S: Final = 0.25  # a thread of a busy machine may wait 0.1 s for its turn; the loop waits for so long, once
SHARE: Final = 0.1  # of all time: for so much the loop waits again, as where the lock is held in many short pieces
_LATE_S: Final = 5.0  # for so long an answer that nobody waited for is kept for whoever asks again
_MOST_LATE: Final = 64
_FREE_SINCE: Final = (6, 9)  # Linux, of a lock on all connections

_T = TypeVar("_T")


class _Question:
    """Asked in the thread; its answer may be there only when nobody waits for it any more."""

    def __init__(self, ask: Callable[[], Any], thread: OneThread, clock: Callable[[], float]) -> None:
        self._ask, self._clock = ask, clock
        self.answered_at = float("inf")
        self.answer = thread.begin(self._be_asked)

    def _be_asked(self) -> Any:
        try:
            return self._ask()
        finally:
            self.answered_at = self._clock()


class Thread:
    """Asks. What takes too long raises NotYetKnown, and so does what is asked before it has come back.

    "Too long" counts all questions together: many that take a little would else keep the loop waiting as one does. The
    late answer is there for whoever asks the same again, for a while: what an interface is takes several questions, and
    each may be late.
    """

    def __init__(self, within_s: float, clock: Callable[[], float]) -> None:
        self.within_s = self.left_s = within_s
        self._clock = clock
        self._counted_at = clock()
        self._thread = OneThread("kernel")
        self._late: dict[tuple[object, ...], _Question] = {}
        self.pending: dict[object, _Question] = {}  # by its kind: who asks much of one does not hold up the others

    def answered(self, ask: Callable[[], _T], *what: object) -> _T:
        """`what`: by which the same question is known again; its kind first."""
        one = self._late.get(what)
        if one is None or self._clock() - one.answered_at > _LATE_S:
            pending = self.pending.get(what[0])
            if pending is not None and not pending.answer.done():
                raise NotYetKnown
            one = self.pending[what[0]] = _Question(ask, self._thread, self._clock)
        self._wait(one)
        if one.answer.done():
            answer: _T = one.answer.result()
            return answer
        self._late.pop(what, None)
        if len(self._late) >= _MOST_LATE:
            del self._late[next(iter(self._late))]
        self._late[what] = one
        raise NotYetKnown

    def _wait(self, one: _Question) -> None:
        """Until it is answered, but for no longer than all of them together may take."""
        began = self._clock()
        self.left_s = min(self.within_s, self.left_s + SHARE * (began - self._counted_at))
        if self.left_s > 0:
            wait((one.answer,), self.left_s)
        self._counted_at = self._clock()
        self.left_s -= self._counted_at - began


class Aside:
    """As `Kernel`; what a thread is asked may raise NotYetKnown."""

    def __init__(
        self,
        kernel: Kernel = netlink,
        within_s: float = WITHIN_S,
        clock: Callable[[], float] = time.monotonic,
        *,
        release: str = os.uname().release,
    ) -> None:
        """`release`: which Linux this is, as uname(2) says it."""
        self._kernel = kernel
        self.links = Thread(within_s, clock)
        self.connections = Thread(within_s, clock) if _has_a_lock_on_connections(release) else None

    def leads_here(self, address: str, /) -> bool:
        return self._kernel.leads_here(address)

    def way_to(self, address: str, /) -> Route | None:
        return self._kernel.way_to(address)

    def owner_of(self, near: End, far: End, /) -> int | None:
        if self.connections is None:
            return self._kernel.owner_of(near, far)
        return self.connections.answered(lambda: self._kernel.owner_of(near, far), "owner", near, far)

    def owners_of(self, connections: Sequence[tuple[End, End]], /) -> Sequence[int | None]:
        if self.connections is None or not connections:
            return self._kernel.owners_of(connections)
        return self.connections.answered(lambda: self._kernel.owners_of(connections), "owners", *connections)

    def link_at(self, index: int, /) -> Link | None:
        return self.links.answered(lambda: self._kernel.link_at(index), "link", index)

    def ports_of(self, bridge: int, /) -> Sequence[Link]:
        return self.links.answered(lambda: self._kernel.ports_of(bridge), "ports", bridge)

    def default_routes(self) -> Sequence[Route]:
        # A list of all of a kind is behind the lock before Linux 6.9.
        return self.links.answered(self._kernel.default_routes, "default routes")

    def routers_are_behind(self, interface: int, /) -> bool:
        return self.links.answered(lambda: self._kernel.routers_are_behind(interface), "routers", interface)

    def ports_to(self, addresses: Sequence[str], /) -> Sequence[Reached]:
        return self.links.answered(lambda: self._kernel.ports_to(addresses), "ports to", *addresses)


def _has_a_lock_on_connections(release: str) -> bool:
    """Also if that cannot be told."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is None or (int(found[1]), int(found[2])) < _FREE_SINCE
