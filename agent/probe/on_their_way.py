"""Passwords on their way: sent to a proxy that has not said yet whether it takes them.

Whoever cuts a probe short in that moment does not hear of a refusal, and would send the password again (FACTS 25).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable

import msgspec

from agent.probe.exchange import DialogueFailed
from agent.probe.login import Login
from agent.values.verdict import Outcome


class OnTheirWay:
    """Of all upstreams that are probed."""

    def __init__(self) -> None:
        self._upstreams: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._upstreams)

    def note_sent(self, upstream: str) -> None:
        self._upstreams.add(upstream)

    def note_heard(self, upstreams: Iterable[str]) -> None:
        """What became of theirs is known to whoever asked."""
        self._upstreams.difference_update(upstreams)


class Sending(msgspec.Struct, frozen=True):
    """Of one upstream. What is refused stays noted until the verdict of the whole probe is heard."""

    upstream: str = ""
    on_their_way: OnTheirWay | None = None  # None: nobody asks for it
    login: Login | None = None  # None: it is nobody else's

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """In which it is sent."""
        async with self.login.turn() if self.login is not None else contextlib.nullcontext():
            if self.on_their_way is not None:
                self.on_their_way.note_sent(self.upstream)
            try:
                yield
            except DialogueFailed as failure:
                if failure.outcome is Outcome.PROXY_AUTH:
                    self.note_refused()
                raise

    def note_refused(self) -> None:
        if self.login is not None:
            self.login.note_refused(self.upstream)

    def note_taken(self) -> None:
        if self.login is not None:
            self.login.note_taken(self.upstream)
        if self.on_their_way is not None:
            self.on_their_way.note_heard((self.upstream,))


UNNOTED = Sending()
