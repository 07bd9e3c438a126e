"""The tables of the page: what the numbers in the picture count, and what others did, line by line.

Pure. Each ends with the newest line; what there is no room for is counted. Not known here: how a table looks
(`tables.py`).
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import msgspec

from agent.audit.orders import Answered
from agent.audit.ran import Ran
from agent.audit.report.others import ByOthers
from agent.audit.report.starts import STARTED_BY, ShownStart
from agent.audit.report.values import Cell, Listing
from agent.audit.report.words import clock, is_one_day, length, moment
from agent.audit.spans import Known, Outage, Span

MOST_LINES: Final = 500  # of a table


class Period(msgspec.Struct, frozen=True):
    """What the page is about."""

    begin: dt.datetime
    end: dt.datetime

    def has(self, at: dt.datetime | None) -> bool:
        return at is not None and self.begin <= at < self.end

    def has_a_part_of(self, begin: dt.datetime, end: dt.datetime | None) -> bool:
        """None: it goes on."""
        return begin < self.end and (end is None or end > self.begin)

    def part_of(self, begin: dt.datetime, end: dt.datetime | None) -> tuple[dt.datetime, dt.datetime]:
        """As much of it as lies within."""
        return max(begin, self.begin), min(end or self.end, self.end)

    @property
    def when(self) -> Callable[[dt.datetime], str]:
        """How its times are written."""
        return clock if is_one_day(self.begin, self.end) else moment


def outages(period: Period, lost: Collection[Outage], count: int) -> Listing:
    """`count`: also of those for which there is no room; so in all that have one."""
    return Listing(
        "Outages",
        ("From", "To", "Lasted", "Network", "Docker ran with", "Why"),
        tuple(_outage(period, one) for one in lost),
        "None that an agent saw.",
        left_out=count - len(lost),
    )


def _outage(period: Period, one: Outage) -> tuple[Cell, ...]:
    end = one.end or one.seen_until
    until = Cell("ongoing") if end is None else Cell(period.when(end), one.end_seq or None)
    lasted_s = one.lasted_s if one.lasted_s is not None else ((end or period.end) - one.begin).total_seconds()
    at_least = "" if one.end else "at least "
    ended = one.ended_by or one.ended_because
    return (
        Cell(period.when(one.begin), one.seq or None),
        until,
        Cell(f"{at_least}{length(lasted_s)}"),
        Cell(one.network),
        Cell(one.upstream or "none of the policy's"),
        Cell("; ".join(filter(None, (one.why or one.because, f"ended: {ended}" if ended else "")))),
    )


def starts(period: Period, those: Sequence[ShownStart]) -> Listing:
    """In the order of time."""
    return Listing(
        "Restarts of Docker, and what they cost",
        ("When", "By", "Took", "Containers", "Why", "Why at that time"),
        tuple(_start(period, one) for one in those[-MOST_LINES:]),
        "None.",
        left_out=max(0, len(those) - MOST_LINES),
    )


def _start(period: Period, one: ShownStart) -> tuple[Cell, ...]:
    took = "" if one.took_s is None else length(one.took_s)
    said = (one.by, took, one.containers, one.due, one.allowed)
    return (Cell(period.when(one.at), one.seq), *map(Cell, said))


def orders(period: Period, those: Sequence[Answered]) -> Listing:
    """Of the period."""
    return Listing(
        "Orders by people",
        ("When", "Who", "What", "Result"),
        tuple(_order(period, one) for one in those[-MOST_LINES:]),
        "Nobody gave the agent an order.",
        left_out=max(0, len(those) - MOST_LINES),
    )


def _order(period: Period, one: Answered) -> tuple[Cell, ...]:
    order = one.order
    said = (order.who, order.what, "; ".join(one.came_of_it))
    return (Cell(period.when(order.at), order.seq), *map(Cell, said))


def ran(period: Period, rows: Iterable[Ran]) -> Listing:
    """`rows`: of the whole log, from which those of the period are taken."""
    shown = deque[Ran](maxlen=MOST_LINES)  # of a large log there are many more
    in_period = 0
    for one in rows:
        if period.has_a_part_of(one.begin, one.end):
            shown.append(one)
            in_period += 1
    return Listing(
        "What Docker ran with",
        ("From", "To", "Lasted", "With", "Network", "Started by"),
        tuple(_ran(period, one) for one in shown),
        "No record says it.",
        left_out=in_period - len(shown),
        is_marked=False,
    )


def _ran(period: Period, one: Ran) -> tuple[Cell, ...]:
    begin, end = period.part_of(one.begin, one.end)
    runs = one.runs or f"not known: {one.why_not}"
    name = f" ({one.name})" if one.name else ""
    said = (
        length((end - begin).total_seconds()),
        f"{runs}{name}",
        one.network or "not known",
        STARTED_BY.get(one.cause, one.cause),
    )
    return (Cell(period.when(begin), one.seq), Cell(period.when(end)), *map(Cell, said))


def by_others(period: Period, those: Collection[ByOthers], count: int) -> Listing:
    """What they changed of the agent's."""
    return Listing(
        "What others changed",
        ("When", "File", "Owner", "New value", "Result"),
        tuple(_by_others(period, one) for one in those),
        "Nobody changed anything that the agent writes.",
        left_out=count - len(those),
        is_marked=False,
    )


def _by_others(period: Period, one: ByOthers) -> tuple[Cell, ...]:
    when = "" if one.at is None else period.when(one.at)
    return (Cell(when, one.seq), *map(Cell, (one.targets, one.owner, one.found, one.came_of_it)))


def away(period: Period, spans: Collection[Span], count: int) -> Listing:
    """Without an agent, or without one that could tell."""
    return Listing(
        "Times when no agent was watching",
        ("From", "To", "Lasted", "Why"),
        tuple(_away(period, one) for one in spans),
        "None: an agent was watching all the time.",
        left_out=count - len(spans),
        is_marked=False,
    )


def _away(period: Period, one: Span) -> tuple[Cell, ...]:
    begin, end = period.part_of(one.begin, one.end)
    why = one.because or str(one.known.value)
    if one.known is Known.UNCERTAIN:
        why = f"it {why} at some point in this time"
    lasted = length((end - begin).total_seconds())
    return (
        Cell(period.when(begin), one.seq or None),
        Cell(period.when(end), one.end_seq or None),
        *map(Cell, (lasted, why)),
    )
