"""Where the picture has its times, in the time zone of who reads it.

Pure, but for the time zone: that is the system's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final

import msgspec

MOST: Final = 12  # on a screen or a slide; a label takes 60 of its 1000 pixels
MOST_ON_A_PHONE: Final = 5
_STEPS: Final = tuple(
    dt.timedelta(seconds=seconds)
    for seconds in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
)
_DAY: Final = dt.timedelta(days=1)
_MONTHS: Final = (1, 3, 6, 12, 60, 240)
_DAYS: Final = (1, 2, 7, 14)


class Tick(msgspec.Struct, frozen=True):
    at: dt.datetime
    label: str
    is_on_a_phone: bool
    is_day: bool  # midnight, or the beginning of a month among days


def ticks(begin: dt.datetime, end: dt.datetime) -> tuple[Tick, ...]:
    """Round times from `begin` to `end`, few enough to be read."""
    candidates = _ladder(begin, end)
    wide = next((ones for ones in candidates if len(ones) <= MOST), candidates[-1])
    narrow = next((ones for ones in candidates if len(ones) <= MOST_ON_A_PHONE and {*ones} <= {*wide}), wide[:1])
    return tuple(Tick(at, _label(at, wide), at in narrow, _is_midnight(at)) for at in wide)


def _ladder(begin: dt.datetime, end: dt.datetime) -> list[list[dt.datetime]]:
    """The round times, finer ones first."""
    length = end - begin
    steps = [step for step in _STEPS if length / step <= 4 * MOST]
    days = [days for days in _DAYS if length / (days * _DAY) <= 4 * MOST]
    return [
        *([*_by_clock(begin, end, step)] for step in steps),
        *([*_by_day(begin, end, count)] for count in days),
        *([*_by_month(begin, end, months)] for months in _MONTHS),
    ]


def _by_clock(begin: dt.datetime, end: dt.datetime, step: dt.timedelta) -> Iterator[dt.datetime]:
    # By the clock on the wall, so that 12:00 is there on the day on which the clocks change, too.
    at = _midnight(begin)
    at += (begin.astimezone().replace(tzinfo=None) - at) // step * step
    yield from _within(begin, end, (at + number * step for number in range(int((end - begin) / step) + 8)))


def _by_day(begin: dt.datetime, end: dt.datetime, days: int) -> Iterator[dt.datetime]:
    # Counted from a Monday: with 7, each line is the beginning of a week.
    first = _midnight(begin)
    first -= dt.timedelta(days=(first.toordinal() - 1) % days)
    number = (end - begin) // (days * _DAY) + 3
    yield from _within(begin, end, (first + one * days * _DAY for one in range(number)))


def _by_month(begin: dt.datetime, end: dt.datetime, months: int) -> Iterator[dt.datetime]:
    first = _midnight(begin)  # in a zone like that of the others: none
    count = first.year * 12 + first.month - 1
    count -= count % months
    number = ((end - begin) // _DAY) // (28 * months) + 3
    firsts = (count + one * months for one in range(number) if count + one * months < 9999 * 12)
    yield from _within(begin, end, (first.replace(year=one // 12, month=one % 12 + 1, day=1) for one in firsts))


def _within(begin: dt.datetime, end: dt.datetime, local: Iterator[dt.datetime]) -> Iterator[dt.datetime]:
    for one in local:
        at = one.astimezone()
        if begin <= at <= end and at.replace(tzinfo=None) == one:  # not an hour that the clocks leave out
            yield at


def _midnight(at: dt.datetime) -> dt.datetime:
    """As the clock on the wall shows it, without a zone."""
    return at.astimezone().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)


def _is_midnight(at: dt.datetime) -> bool:
    return (at.hour, at.minute, at.second) == (0, 0, 0)


def _label(at: dt.datetime, all_of_them: list[dt.datetime]) -> str:
    is_by_month = len(all_of_them) > 1 and all(one.day == 1 and _is_midnight(one) for one in all_of_them)
    if is_by_month:
        return f"{at:%b %Y}"
    if _is_midnight(at):
        return f"{at:%a} {at.day} {at:%b}"
    is_by_second = any(one.second for one in all_of_them)
    return f"{at:%H:%M:%S}" if is_by_second else f"{at:%H:%M}"
