"""Spans on their way: what is so now, in every lane, and since when.

Pure. What a lane says lasts until it says something else. Where nobody looks any more, the lane goes on as not known,
with what was seen last, until somebody looks again. What is then found to be the very same (one start of Docker, by
systemd's id of it) has been so all the while, and stays one span.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from agent.audit.spans import Known, Lane, Span

# These are files in the state directory: they hold whether an agent looks or not. And that none runs is known.
_KNOWN_WITHOUT_AN_AGENT: Final = frozenset({Lane.AGENT, Lane.PINNED, Lane.PAUSED})


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a record says of one lane."""

    value: str | None
    seq: int
    known: Known = Known.SEEN
    because: str = ""
    identity: str = ""  # the same: it is the very same thing. '': there is no telling
    settings: Mapping[str, Any] | None = None
    cause: str = ""


class _Away(msgspec.Struct, frozen=True):
    """Nobody looks."""

    since: dt.datetime
    known: Known
    because: str
    seq: int


class _Open(msgspec.Struct, frozen=True):
    begin: dt.datetime
    said: Said
    away: _Away | None = None


class Lanes:
    """All of one log."""

    def __init__(self) -> None:
        self._open: dict[tuple[Lane, str], _Open] = {}
        self._over: dict[tuple[Lane, str], dt.datetime] = {}  # when what is over ended
        self._nobody: _Away | None = None
        self._run = 0  # how often the clock was set back

    def says(self, lane: Lane, at: dt.datetime, said: Said, about: str = "") -> Iterator[Span]:
        """From `at` on it is so. Yields what it ends."""
        before = self._open.get((lane, about))
        if before is not None:
            if said.identity and said.identity == before.said.identity:
                away = self._away(lane, max(at, before.begin))  # the second record may tell an earlier time
                self._open[lane, about] = _Open(before.begin, _completed(before.said, said), away)
                return
            at = max(at, before.begin)
            yield from self._closed((lane, about), before, at, said.seq)
        at = max(at, self._over.get((lane, about), at))  # what is told of before may be told too late
        self._open[lane, about] = _Open(at, said, self._away(lane, at))

    def ends(self, lane: Lane, at: dt.datetime, seq: int, about: str = "") -> Iterator[Span]:
        """It is not so any more, and nothing is in its place."""
        before = self._open.pop((lane, about), None)
        if before is not None:
            at = self._over[lane, about] = max(at, before.begin)
            yield from self._closed((lane, about), before, at, seq)

    def ends_all(self, lane: Lane, at: dt.datetime, seq: int) -> Iterator[Span]:
        """The same, whatever it is about."""
        for kept, about in [*self._open]:
            if kept is lane:
                yield from self.ends(lane, at, seq, about)

    def value(self, lane: Lane, about: str = "") -> Said | None:
        """What was said last; None: nothing, or that it is over."""
        one = self._open.get((lane, about))
        return one.said if one is not None else None

    def is_seen(self, lane: Lane, about: str = "") -> bool:
        """Whether it is known what is so."""
        one = self._open.get((lane, about))
        return one is not None and one.away is None and one.said.known is Known.SEEN

    def away_since(self, lane: Lane, about: str = "") -> dt.datetime | None:
        """Since when nobody has looked; None: somebody does."""
        one = self._open.get((lane, about))
        return one.away.since if one is not None and one.away is not None else None

    def is_named(self, lane: Lane, about: str) -> None:
        """Records of before did not say what they are about: it is this."""
        if about and (lane, "") in self._open and (lane, about) not in self._open:
            self._open[lane, about] = self._open.pop((lane, ""))

    def goes_on(self, lane: Lane, about: str = "") -> None:
        """It has been so all the while, whether somebody looked or not."""
        if (lane, about) in self._open:
            self._open[lane, about] = msgspec.structs.replace(self._open[lane, about], away=None)

    def leave_others(self, lane: Lane, about: str, since: dt.datetime, seq: int) -> None:
        """Of all that this lane was about, only this one is looked at from now on."""
        for (other, one_about), one in self._open.items():
            if other is lane and one_about != about and one.away is None:
                away = _Away(max(since, one.begin), Known.NOT_SERVED, Known.NOT_SERVED.value, seq)
                self._open[lane, one_about] = msgspec.structs.replace(one, away=away)

    def nobody_looks(self, since: dt.datetime, known: Known, because: str, seq: int = 0) -> None:
        """From `since` on, until `somebody_looks`: what is said now is known for this moment only."""
        self.leave(since, known, because, seq)
        self._nobody = _Away(since, known, because, seq)

    def somebody_looks(self) -> None:
        self._nobody = None

    def leave(self, since: dt.datetime, known: Known, because: str, seq: int = 0) -> None:
        """What is so since then is not known, lane by lane until it is said anew."""
        for (lane, about), one in self._open.items():
            if one.away is None and _is_lost(lane, known):
                away = _Away(max(since, one.begin), known, because, seq)
                self._open[lane, about] = msgspec.structs.replace(one, away=away)

    def set_back(self, before: dt.datetime, after: dt.datetime) -> Iterator[Span]:
        """The clock: `before` was followed by `after`, which is earlier."""
        self._over.clear()
        for key, one in [*self._open.items()]:
            yield from self._closed(key, one, max(before, one.begin), 0)
            away = one.away and msgspec.structs.replace(one.away, since=after)
            self._open[key] = _Open(after, one.said, away)
        self._run += 1
        self._nobody = self._nobody and msgspec.structs.replace(self._nobody, since=after)

    def now(self) -> Iterator[Span]:
        """What is still so."""
        for key, one in self._open.items():
            yield from self._closed(key, one, None, 0)

    def _closed(self, key: tuple[Lane, str], one: _Open, end: dt.datetime | None, end_seq: int) -> Iterator[Span]:
        for span in _closed(key, one, end, end_seq):
            yield msgspec.structs.replace(span, run=self._run) if self._run else span

    def _away(self, lane: Lane, at: dt.datetime) -> _Away | None:
        nobody = self._nobody
        if nobody is None or not _is_lost(lane, nobody.known):
            return None
        return _Away(max(at, nobody.since), nobody.known, nobody.because, nobody.seq)


def _is_lost(lane: Lane, known: Known) -> bool:
    """Whether nobody looks any more for what this lane is about."""
    if known is Known.NO_AGENT:
        return lane not in _KNOWN_WITHOUT_AN_AGENT
    return known is Known.MISSING or lane not in {Lane.PINNED, Lane.PAUSED}


def _completed(before: Said, said: Said) -> Said:
    """The same thing said twice: the second time it may say what the first time did not."""
    if before.known is not Known.NOT_SAID:
        return before
    return msgspec.structs.replace(said, cause=before.cause or said.cause, because=before.because or said.because)


def _closed(key: tuple[Lane, str], one: _Open, end: dt.datetime | None, end_seq: int) -> Iterator[Span]:
    """What was seen, and what was not seen any more."""
    said, away = one.said, one.away
    span = Span(
        lane=key[0],
        about=key[1],
        begin=one.begin,
        end=end,
        value=said.value,
        known=said.known,
        because=said.because,
        seq=said.seq,
        end_seq=end_seq,
        settings=said.settings,
        cause=said.cause,
    )
    if away is None or (end is not None and end <= away.since):
        yield span
        return
    if one.begin < away.since:
        yield msgspec.structs.replace(span, end=away.since, end_seq=away.seq)
    yield msgspec.structs.replace(span, begin=away.since, known=away.known, because=away.because)
