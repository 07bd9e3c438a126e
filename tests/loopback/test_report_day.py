"""The page of a day of roaming: its picture, its tables and its rows are what the lab knows of the day."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from typing import Any, Final

import pytest

from agent.audit.heads import heads
from agent.audit.report.page import page
from agent.audit.report.tell import Asked, report
from agent.audit.report.values import Bar, Chain, Listing, Report, Tone
from agent.audit.report.words import length
from tests.pure.test_report import Read

from .day import AGENT
from .day_known import AT_ONCE_S, DOWN, NOT_KNOWN, ROUNDED_S, Day, moment, outages_of, possible, until, upstream

OFFLINE, NOWHERE = "offline", "nowhere"  # the page's word for it, and the lab's
LEAST: Final = 1500  # the part of the period below which bars are drawn together


@pytest.fixture
def found(day: Day) -> Report:
    asked = Asked(now=dt.datetime.fromtimestamp(moment(day.records()[-1]["ts"]) + 1, dt.UTC), is_running=False)
    return report(heads(day.log), asked, Chain(is_whole=True, says=""))


def bars(found: Report, name: str) -> tuple[Bar, ...]:
    return next(band.bars for band in found.bands if band.name == name)


def wrong_about(day: Day, drawn: tuple[Bar, ...], may_be: Callable[[float], set[str]]) -> list[object]:
    """Where a bar is not what the lab knows: the moment, the bar, and what it may be."""
    period = (drawn[-1].end - drawn[0].begin).total_seconds()
    changes = (note["at"] for note in day.lab.notes("docker", "place", "begins", "ended", "dies", "agent"))
    times = sorted({*changes, *(at.timestamp() for bar in drawn for at in (bar.begin, bar.end))})
    wrong: list[object] = []
    for before, after in itertools.pairwise(times):
        at = (before + after) / 2
        for bar in drawn:
            if not bar.begin.timestamp() < at < bar.end.timestamp():
                continue
            if "too short to be drawn" in bar.label:
                assert (bar.end - bar.begin).total_seconds() < period / LEAST
            elif (NOT_KNOWN if bar.tone is Tone.UNKNOWN else bar.label) not in may_be(at):
                wrong.append((at, bar.label, may_be(at)))
    return wrong


def test_the_picture_is_without_a_gap(found: Report) -> None:
    for name in ("Network", "Chosen upstream", "What Docker ran with"):
        drawn = bars(found, name)
        assert (drawn[0].begin, drawn[-1].end) == (found.begin, found.end), name
        assert [one.end for one in drawn[:-1]] == [other.begin for other in drawn[1:]], name


def test_what_docker_ran_with_is_drawn_by_the_name_of_its_upstream(day: Day, found: Report) -> None:
    # After the log was deleted no record says it, until the next start does.
    next_start = next(ran.at for ran in day.docker if ran.at > day.deleted_at and ran.runs != DOWN)

    def may_be(at: float) -> set[str]:
        unknown = {NOT_KNOWN} if at <= until(day, next_start) else set()
        return {name for runs in possible(day, at) for name in names(runs)} | unknown

    assert wrong_about(day, bars(found, "What Docker ran with"), may_be) == []
    assert {"direct", "corp", "backup"} <= {bar.label for bar in bars(found, "What Docker ran with")}


def names(runs: Any) -> set[str]:
    """Under which a bar may have it: an upstream that the policy does not know goes by its address."""
    if runs in (NOT_KNOWN, DOWN):
        return {NOT_KNOWN if runs == NOT_KNOWN else "does not run"}
    return {"direct"} if runs == {"direct": True} else {upstream(runs), str(runs["http"])}


def test_the_network_is_where_the_laptop_was(day: Day, found: Report) -> None:
    places = [(note["at"], note["where"]) for note in day.lab.notes("place")]

    def may_be(at: float) -> set[str]:
        life = day.life_at(at)
        if life is None:
            return {NOT_KNOWN}
        told = max((act.ended for act in day.acts if act.ended <= at), default=life.began)
        now = [where for since, where in places if since <= told][-1:]
        come = [where for since, where in places if told <= since <= at + AT_ONCE_S]
        first, *_, last = [one for one in day.acts if life.began <= one.began <= life.ended]
        is_unknown = at <= first.ended or at >= last.began or at <= until(day, day.deleted_at) or day.is_lost(at)
        unknown = [NOT_KNOWN] if is_unknown else []
        return {OFFLINE if where == NOWHERE else where for where in (*now, *come, *unknown)}

    assert wrong_about(day, bars(found, "Network"), may_be) == []


def lines(found: Report, title: str) -> list[list[str]]:
    shown: Listing = next(one for one in found.listings if one.title.startswith(title))
    return [[cell.text for cell in line] for line in shown.lines]


def test_each_outage_is_drawn_and_has_its_line(day: Day, found: Report) -> None:
    drawn, outages = bars(found, "Docker reached no registry"), list(outages_of(day))

    assert len(drawn) == len(lines(found, "Outages")) == len(outages)
    for bar, (began, ended) in zip(drawn, outages, strict=True):
        assert began <= bar.begin.timestamp() <= until(day, began)
        assert ended <= bar.end.timestamp() <= until(day, ended)
    most = sum(until(day, ended) - began for began, ended in outages)
    least = sum(ended - until(day, began) for began, ended in outages)
    assert found.figures[1].what == f"in {len(outages)} outages"
    assert found.headline.startswith(found.figures[1].number)
    least, most = least - len(outages) * ROUNDED_S, most + len(outages) * ROUNDED_S
    assert found.figures[1].number in {length(least + part * (most - least) / 100) for part in range(101)}


def test_each_start_of_docker_has_a_number_and_a_line(day: Day, found: Report) -> None:
    (marks,) = (band.marks for band in found.bands if band.name == "Restarts of Docker")
    starts = [ran for ran in day.docker if ran.runs != DOWN and ran.at > day.deleted_at and day.life_at(ran.at)]
    by_others = [ran for ran in starts if ran.by != AGENT]

    began = [life.began for life in day.lives]
    unseen = [
        ran for ran in day.docker if ran.runs != DOWN and not day.life_at(ran.at) and began[1] < ran.at < began[-1]
    ]
    assert len([mark for mark in marks if mark.tone is Tone.UNKNOWN]) == len(unseen) == 1
    assert [mark.number for mark in marks] == [*range(1, len(lines(found, "Restarts")) + 1)]
    others = [mark.at.timestamp() for mark in marks if mark.tone is Tone.OTHERS]
    assert [int(at) for at in others] == [int(ran.at) for ran in by_others]
    assert len(marks) == len(starts) + len(unseen)


def test_each_order_has_a_number_and_a_line(day: Day, found: Report) -> None:
    (marks,) = (band.marks for band in found.bands if band.name == "Orders by people")
    orders = [order for order in day.lab.notes("order") if order["at"] > day.deleted_at]

    assert [what.split(" ")[0] for _, _, what, _ in lines(found, "Orders")] == [order["command"] for order in orders]
    assert all(result for *_, result in lines(found, "Orders"))
    assert [order["by"] in who for (_, who, _, _), order in zip(lines(found, "Orders"), orders, strict=True)] == [
        True
    ] * len(orders)
    assert [
        order["at"] <= mark.at.timestamp() <= until(day, order["at"]) for mark, order in zip(marks, orders, strict=True)
    ] == [True for _ in orders]


def test_the_rows_are_the_records(day: Day, found: Report) -> None:
    rows = Read(page(found)).rows
    records = day.records()

    assert [*rows] == [record["seq"] for record in records]
    assert [record["seq"] for record in records if record["event"] not in rows[record["seq"]]] == []
    changes = [record for record in records if record["facts"].get("diff")]
    assert changes
    for record in changes:
        assert all(line in rows[record["seq"]] for line in record["facts"]["diff"])
