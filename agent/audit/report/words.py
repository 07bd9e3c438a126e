"""Times and lengths as the page says them, in the time zone of who reads it.

Pure, but for the time zone: that is the system's.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from agent.values.moments import fold_of

_AN_HOUR: Final = dt.timedelta(hours=1)
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"))


def local_time(at: dt.datetime) -> dt.datetime:
    """As the clock on the wall shows it. A record may have any time: at both ends of the calendar it stays UTC."""
    try:
        return at.astimezone()
    except (OverflowError, ValueError, OSError):
        return at


def length(seconds: float) -> str:
    """`0.7 s`, `42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    for (size, unit), (smaller, its_unit) in zip(_UNITS, (*_UNITS[1:], (1, "s")), strict=True):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {its_unit}" if rest else f"{whole // size} {unit}"
    raise AssertionError(whole)


def clock(at: dt.datetime) -> str:
    local = local_time(at)
    return f"{local:%H:%M:%S}{fold_of(local)}"


def day(at: dt.datetime) -> str:
    local = local_time(at)
    return f"{local:%A}, {local.day} {local:%B %Y}"


def moment(at: dt.datetime) -> str:
    local = local_time(at)
    return f"{local.day} {local:%b %H:%M:%S}{fold_of(local)}"


def is_one_day(begin: dt.datetime, end: dt.datetime) -> bool:
    return local_time(begin).date() == local_time(end).date()


def period(begin: dt.datetime, end: dt.datetime) -> str:
    """`Monday, 2 March 2026, 08:00 to 18:30`."""
    first, last = local_time(begin), local_time(end)
    if first.date() == last.date():
        shown = "%H:%M" if end - begin >= _AN_HOUR else "%H:%M:%S"
        return f"{day(first)}, {first:{shown}}{fold_of(first)} to {last:{shown}}{fold_of(last)}"
    of_last = f"{last.day} {last:%B %Y, %H:%M}{fold_of(last)}"
    year = "" if first.year == last.year else f" {first.year}"
    return f"{first.day} {first:%B}{year}, {first:%H:%M}{fold_of(first)} to {of_last}"


def zone(begin: dt.datetime, end: dt.datetime) -> str:
    """`CET (UTC+01:00)`, or both where the clocks change."""
    names = dict.fromkeys(_zone(local_time(at)) for at in (begin, end))
    return ", then ".join(names)


def _zone(local: dt.datetime) -> str:
    name, offset = local.tzname() or "", f"{local:%z}"
    by_number = f"UTC{offset[:3]}:{offset[3:5]}"
    return "UTC" if offset.startswith("+0000") else f"{name} ({by_number})" if name.isalpha() else by_number


def share(part: float, whole: float) -> str:
    """In per cent: never 100 % of what is not all, nor 0 % of what is not nothing."""
    if whole <= 0 or part >= whole:
        return "100 %"
    if part <= 0:
        return "0 %"
    percent = 100 * part / whole
    return f"{min(max(percent, 0.1), 99.9):.1f} %" if percent < 10 or percent > 90 else f"{percent:.0f} %"


def count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
