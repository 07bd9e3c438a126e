"""The relay's report on itself, read as untrusted text: the relay parses what any container sends.

Links are not followed, the file must be the relay's own, and a text that is too long or malformed is ignored.
Not known here: what follows from it: a probe of the upstreams, a record and some numbers for `status`, nothing else.
"""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.system.files import open_to_read
from agent.system.passwd import logins
from agent.values.errors import AgentError
from agent.values.paths import Paths
from agent.values.relay import LARGEST_STATE, Orders, RelayState, state_in

USER: Final = "docker-proxy-relay"
TOLD_AGAIN_S: Final = 60.0  # one record a minute, however many sources
FELL_BACK_AGAIN_S: Final = 600.0  # one record in ten minutes for each upstream
_MOST_KNOWN: Final = 1000  # sources that were told of
_MOST_TOLD: Final = 20  # in one record


def state_of(paths: Paths) -> RelayState | None:
    """None: it does not run, or what it says does not count."""
    path = paths.relay_state
    try:
        return state_in(_read(path, _owner(paths)), str(path))
    except (OSError, AgentError):
        return None


def _owner(paths: Paths) -> int:
    """Whose file it must be."""
    if not paths.is_the_systems:
        return os.geteuid()
    passwd = paths.below("/etc/passwd").read_text(errors="replace")
    # Its socket's unit makes that user. Where another supervisor runs it, it has the agent's.
    return next((one.uid for one in logins(passwd) if one.name == USER), os.geteuid())


def _read(path: Path, owner: int) -> bytes:
    """Never waits: what is not a regular file of this owner's is refused before a byte is read."""
    descriptor = open_to_read(path, os.O_NOFOLLOW)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != owner:
            raise AgentError(str(path), "is not the relay's own file")
        return os.read(descriptor, LARGEST_STATE + 1)
    finally:
        os.close(descriptor)


class Refusals(msgspec.Struct, frozen=True):
    """The sources that were refused, as far as they were told of."""

    known: frozenset[str] = frozenset()
    told: float | None = None  # CLOCK_BOOTTIME

    def news(self, state: RelayState | None, now: float) -> tuple[tuple[str, ...], int]:
        """The sources to tell of now, and how often they came; () if there is nothing new, or it is too soon."""
        if state is None or (self.told is not None and now < self.told + TOLD_AGAIN_S):
            return (), 0
        came = {address: one.times for one in state.refused if (address := _address(one.source))}
        new = [address for address in came if address not in self.known][:_MOST_TOLD]
        return tuple(new), sum(came[address] for address in new)

    def after(self, sources: Iterable[str], now: float) -> Refusals:
        """A source with ever new addresses fills the list: then old ones are forgotten, and reported again."""
        known = self.known | frozenset(sources)
        return Refusals(known if len(known) <= _MOST_KNOWN else frozenset(sources), now)


class FallenBack(msgspec.Struct, frozen=True):
    """What upstreams that are not the first of the orders carried, as far as it was told of."""

    of: tuple[int, float] = (0, 0.0)  # the generation, and the start of the relay, that `counted` is of
    counted: Mapping[str, int] = {}  # connections
    told: Mapping[str, float] = {}  # CLOCK_BOOTTIME

    def news(self, state: RelayState | None, orders: Orders | None, now: float) -> tuple[FallenBack, Mapping[str, int]]:
        """What is known from now on, and what there is to tell: connections by upstream.

        The relay counts from its own start: what an upstream carried as the first of earlier orders is not news.
        """
        if state is None or orders is None or state.generation != orders.generation:
            return self, {}
        if orders.pac is not None:  # which sends some requests by another way than the first, and means it
            return self, {}
        others = {one.name for one in orders.upstreams[1:]}
        counts = {one.upstream: one.connections for one in state.carried if one.upstream in others}
        of, counted, told = (state.generation, state.started_s), dict(self.counted), dict(self.told)
        if of != self.of:
            counted, failed = dict(counts), state.failed
            if failed is not None and failed.generation == state.generation and self.of != FallenBack().of:
                counted[failed.used] = counted.get(failed.used, 0) - 1  # it came before the first look
        news = {}
        for name, count in counts.items():
            is_soon = name in told and now < told[name] + FELL_BACK_AGAIN_S
            if (more := count - counted.get(name, 0)) > 0 and not is_soon:
                news[name], counted[name], told[name] = more, count, now
        return FallenBack(of, counted, {name: at for name, at in told.items() if name in others}), news


def _address(source: str) -> str:
    """In its usual spelling, without a zone; '' for what is none, which nobody needs to read."""
    try:
        return str(ipaddress.ip_address(source.partition("%")[0]))
    except ValueError:
        return ""
