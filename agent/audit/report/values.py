"""What is on a page: bands with bars and marks, rows, and what they say of themselves.

Pure. Texts stand here as they are in the records; `markup` makes them safe.
Not known here: what a record looks like (`tell`), and how a page does (`page`).
"""

from __future__ import annotations

import datetime as dt
import enum
from typing import Final

import msgspec


class Tone(enum.Enum):
    """What a bar or a mark is, to the eye. The value is its class on the page."""

    HUE_1 = "h1"
    HUE_2 = "h2"
    HUE_3 = "h3"
    HUE_4 = "h4"
    HUE_5 = "h5"
    HUE_6 = "h6"
    HUE_7 = "h7"
    HUE_8 = "h8"
    PLAIN = "plain"
    UNKNOWN = "unknown"  # no agent ran, or it could not tell
    NONE = "none"  # nothing is there: offline, or Docker does not run
    BAD = "bad"
    WAITS = "waits"
    OTHERS = "others"  # not by the agent
    MIXED = "mixed"  # several marks as one, some of the agent's and some of others'


HUES: Final = tuple(tone for tone in Tone if tone.value[1:].isdigit())


class Bar(msgspec.Struct, frozen=True):
    """Something that lasted."""

    begin: dt.datetime
    end: dt.datetime
    label: str
    tone: Tone
    more: str = ""  # for who points at it
    is_open: bool = False  # it goes on after `end`


class Mark(msgspec.Struct, frozen=True):
    """Something that happened at a moment, and has a number in the table below."""

    at: dt.datetime
    number: int
    tone: Tone
    text: str


class Band(msgspec.Struct, frozen=True):
    """One line of the picture."""

    name: str
    bars: tuple[Bar, ...] = ()
    marks: tuple[Mark, ...] = ()
    summary: str = ""  # at its right end
    is_ground: bool = False  # drawn in the background of what happened there


class Key(msgspec.Struct, frozen=True):
    """What a colour stands for."""

    tone: Tone
    name: str
    means: str = ""
    is_ground: bool = False  # as it is drawn in the background


class Row(msgspec.Struct, frozen=True):
    """One record."""

    seq: int
    at: dt.datetime | None  # None: its time is no time
    event: str
    severity: str
    text: str
    by: str = ""
    diff: tuple[str, ...] = ()  # each with - or +
    where: tuple[str, ...] = ()  # the interfaces


class Cell(msgspec.Struct, frozen=True):
    """What one cell says; `seq`: of the record that says so."""

    text: str
    seq: int | None = None


class Listing(msgspec.Struct, frozen=True):
    """A table: what is counted, by number."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[Cell, ...], ...]
    nothing: str  # what is said if there is no line
    left_out: int = 0  # earlier ones, for which there was no room
    is_marked: bool = True  # its numbers stand in the picture


class Figure(msgspec.Struct, frozen=True):
    """A number to be seen from afar."""

    number: str
    what: str
    is_bad: bool = False


class Chain(msgspec.Struct, frozen=True):
    """Whether the records are what was written."""

    is_whole: bool
    says: str
    anchors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    last: str = ""  # seq:hash of the newest record: whoever keeps this page has an anchor


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that is on a page."""

    host: str
    begin: dt.datetime
    end: dt.datetime
    made: dt.datetime
    version: str
    headline: str
    figures: tuple[Figure, ...]
    bands: tuple[Band, ...]
    keys: tuple[Key, ...]
    listings: tuple[Listing, ...]
    rows: tuple[Row, ...]
    rows_left_out: int = 0  # earlier ones
    chain: Chain
    is_full: bool = False  # also where the laptop was
