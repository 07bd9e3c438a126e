"""Records become what is on a page: `report(heads, asked, chain)`.

Pure. What was so when is the account's (`audit/account.py`); here it gets a colour, a number and a place on the page.
Only the latest records of a long period have rows. The picture has all of them.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from agent.audit.account import Account
from agent.audit.heads import Head
from agent.audit.orders import Answered, Orders
from agent.audit.ran import RanWith
from agent.audit.report import listings
from agent.audit.report.bars import Bars
from agent.audit.report.listings import MOST_LINES, Period
from agent.audit.report.others import BY_OTHERS, ByOthers, by_others
from agent.audit.report.palette import Palette, key_of
from agent.audit.report.rows import row_of
from agent.audit.report.starts import STARTED_BY, ShownStart, in_words, of_restart
from agent.audit.report.summary import Sums, figures, headline, of_networks
from agent.audit.report.timeline import mixes
from agent.audit.report.values import Band, Bar, Chain, Key, Mark, Report, Tone
from agent.audit.report.words import count, length, moment
from agent.audit.spans import Break, Known, Lane, Outage, Restart, Span, Start, Told
from agent.audit.texts import Texts
from agent.values.dockerd import Cause
from agent.values.events import Event

# The clock of a machine without a battery begins here. What pretends to be older is drawn from here on.
_FIRST: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MOST_DOCKERS: Final = 8
MOST_ROWS: Final = 2000
_NONE: Final = {
    Lane.NETWORK: ("offline", Tone.NONE),
    Lane.CHOSEN: ("none works", Tone.BAD),
    Lane.DOCKER: ("does not run", Tone.NONE),
}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the page is to be about."""

    now: dt.datetime
    since: dt.datetime | None = None  # None: the first record
    until: dt.datetime | None = None  # None: now
    is_running: bool = True  # an agent, now
    is_full: bool = False  # also where the laptop was
    host: str = ""
    version: str = ""


def report(heads: Iterable[Head], asked: Asked, chain: Chain) -> Report:
    """`heads`: of the whole log, for what was so at `since` may have begun long before."""
    telling: _Telling | None = None
    account = Account()
    for head in heads:
        if telling is None:
            telling = _Telling(asked, asked.since or head.moment() or asked.now)
        telling.note(head)
        told = [*account.take(head)]
        telling.orders.take(head, told)
        telling.ran.take(told)
        telling.take(told)
    if telling is None:
        telling = _Telling(asked, asked.since or asked.now)
    told = [*account.now(agent_runs=asked.is_running)]
    telling.orders.end(told)
    telling.ran.take(told)
    telling.take(told)
    return telling.report(chain)


