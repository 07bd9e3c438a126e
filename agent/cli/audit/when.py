"""Times and lengths on the command line and on the screen, in the reader's own zone."""

from __future__ import annotations

import argparse
import datetime as dt

from agent.audit.log import utc_now
from agent.values.moments import NoSuchTime, fold_of, moment


def a_moment(text: str) -> dt.datetime:
    try:
        return moment(text, utc_now())
    except NoSuchTime as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def local(when: dt.datetime) -> str:
    """To the second; with the offset where the clocks were put back, and the time was twice."""
    try:
        there = when.astimezone()
        return f"{there:%Y-%m-%d %H:%M:%S}{fold_of(there)}"
    except (OverflowError, ValueError):  # at the beginning or the end of time
        return when.isoformat()


def utc(when: dt.datetime | None) -> str | None:
    """For programs: RFC 3339."""
    return None if when is None else when.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def length(seconds: float) -> str:
    """In the two largest units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, below, its_name in ((86400, "days", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // below} {its_name}"
    return f"{whole} s"
