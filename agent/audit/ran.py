"""What Docker ran with, from when to when, in which network, and through which upstream the relay led it.

Pure. What is not known of these stays so: "never direct at the office" is said only of the time in
which somebody looked.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from agent.audit.heads import Head
from agent.audit.report.palette import RELAY, Palette
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
    upstream: str = ""  # whose settings these are, by the policy of then, or `the relay`
    behind: str | None = ""  # the upstream behind the relay; '' without it
    network: str | None
    why_not: str = ""  # it is not known
    cause: str = ""  # who started Docker: one of `dockerd.Cause`
    about: str = ""  # which Docker, where there are several
    seq: int  # of the record that says what it ran with

    def is_with(self, upstream: str) -> bool:
        """Whether Docker went by it."""
        return upstream in (self.upstream, self.behind, self.runs)

    @property
    def name(self) -> str:
        """What `runs` goes by, for a person; '' if that says it already."""
        if self.upstream in ("", self.runs):
            return ""
        if self.behind is None:
            return f"{self.upstream}; through which upstream is not known"
        return f"{self.upstream}, through {self.behind}" if self.behind else self.upstream


class RanWith:
    """On its way along the log."""

    def __init__(self, palette: Palette | None = None) -> None:
        """`palette`: of somebody who reads the records for it, too."""
        self._docker: list[Span] = []
        self._networks: list[Span] = []
        self._relays: list[Span] = []
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
            elif isinstance(one, Span) and one.lane is Lane.RELAY:
                self._relays.append(self._kept(one))

    def _kept(self, span: Span) -> Span:
        once = self._texts.once
        return msgspec.structs.replace(
            span,
            value=None if span.value is None else once(span.value),
            because=once(span.because), cause=once(span.cause), about=once(span.about),
        )  # fmt: skip

    def rows(self) -> Iterator[Ran]:
        """In the order of time; of one Docker they do not overlap, unless the clock was set back."""
        networks, relays = _Lane(self._networks), _Lane(self._relays)
        for span in sorted(self._docker, key=_begin):
            name = self._palette.name_of(span) if span.known is Known.SEEN and span.value else ""
            by_relay = relays.parts_of(span) if name == RELAY else iter([_Part(span.begin, span.end, None)])
            for (begin, end, network), (_, _, relay) in _both(networks.parts_of(span), by_relay):
                yield _row(span, begin, end, name=name, network=network, relay=relay)


class _Part(NamedTuple):
    """A part of a span of Docker's, and what was so in another lane then. None: no record says it."""

    begin: dt.datetime
    end: dt.datetime | None
    span: Span | None


class _Lane:
    """The spans of one lane, along those of Docker's, which are asked about in the order of time."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._spans = sorted(spans, key=_begin)
        self._first = 0

    def parts_of(self, span: Span) -> Iterator[_Part]:
        """Without a gap, from its begin to its end."""
        while self._first < len(self._spans) and _is_before(self._spans[self._first], span.begin):
            self._first += 1
        at = span.begin
        for place in range(self._first, len(self._spans)):
            one = self._spans[place]
            if span.end is not None and one.begin >= span.end:
                break
            if _is_before(one, at):
                continue
            if one.begin > at:
                yield _Part(at, one.begin, None)
            begin = max(at, one.begin)
            ends = [end for end in (span.end, one.end) if end is not None]
            end = min(ends) if ends else None
            if end is None or end > begin:
                yield _Part(begin, end, one)
            if end is None:
                return
            at = max(at, end)
        if span.end is None or at < span.end:
            yield _Part(at, span.end, None)


def _both(one: Iterator[_Part], other: Iterator[_Part]) -> Iterator[tuple[_Part, _Part]]:
    """Two of the same whole, cut where either is: each pair begins and ends together."""
    first, second = next(one, None), next(other, None)
    while first is not None and second is not None:
        ends = [part.end for part in (first, second) if part.end is not None]
        end = min(ends) if ends else None
        yield first._replace(end=end), second._replace(end=end)
        is_first_over, is_second_over = first.end == end, second.end == end
        if end is not None:
            first, second = first._replace(begin=end), second._replace(begin=end)
        first = next(one, None) if is_first_over else first
        second = next(other, None) if is_second_over else second


def _row(  # noqa: PLR0913 - named at its one call
    span: Span, begin: dt.datetime, end: dt.datetime | None, *, name: str, network: Span | None, relay: Span | None
) -> Ran:
    is_known = span.known is Known.SEEN
    is_there = network is not None and network.known is Known.SEEN
    behind = relay.value if relay is not None and relay.known is Known.SEEN else None
    unknown = [_why_not(span)] if not is_known else []
    unknown += [_why_not(network)] if not is_there else []
    unknown += [_why_not(relay)] if name == RELAY and not behind else []
    return Ran(
        begin=begin,
        end=end,
        runs=(span.value or DOWN) if is_known else None,
        upstream=name,
        behind=(behind or None) if name == RELAY else "",
        network=(network.value or OFFLINE_NAME) if network is not None and is_there else None,
        why_not=unknown[0] if unknown else "",
        cause=span.cause if is_known else "",
        about=span.about,
        seq=span.seq,
    )


def _why_not(span: Span | None) -> str:
    if span is None or span.known is Known.SEEN:  # a relay of which no record says what is behind it
        return "no record says it"
    return span.because if span.known is Known.MISSING else str(span.known.value)


def _begin(span: Span) -> dt.datetime:
    return span.begin


def _is_before(span: Span, at: dt.datetime) -> bool:
    return span.end is not None and span.end <= at
