"""The page about the day that `day.py` plays: its lanes are what the lab knows, its rows what the log has."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from typing import Any, Final

import pytest

from agent.audit.heads import heads
from agent.audit.report.page import page
from agent.audit.report.tell import Asked, report
from agent.audit.report.values import Band, Bar, Chain, Report, Tone

from .day import AGENT, OTHERS
from .day_known import DOWN, NOT_KNOWN, Day, moment, outages_of, restarts_of, until, upstream, wrong_about

AFTER_S: Final = 1.0  # the page is made so long after the last record
SHORT: Final = re.compile("too short to be drawn")


@pytest.fixture(scope="module")
def shown(day: Day) -> Report:
    now = moment(day.records()[-1]["ts"]) + AFTER_S
    return report(heads(day.log), Asked(now=dt.datetime.fromtimestamp(now, dt.UTC)), Chain(is_whole=True, says=""))


def band(shown: Report, name: str) -> Band:
    (found,) = [one for one in shown.bands if one.name.startswith(name)]
    return found


def test_it_has_a_row_for_each_record_and_no_other(day: Day, shown: Report) -> None:
    records = day.records()

    assert [(row.seq, row.event, row.severity) for row in shown.rows] == [
        (record["seq"], record["event"], record["severity"]) for record in records
    ]
    assert [bool(row.by) for row in shown.rows] == ["by" in record for record in records]
    assert shown.rows_left_out == 0
    text = page(shown)
    assert re.findall(r'id="r([0-9]+)"', text) == [str(record["seq"]) for record in records]


def test_its_lane_of_docker_is_what_docker_ran_with(day: Day, shown: Report) -> None:
    bars = band(shown, "What Docker ran with").bars
    assert bars[0].tone is Tone.UNKNOWN  # the records before are missing
    rows = [(bar.begin.timestamp(), ran(day, bar)) for bar in bars[1:]]

    assert wrong_about(day, [(at, runs) for at, runs in rows if runs is not None]) == []


def ran(day: Day, bar: Bar) -> Any:
    """As the lab has it; None: too short to be drawn."""
    if SHORT.search(bar.label):
        return None
    if bar.tone is Tone.UNKNOWN:
        return NOT_KNOWN
    if bar.tone is Tone.NONE:
        return DOWN
    known = {upstream(one.runs): one.runs for one in day.docker if one.runs != DOWN}
    return known.get(bar.label) or known[upstream({"http": bar.label})]


def test_its_lane_of_networks_is_where_the_laptop_was(day: Day, shown: Report) -> None:
    names = {"nowhere": "offline"}
    places = [(note["at"], names.get(note["where"], note["where"])) for note in day.lab.notes("place")]
    told = [(bar.begin.timestamp(), bar.label) for bar in band(shown, "Network").bars if bar.tone is not Tone.UNKNOWN]

    began = max(at for at, _ in places if at <= told[0][0])
    were = [where for at, where in places if at >= began]
    assert [label for label, _ in itertools.groupby(label for _, label in told)] == [
        where for where, _ in itertools.groupby(were)
    ]
    for at, label in told:
        came, where = [place for place in places if place[0] <= at][-1]
        looked = max(came, *(life.began for life in day.lives if life.began <= at))
        assert (label, at <= until(day, looked)) == (where, True)


def test_its_outages_restarts_and_orders_are_those_of_the_day(day: Day, shown: Report) -> None:
    outages = list(outages_of(day))
    bars = band(shown, "Docker reached no registry").bars
    assert len(bars) == len(outages)
    for bar, (began, ended) in zip(bars, outages, strict=True):
        assert began <= bar.begin.timestamp() <= until(day, began)
        assert ended <= bar.end.timestamp() <= until(day, ended)

    marks = band(shown, "Restarts of Docker").marks
    lives = [one for one in day.docker if one.runs != DOWN and one.at > day.deleted_at and day.life_at(one.at)]
    assert [mark.tone for mark in marks].count(Tone.OTHERS) == [one.by for one in lives].count(OTHERS)
    by_agent = [mark for mark in marks if mark.tone is Tone.PLAIN]
    assert len(by_agent) == len(list(restarts_of(day)))
    assert [mark.tone for mark in marks].count(Tone.BAD) == 1  # that was rolled back
    assert len(marks) == [one.by for one in lives].count(AGENT) + [one.by for one in lives].count(OTHERS)

    orders = [order for order in day.lab.notes("order") if order["at"] > day.deleted_at]
    marks = band(shown, "Orders by people").marks
    assert [mark.text.partition(" ")[0].rstrip(",") for mark in marks] == [order["command"] for order in orders]
    for mark, order in zip(marks, orders, strict=True):
        assert order["at"] <= mark.at.timestamp() <= until(day, order["at"])
        assert {"alice": "by alice", "1001": "by login uid 1001", "signal": "by a signal"}[order["by"]] in mark.text
