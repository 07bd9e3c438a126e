"""Times as people write them."""

from __future__ import annotations

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from agent.values.moments import NoSuchTime, moment

BERLIN: Final = ZoneInfo("Europe/Berlin")
NOW: Final = dt.datetime(2026, 3, 4, 15, 30, tzinfo=BERLIN)  # a Wednesday; it is UTC + 1


def meant(text: str, now: dt.datetime = NOW, zone: dt.tzinfo = BERLIN) -> str:
    found = moment(text, now, zone)
    assert found.tzinfo is dt.UTC
    return f"{found.astimezone(zone):%Y-%m-%d %H:%M:%S}".removesuffix(":00")


@pytest.mark.parametrize(
    ("texts", "at"),
    [
        (["now"], "2026-03-04 15:30"),
        (["2h", "2h ago", "2 hours ago", "120m", "120 minutes ago", "1h60m ago", " 2H  AGO "], "2026-03-04 13:30"),
        (["1 hour ago", "60 min ago", "3600s", "3600 seconds ago"], "2026-03-04 14:30"),
        (["1d12h", "1 day 12 hours ago", "36h ago"], "2026-03-03 03:30"),
        (["1w", "1 week ago", "7 days ago", "7d"], "2026-02-25 15:30"),
        (["14:00", "today 14:00", "2026-03-04 14:00", "2026-03-04T14:00", "wednesday 14:00"], "2026-03-04 14:00"),
        (["9:05", "09:05", "09:05:00"], "2026-03-04 09:05"),
        (["14:00:07"], "2026-03-04 14:00:07"),
        (["16:00"], "2026-03-04 16:00"),  # of today, also if it is still to come
        (["today", "2026-03-04", "wed"], "2026-03-04 00:00"),
        (["yesterday", "2026-03-03", "tuesday", "Tue"], "2026-03-03 00:00"),
        (["yesterday 9:30", "tue 09:30"], "2026-03-03 09:30"),
        (["thursday"], "2026-02-26 00:00"),
        (["2026-03-01T09:12:04Z", "2026-03-01T10:12:04+01:00", "2026-03-01T10:12:04"], "2026-03-01 10:12:04"),
        (["2026-03-01T09:12:04.500000Z"], "2026-03-01 10:12:04"),
    ],
    ids=lambda part: part[0] if isinstance(part, list) else "",
)
def test_what_people_write(texts: list[str], at: str) -> None:
    assert {meant(text) for text in texts} == {at}


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "soon", "14", "25:00", "14:60", "2h 14:00", "ago", "h", "2 fortnights ago", "yesterday 2h", "yesterday at 9",
        "2026-13-01", "2026-02-30", "9999999999d", "0001-01-01", "tomorrow", "٢h", "-2h", "2h ago ago",
    ],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(NoSuchTime, match="is not a time, such as"):
        moment(text, NOW, dt.timezone(dt.timedelta(hours=9)))


def test_hours_ago_are_hours_and_days_of_the_calendar_are_days() -> None:
    after = dt.datetime(2026, 3, 29, 12, 0, tzinfo=BERLIN)  # at 02:00 clocks were put forward

    assert meant("24h ago", after) == "2026-03-28 11:00"
    assert meant("1d", after) == "2026-03-28 11:00"
    assert meant("yesterday 12:00", after) == "2026-03-28 12:00"
    assert meant("today", after) == "2026-03-29 00:00"


def test_a_time_that_was_twice_is_the_first_and_with_an_offset_either() -> None:
    now = dt.datetime(2026, 10, 25, 12, 0, tzinfo=BERLIN)

    assert moment("02:30", now, BERLIN).isoformat() == "2026-10-25T00:30:00+00:00"
    assert moment("2026-10-25T02:30+01:00", now, BERLIN).isoformat() == "2026-10-25T01:30:00+00:00"


def test_a_time_that_was_not_is_refused() -> None:
    with pytest.raises(NoSuchTime, match="02:30 did not exist on 2026-03-29: the clocks went forward"):
        moment("02:30", dt.datetime(2026, 3, 29, 12, 0, tzinfo=BERLIN), BERLIN)


def test_a_day_whose_midnight_was_not_begins_when_it_began() -> None:
    beirut = ZoneInfo("Asia/Beirut")

    assert meant("2026-03-29", dt.datetime(2026, 3, 29, 12, 0, tzinfo=beirut), beirut) == "2026-03-29 01:00"


def test_today_is_today_where_the_reader_is() -> None:
    """In UTC it is still yesterday."""
    now = dt.datetime(2026, 3, 3, 20, 0, tzinfo=dt.UTC)
    tokyo = ZoneInfo("Asia/Tokyo")

    assert meant("today", now, tokyo) == "2026-03-04 00:00"
    assert meant("00:30", now, tokyo) == "2026-03-04 00:30"