class _Telling:
    """On its way along the log."""

    def __init__(self, asked: Asked, begin: dt.datetime) -> None:
        self._asked = asked
        self._end = asked.until or asked.now
        # A first record of the future, by a clock that was set back since, begins nothing.
        self._begin = max(begin, _FIRST) if begin < self._end else self._end - dt.timedelta(days=1)
        self._period = Period(self._begin, self._end)
        self._palette = Palette()
        self._sums = Sums()
        self._network = self._bars()
        self._chosen = self._bars()
        self._docker: dict[str, Bars] = {}  # by unit
        self._relay = self._bars()
        self._outages = self._bars()
        self._waiting = self._bars()
        self._standing = self._bars()  # pins and pauses
        self._heads: deque[Head] = deque(maxlen=MOST_ROWS)
        self._in_period = 0  # records
        self._lost = deque[Outage](maxlen=MOST_LINES)
        self._by_others = deque[ByOthers](maxlen=MOST_LINES)
        self._away = deque[Span](maxlen=MOST_LINES)  # without an agent, or without one that could tell
        self._aways = self._others = 0  # also of those for which there is no room
        self._starts: list[ShownStart] = []
        self._texts = Texts()
        self.orders = Orders()
        self.ran = RanWith(self._palette)
        self._orders: list[Answered] = []
        self._breaks: list[Break] = []

    def _bars(self) -> Bars:
        return Bars(self._begin, self._end)

    # Records.

    def note(self, head: Head) -> None:
        """What is on the page of a record itself."""
        if self._period.has(head.moment()):
            self._heads.append(head)
            self._in_period += 1
            self._sums.moves += head.event == Event.NETWORK_CHANGED.value
            if head.event in BY_OTHERS:
                self._others += 1
                self._by_others.append(by_others(head, self._texts))
        if head.event in _NOTED:
            self._note(head, head.facts_of_today())

    def _note(self, head: Head, facts: Mapping[str, Any]) -> None:
        match head.event:
            case Event.AGENT_STARTED.value:
                self._palette.chosen = str(facts.get("upstream", ""))
            case Event.UPSTREAM_CHOSEN.value:
                self._palette.chosen = str(facts.get("upstream", ""))
            case Event.APPLY_STARTED.value:
                self._palette.applies(facts)
            case Event.RELAY_ENABLED.value:
                self._palette.relays(facts.get("listens"))

    # What the account says of them.

    def take(self, told: Iterable[Told]) -> None:
        for one in told:
            match one:
                case Span():
                    self._take_span(one)
                case Outage():
                    self._take_outage(one)
                case Restart() if self._period.has(one.at):
                    self._starts.append(of_restart(one, self._texts))
                    self._sums.restarted(one)
                case Start() if self._period.has(one.at) and one.by != Cause.AGENT.value:
                    self._take_start(one)
                case Break() if self._period.has(one.at):
                    self._breaks.append(one)

    def _take_start(self, one: Start) -> None:
        if one.since is None:
            self._starts.append(ShownStart(one.at, Tone.OTHERS, one.by, one.seq, due=one.because))
            return
        due = f"some time between {self._period.when(one.since)} and then: another start of Docker was found"
        self._starts.append(ShownStart(one.at, Tone.UNKNOWN, "not known: no agent was watching", one.seq, due=due))
        self._sums.unseen_starts += 1

    def _take_span(self, span: Span) -> None:
        begin, end = self._period.part_of(span.begin, span.end)
        if begin >= end and not (begin == end and self._period.has(begin)):
            return
        bars = self._bars_of(span)
        if bars is not None:
            bars.add(self._bar(span))
        if span.lane is Lane.AGENT and (span.value is None or span.known is not Known.SEEN):
            self._aways += 1
            self._away.append(span)
        if span.known is not Known.SEEN:
            return
        match span.lane:
            case Lane.AGENT if span.value is not None:
                self._sums.looked_s += (end - begin).total_seconds()
            case Lane.NETWORK:
                self._sums.was_in(span.value, (end - begin).total_seconds())

    def _take_outage(self, one: Outage) -> None:
        last = one.end or one.seen_until or self._end
        if not self._period.has_a_part_of(one.begin, last):
            return
        begin, end = self._period.part_of(one.begin, last)
        is_whole = (begin, end) == (one.begin, one.end) and one.lasted_s is not None
        lasted_s = (end - begin).total_seconds()
        if one.lasted_s is not None:  # no clock that was set for a moment makes it longer
            lasted_s = one.lasted_s if is_whole else min(one.lasted_s, lasted_s)
        self._sums.was_out(lasted_s)
        self._lost.append(one)
        more = "; ".join(filter(None, (f"by {one.upstream}" if one.upstream else "", one.why or one.because)))
        is_open = one.end is None and one.seen_until is None
        self._outages.add(Bar(begin, end, length(lasted_s), Tone.BAD, more=more, is_open=is_open))

    def _bars_of(self, span: Span) -> Bars | None:
        match span.lane:
            case Lane.NETWORK:
                return self._network
            case Lane.CHOSEN:
                return self._chosen
            case Lane.DOCKER:
                if span.about not in self._docker and len(self._docker) >= MOST_DOCKERS:
                    return None
                return self._docker.setdefault(span.about, self._bars())
            case Lane.RELAY:
                return self._relay
            case Lane.WAITING if span.known is Known.SEEN:
                return self._waiting
            case Lane.PINNED | Lane.PAUSED:
                return self._standing
        return None

    def _bar(self, span: Span) -> Bar:
        end = span.end or self._end
        label, tone, more = self._shown(span)
        return Bar(span.begin, end, label, tone, more=more, is_open=span.end is None or span.end > self._end)

    def _shown(self, span: Span) -> tuple[str, Tone, str]:
        """Label, colour, and what is said to who points at it."""
        palette, value = self._palette, span.value or ""
        if span.known is not Known.SEEN and (span.lane in _NONE or span.lane is Lane.RELAY):
            before = palette.name_of(span) or _NONE.get(span.lane, ("not said",))[0]
            return span.known.value, Tone.UNKNOWN, "" if span.known is Known.NOT_SAID else f"before: {before}"
        if span.value is None and span.lane in _NONE:
            return *_NONE[span.lane], span.because
        match span.lane:
            case Lane.NETWORK:
                return value, palette.of_network(value), span.because if self._asked.is_full else ""
            case Lane.DOCKER:
                name = palette.name_of(span)
                by = f"started by {STARTED_BY.get(span.cause, span.cause)}" if span.cause else ""
                return name, palette.of_upstream(name), "; ".join(filter(None, (value if value != name else "", by)))
            case Lane.RELAY if not value:
                return "no record says through which upstream", Tone.UNKNOWN, ""
            case Lane.WAITING:
                return "waits", Tone.WAITS, value
            case Lane.PINNED:
                return f"pinned: {value}", palette.of_upstream(value), span.because
            case Lane.PAUSED:
                return "paused", Tone.WAITS, span.because
        return value, palette.of_upstream(value), span.because

    # The page.

    def report(self, chain: Chain) -> Report:
        self._sums.looked_s = min(self._sums.looked_s, (self._end - self._begin).total_seconds())
        self._orders = [one for one in self.orders.found if self._period.has(one.order.at)]
        starts = sorted(self._starts, key=lambda one: one.at)
        rows = tuple(row_of(head, is_full=self._asked.is_full) for head in self._heads)
        bands = (*self._bands(starts),)
        return Report(
            host=self._asked.host,
            begin=self._begin,
            end=self._end,
            made=self._asked.now,
            version=self._asked.version,
            headline=headline(self._sums),
            figures=figures(
                self._sums, starts=len(starts), orders=len(self._orders), records=self._in_period, chain=chain
            ),
            bands=bands,
            keys=tuple(self._keys(bands)),
            listings=(
                listings.outages(self._period, self._lost, self._sums.outages),
                listings.starts(self._period, starts),
                listings.orders(self._period, self._orders),
                listings.ran(self._period, self.ran.rows()),
                listings.by_others(self._period, self._by_others, self._others),
                listings.away(self._period, self._away, self._aways),
            ),
            rows=rows,
            rows_left_out=self._in_period - len(rows),
            chain=msgspec.structs.replace(chain, notes=(*chain.notes, *self._broken())),
            is_full=self._asked.is_full,
        )

    def _broken(self) -> Iterator[str]:
        for one in self._breaks[:MOST_LINES]:
            yield f"{moment(one.at)}, before record {one.seq}: {one.what}"

    def _bands(self, starts: list[ShownStart]) -> Iterator[Band]:
        sums = self._sums
        yield Band("Network", self._from_the_beginning(self._network), summary=of_networks(sums), is_ground=True)
        yield Band("Chosen upstream", self._from_the_beginning(self._chosen))
        dockers = sorted(self._docker.items()) or [("", self._bars())]
        for unit, bars in dockers:
            which = f" ({unit})" if unit and len(dockers) > 1 else ""
            yield Band(f"What Docker ran with{which}", self._from_the_beginning(bars))
        if behind := self._relay.all():
            yield Band("Behind the relay", behind, summary="while Docker was given it")
        lasted = f"{count(sums.outages, 'outage')}, {length(sums.outage_s)}" if sums.outages else "never"
        yield Band("Docker reached no registry", self._outages.all(), summary=lasted)
        marks = (Mark(one.at, number, one.tone, in_words(one)) for number, one in enumerate(starts, start=1))
        took = f", {length(sums.restart_s)} in all" if sums.restarts else ""
        by_agent = f"{sums.restarts or 'none'} by the agent{took}"
        yield Band("Restarts of Docker", self._waiting.all(), tuple(marks), summary=by_agent)
        orders = (
            Mark(one.order.at, number, Tone.PLAIN, f"{one.order.what}, by {one.order.who}")
            for number, one in enumerate(self._orders, start=1)
        )
        yield Band("Orders by people", self._standing.all(), tuple(orders), summary=str(len(self._orders) or "none"))

    def _from_the_beginning(self, bars: Bars) -> tuple[Bar, ...]:
        """Where no record says it yet, that is said."""
        told = bars.all()
        first = told[0].begin if told else self._end
        unknown = Bar(self._begin, first, "no record says it", Tone.UNKNOWN)
        return told if first <= self._begin else (unknown, *told)

    def _keys(self, bands: Iterable[Band]) -> Iterator[Key]:
        used = {bar.tone for band in bands for bar in band.bars if not band.is_ground}
        used |= {bar.tone for band in bands for bar in band.bars if bar.tone in (Tone.UNKNOWN, Tone.NONE)}
        yield from self._palette.keys_of_networks({bar.label for band in bands if band.is_ground for bar in band.bars})
        yield from self._palette.keys(used)
        used |= {mark.tone for band in bands for mark in band.marks}
        if any(mixes(band, self._begin, self._end) for band in bands):
            used.add(Tone.MIXED)
        yield from (key_of(tone) for tone in Tone if tone in used and key_of(tone).name)


_NOTED: Final = frozenset(
    one.value for one in (Event.AGENT_STARTED, Event.UPSTREAM_CHOSEN, Event.APPLY_STARTED, Event.RELAY_ENABLED)
)
