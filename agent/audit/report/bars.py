"""What lasted, as bars of the picture; so short that nobody could see it, several together.

Pure. However long a log is, a band has a few thousand bars at most.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

import msgspec

from agent.audit.report.values import Bar

_INVISIBLE: Final = 1 / 1500  # of the period: less than a pixel of a screen


class Bars:
    """Of one band, in the order of time."""

    def __init__(self, begin: dt.datetime, end: dt.datetime) -> None:
        self._begin, self._end = begin, end
        self._least = (end - begin) * _INVISIBLE
        self._bars: list[Bar] = []
        self._count = 0  # that are in the last one
        self._longest = dt.timedelta()  # of those: it gives them its colour

    def add(self, bar: Bar) -> None:
        """What of it is in the period."""
        if bar.end <= self._begin or bar.begin >= self._end:
            return
        if bar.begin < self._begin or bar.end > self._end:
            bar = msgspec.structs.replace(bar, begin=max(bar.begin, self._begin), end=min(bar.end, self._end))
        last = self._bars[-1] if self._bars else None
        if last is None or bar.begin < last.begin or bar.end - last.begin >= self._least:
            self._bars.append(bar)
            self._count, self._longest = 1, bar.end - bar.begin
            return
        is_longest = bar.end - bar.begin > self._longest
        shown = bar if is_longest else last
        self._count += 1
        self._longest = max(self._longest, bar.end - bar.begin)
        label = shown.label if bar.label == last.label else f"{self._count} that are too short to be drawn"
        self._bars[-1] = Bar(last.begin, bar.end, label, shown.tone, is_open=bar.is_open)

    def all(self) -> tuple[Bar, ...]:
        return tuple(self._bars)
