"""What Docker ran with, from when to when, and in which network.

Pure. What is not known of either stays so: "never direct at the office" is said only of the time in
which somebody looked.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

import msgspec

from agent.audit.heads import Head
from agent.audit.report.palette import Palette
from agent.audit.spans import Known, Lane, Span, Told
from agent.audit.texts import Texts
from agent.values.events import Event
from agent.values.policy import OFFLINE_NAME

DOWN = "did not run"


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """One way out, in one network. None: not known."""

    begin: dt.datetime
    end: dt.datetime | None  # None: it is still so where the log ends
    runs: str | None  # `direct`, its proxies, `did not run`
    upstream: str = ""  # whose settings these are, by the policy of then
    network: str | None
    why_not: str = ""  # it is not known
    cause: str = ""  # who started Docker: one of `dockerd.Cause`
    about: str = ""  # which Docker, where there are several
    seq: int  # of the record that says what it ran with

    def is_with(self, upstream: str) -> bool:
        return upstream in (self.upstream, self.runs)


class RanWith:
    """On its way along the log."""

    def __init__(self, palette: Palette | None = None) -> None:
        """`palette`: of somebody who reads the records for it, too."""
        self._docker: list[Span] = []
        self._networks: list[Span] = []
        self._palette = palette or Palette()
        self._texts = Texts()

    def note(self, head: Head) -> None:
        """A record, before what the account tells of it."""
        if head.event in (Event.AGENT_STARTED.value, Event.UPSTREAM_CHOSEN.value):
            self._palette.chosen = str(head.facts_of_today().get("upstream", ""))
        elif head.event == Event.APPLY_STARTED.value:
            self._palette.applies(head.facts_of_today())
        elif head.event == Event.RELAY_ENABLED.value:
            self._palette.relays(head.facts_of_today().get("listens"))

    def take(self, told: Iterable[Told]) -> None:
        for one in told:
            if isinstance(one, Span) and one.lane is Lane.DOCKER:
                self._docker.append(self._kept(one))
            elif isinstance(one, Span) and one.lane is Lane.NETWORK:
                self._networks.append(self._kept(one))

    def _kept(self, span: Span) -> Span:
        once = self._texts.once
        return msgspec.structs.replace(
            span,
            value=None if span.value is None else once(span.value),
            because=once(span.because), cause=once(span.cause), about=once(span.about),
        )  # fmt: skip

    def rows(self) -> Iterator[Ran]:
        """In the order of time; of one Docker they do not overlap, unless the clock was set back."""
        networks = sorted(self._networks, key=_begin)
        first = 0
        for span in sorted(self._docker, key=_begin):
            while first < len(networks) and _is_before(networks[first], span.begin):
                first += 1
            yield from self._in_networks(span, networks, first)

    def _in_networks(self, span: Span, networks: list[Span], first: int) -> Iterator[Ran]:
        at = span.begin
        for place in range(first, len(networks)):
            network = networks[place]
            if span.end is not None and network.begin >= span.end:
                break
            if _is_before(network, at):
                continue
            if network.begin > at:
                yield self._row(span, at, network.begin, None)
            begin = max(at, network.begin)
            ends = [end for end in (span.end, network.end) if end is not None]
            end = min(ends) if ends else None
            if end is None or end > begin:
                yield self._row(span, begin, end, network)
            if end is None:
                return
            at = max(at, end)
        if span.end is None or at < span.end:
            yield self._row(span, at, span.end, None)

    def _row(self, span: Span, begin: dt.datetime, end: dt.datetime | None, network: Span | None) -> Ran:
        is_known, is_there = span.known is Known.SEEN, network is not None and network.known is Known.SEEN
        unknown = span if not is_known else network
        why_not = "" if is_known and is_there else _why_not(unknown)
        return Ran(
            begin=begin,
            end=end,
            runs=(span.value or DOWN) if is_known else None,
            upstream=self._palette.name_of(span) if is_known and span.value else "",
            network=(network.value or OFFLINE_NAME) if network is not None and is_there else None,
            why_not=why_not,
            cause=span.cause if is_known else "",
            about=span.about,
            seq=span.seq,
        )


def _why_not(span: Span | None) -> str:
    if span is None:
        return "no record says it"
    return span.because if span.known is Known.MISSING else str(span.known.value)


def _begin(span: Span) -> dt.datetime:
    return span.begin


def _is_before(span: Span, at: dt.datetime) -> bool:
    return span.end is not None and span.end <= at
