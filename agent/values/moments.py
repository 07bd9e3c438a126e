"""Times as people write them: `14:00`, `yesterday 9:30`, `2h ago`, `monday`, `2026-03-01`, RFC 3339.

Pure: the time and the zone come in. A time without an offset is local, and of today without a day. A local time that
was twice, when clocks were put back, is the first of the two; one that was not, when they were put forward, is refused.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from agent.values.policy import Duration

_PART: Final = re.compile(
    r"(\d+(?:\.\d+)?) ?(ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|w|weeks?)(?: |(?=\d)|$)", re.ASCII
)
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SUCH_AS: Final = 'such as "14:00", "yesterday 9:30", "2h ago", "2026-03-01" or "2026-03-01T09:12:04Z"'


class NoSuchTime(ValueError):
    """What was written is no time."""


def moment(text: str, now: dt.datetime, zone: dt.tzinfo | None = None) -> dt.datetime:
    """The moment that is meant, in UTC. `now` is aware; `zone`: None is the machine's. NoSuchTime: it is none."""
    written = " ".join(word for word in text.strip().lower().split(" ") if word)
    try:
        found = _ago(written, now) or _of_a_day(written, now, zone) or _dated(text.strip(), zone)
    except NoSuchTime:
        raise
    except (OverflowError, ValueError):  # a year that no calendar has
        found = None
    if found is None:
        raise NoSuchTime(f'"{text}" is not a time, {_SUCH_AS}')
    return found


def fold_of(local: dt.datetime) -> str:
    """` +02:00` behind a local time that was twice, when clocks were put back: which of the two it is. Else ''."""
    clock = local.replace(tzinfo=None)
    try:
        first, second = (clock.replace(fold=fold).astimezone().utcoffset() for fold in (0, 1))
    except (OverflowError, ValueError, OSError):  # at the beginning or the end of time
        return ""
    offset = f"{local:%z}"
    return f" {offset[:3]}:{offset[3:5]}" if first != second and offset else ""


def _ago(written: str, now: dt.datetime) -> dt.datetime | None:
    if written == "now":
        return now.astimezone(dt.UTC)
    length = written.removesuffix(" ago")
    parts = [*_PART.finditer(length)]
    if not parts or "".join(part[0] for part in parts) != length:
        return None
    seconds = sum(float(part[1]) * _SECONDS[part[2] if part[2] == "ms" else part[2][0]] for part in parts)
    if seconds > Duration.LONGEST:
        return None
    return now.astimezone(dt.UTC) - dt.timedelta(seconds=seconds)


def _of_a_day(written: str, now: dt.datetime, zone: dt.tzinfo | None) -> dt.datetime | None:
    """`14:00`, `today`, `yesterday 14:00`, `monday 9:30`; a day alone is its beginning."""
    first, _, rest = written.partition(" ")
    today = now.astimezone(zone).date()
    day = _day(first, today)
    clock = _clock(rest if day else written)
    if (rest and day and clock is None) or (day is None and clock is None):
        return None
    return _local(dt.datetime.combine(day or today, clock or dt.time()), zone, is_exact=clock is not None)


def _day(word: str, today: dt.date) -> dt.date | None:
    if word == "today":
        return today
    if word == "yesterday":
        return today - dt.timedelta(days=1)
    named = [number for number, name in enumerate(_DAYS) if word in (name, name[:3])]
    return today - dt.timedelta(days=(today.weekday() - named[0]) % 7) if named else None


def _clock(text: str) -> dt.time | None:
    found = _CLOCK.fullmatch(text)
    try:
        return dt.time(int(found[1]), int(found[2]), int(found[3] or 0)) if found else None
    except ValueError:
        return None


def _dated(text: str, zone: dt.tzinfo | None) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is not None:
        return found.astimezone(dt.UTC)
    return _local(found, zone, is_exact=found.time() != dt.time())


def _local(naive: dt.datetime, zone: dt.tzinfo | None, *, is_exact: bool) -> dt.datetime:
    """`is_exact`: else it is the beginning of a day, which is later where clocks are put forward at midnight."""
    found = (naive if zone is None else naive.replace(tzinfo=zone)).astimezone(dt.UTC)
    if is_exact and found.astimezone(zone).replace(tzinfo=None, fold=0) != naive:
        raise NoSuchTime(f"{naive:%H:%M} did not exist on {naive:%Y-%m-%d}: the clocks went forward")
    return found
