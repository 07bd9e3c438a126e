"""The picture: a band above the other, time from left to right, as one SVG.

Pure. Places are shares of its width, and heights are pixels: so it is as wide as the paper or the telephone, and its
letters stay as large as they are. A label is shown where its bar is wide enough for it on this kind of page; what has
none says it when it is pointed at, and stands in the tables in any case.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from agent.audit.report.axis import Tick, ticks
from agent.audit.report.markup import NOTHING, Markup, percent, tag
from agent.audit.report.values import Band, Bar, Key, Mark, Tone
from agent.audit.report.words import clock, is_one_day, length, moment

_CAPTION: Final = 20  # pixels, the name of a band
_TALL: Final = 26  # a bar
_GAP: Final = 14
_AXIS: Final = 26
_MOST_SAID: Final = 12  # marks in one text
_RADIUS: Final = 8.5  # of a mark
_LETTER: Final = 7.4  # pixels of a letter of a label, in the widest of the fonts that may be there
_INDENT: Final = 8  # of a label in its bar
_BESIDE_A_MARK: Final = 16
_THIN: Final = 1 / 150  # of the width: two pixels on a telephone. What is shorter has a line, so that it is not lost
# How wide the picture is at least, in pixels, where many marks are told apart, and on a telephone.
_ROOM: Final = {"roomy": 640, "tight": 320}
# How wide a page has to be to show a label, in pixels: a telephone, a sheet of A4, a screen.
_FITS: Final = ((352, ""), (681, "paper"), (1061, "screen"))
_MARGINS: Final = 32


class _Scale(msgspec.Struct, frozen=True):
    begin: dt.datetime
    length_s: float

    def at(self, moment: dt.datetime) -> float:
        return min(1.0, max(0.0, (moment - self.begin).total_seconds() / self.length_s))


def _scale(begin: dt.datetime, end: dt.datetime) -> _Scale:
    return _Scale(begin, max((end - begin).total_seconds(), 1e-6))


def timeline(bands: Sequence[Band], begin: dt.datetime, end: dt.datetime) -> Markup:
    scale = _scale(begin, end)
    bottom = len(bands) * (_CAPTION + _TALL + _GAP)
    marked = ticks(begin, end)
    return tag(
        "svg",
        _patterns(),
        *(_grid(tick, scale, bottom) for tick in marked),
        *_moves(bands, scale, bottom),
        *(
            _band(band, number * (_CAPTION + _TALL + _GAP), scale, is_one_day=is_one_day(begin, end))
            for number, band in enumerate(bands)
        ),
        *_axis(marked, scale, bottom),
        class_="timeline",
        width="100%",
        height=bottom + _AXIS,
        role="group",
        aria_label="What the records say, over time",
    )


def _patterns() -> Markup:
    """What is not known, and what is not there: no colour, so that nobody reads one into it."""
    stripes = tag("path", d="M-2 2L2 -2M0 8L8 0M6 10L10 6", class_="stripes")
    return tag(
        "defs",
        tag("pattern", tag("rect", width=8, height=8, class_="under"), stripes,
            id="unknown", width=8, height=8, patternUnits="userSpaceOnUse"),
    )  # fmt: skip


def _grid(tick: Tick, scale: _Scale, bottom: float) -> Markup:
    x = percent(scale.at(tick.at))
    kind = "grid day" if tick.is_day else "grid"
    return tag("line", x1=x, x2=x, y1=_CAPTION, y2=bottom, class_=kind)


def _moves(bands: Sequence[Band], scale: _Scale, bottom: float) -> Iterator[Markup]:
    """Where the ground changes, through all bands: what follows from a move stands right of its line."""
    for band in bands:
        begins = [bar.begin for bar in band.bars[1:]] if band.is_ground else []
        if len(begins) <= 40:
            for at in begins:
                x = percent(scale.at(at))
                yield tag("line", x1=x, x2=x, y1=_CAPTION, y2=bottom, class_="move")


def _axis(marked: Sequence[Tick], scale: _Scale, bottom: float) -> Iterator[Markup]:
    yield tag("line", x1="0", x2="100%", y1=bottom, y2=bottom, class_="axis")
    for tick in marked:
        at = scale.at(tick.at)
        anchor = "start" if at < 0.03 else "end" if at > 0.97 else "middle"
        kind = f"time {anchor}{' day' if tick.is_day else ''}{'' if tick.is_on_a_phone else ' paper'}"
        yield tag("text", tick.label, x=percent(at), y=bottom + 17, class_=kind)


def _band(band: Band, top: float, scale: _Scale, *, is_one_day: bool) -> Markup:
    under = top + _CAPTION
    tells = _Tells(is_one_day)
    pills = {kind: _pills(band.marks, scale, width) for kind, width in _ROOM.items()}
    return tag(
        "g",
        tag("text", band.name, x=0, y=top + 13, class_="name"),
        tag("text", band.summary, x="100%", y=top + 13, class_="summary end paper") if band.summary else NOTHING,
        tag("rect", x=0, y=under, width="100%", height=_TALL, class_="bed"),
        *(_bar(bar, under, scale, tells, pills=pills) for bar in band.bars),
        # Where there is room for more of them, more are told apart: one of the two is shown.
        *(
            tag("g", *(_mark(band.marks[pill.begin : pill.end], pill, under, tells) for pill in ones), class_=kind)
            for kind, ones in pills.items()
            if ones
        ),
        class_="band ground" if band.is_ground else "band",
    )


class _Tells(msgspec.Struct, frozen=True):
    """What is said to who points at something."""

    is_one_day: bool

    def at(self, at: dt.datetime) -> str:
        return clock(at) if self.is_one_day else moment(at)

    def of(self, bar: Bar) -> Iterator[str]:
        lasted = length((bar.end - bar.begin).total_seconds())
        until = f"{self.at(bar.end)} and on" if bar.is_open else self.at(bar.end)
        yield bar.label
        yield Markup(f": {self.at(bar.begin)} to {until} ({lasted})")  # no word of others' is in it
        if bar.more:
            yield Markup("\n")
            yield bar.more

    def of_marks(self, marks: Sequence[Mark]) -> Iterator[str]:
        for mark in marks[:_MOST_SAID]:
            yield Markup(f"{mark.number}: {self.at(mark.at)} ")
            yield mark.text
            yield Markup("\n")
        if len(marks) > _MOST_SAID:
            yield f"and {len(marks) - _MOST_SAID} more"


def _bar(bar: Bar, top: float, scale: _Scale, tells: _Tells, *, pills: _Pills) -> Markup:
    x, width = scale.at(bar.begin), scale.at(bar.end) - scale.at(bar.begin)
    # The gap to the bar before it; a thin one has no room for a gap.
    edge = tag("line", x1=0, x2=0, y1=0, y2=_TALL, class_="thin" if width < _THIN else "gap")
    return tag(
        "svg",
        tag("title", *tells.of(bar)),
        tag("rect", width="100%", height=_TALL, class_="block"),
        _label(bar, x, width, pills),
        edge,
        x=percent(x),
        y=top,
        width=percent(width),
        height=_TALL,
        class_=f"bar {bar.tone.value}{' thin' if width < _THIN else ''}",
    )


def _label(bar: Bar, x: float, width: float, pills: _Pills) -> Markup:
    indent = _BESIDE_A_MARK if any(pills.values()) else _INDENT
    letters = len(bar.label) * _LETTER
    for page, kind in _FITS:
        shown = page - _MARGINS  # of the picture
        is_wide_enough = letters + 2 * indent <= width * shown
        marks = pills["roomy" if shown >= _ROOM["roomy"] else "tight"]
        # To the left of it: at its very beginning. To the right: there it is on a wider page, too.
        is_free = all(pill.at <= x or pill.at * shown - pill.half > x * shown + indent + letters for pill in marks)
        if is_wide_enough and is_free:
            return tag("text", bar.label, x=indent, y=17, class_=f"label {kind}".strip())
    return NOTHING


class _Pill(msgspec.Struct, frozen=True):
    """Marks that would cover each other, drawn as one: these of the band."""

    begin: int
    end: int
    first: Mark
    last: Mark
    left: float  # of the width: where its first one is, and its last one
    right: float

    @property
    def at(self) -> float:
        return (self.left + self.right) / 2

    @property
    def numbers(self) -> str:
        first, last = self.first.number, self.last.number
        numbers = str(first) if first == last else f"{first}–{last}"
        return numbers if len(numbers) < 6 else f"×{self.end - self.begin}"  # there is no room for more

    @property
    def half(self) -> float:
        """Of its width, in pixels."""
        return max(_RADIUS, 3.3 * len(self.numbers) + 4)

    def covers(self, later: _Pill, width: int) -> bool:
        return (later.at - self.at) * width < self.half + later.half + 1

    def with_(self, later: _Pill) -> _Pill:
        return _Pill(self.begin, later.end, first=self.first, last=later.last, left=self.left, right=later.right)


_Pills = dict[str, list[_Pill]]  # as they are with much room, and with little


def _pills(marks: Sequence[Mark], scale: _Scale, width: int) -> list[_Pill]:
    """For a picture that is `width` pixels wide, or wider."""
    found: list[_Pill] = []
    for number, mark in enumerate(marks):
        at = scale.at(mark.at)
        pill = _Pill(number, number + 1, first=mark, last=mark, left=at, right=at)
        while found and found[-1].covers(pill, width):
            pill = found.pop().with_(pill)
        found.append(pill)
    return found


def _mark(marks: Sequence[Mark], pill: _Pill, top: float, tells: _Tells) -> Markup:
    half = pill.half
    tone = tone_of(marks)
    title = tag("title", *tells.of_marks(marks))
    shape = tag("rect", x=-half, y=_TALL / 2 - _RADIUS, width=2 * half, height=2 * _RADIUS, rx=_RADIUS, class_="block")
    number = tag("text", pill.numbers, x=0, y=_TALL / 2 + 4, class_="number middle")
    return tag("svg", title, shape, number, x=percent(pill.at), y=top, class_=f"mark {tone.value}")


def tone_of(marks: Sequence[Mark]) -> Tone:
    """Of those that are drawn as one."""
    tones = Counter(mark.tone for mark in marks)
    if Tone.BAD in tones:
        return Tone.BAD
    return Tone.MIXED if {Tone.PLAIN, Tone.OTHERS} <= {*tones} else tones.most_common(1)[0][0]


def mixes(band: Band, begin: dt.datetime, end: dt.datetime) -> bool:
    """Whether marks of the agent's and of others' are drawn as one somewhere, on a screen or on a telephone."""
    scale = _scale(begin, end)
    pills = (pill for width in _ROOM.values() for pill in _pills(band.marks, scale, width))
    return any(tone_of(band.marks[pill.begin : pill.end]) is Tone.MIXED for pill in pills)


def swatch(key: Key) -> Markup:
    """The colour beside its meaning."""
    block = tag("rect", width=16, height=12, rx=2, class_="block")
    ground = " ground" if key.is_ground else ""
    return tag("svg", block, class_=f"swatch {key.tone.value}{ground}", width=16, height=12)
