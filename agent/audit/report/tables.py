"""What stands below the picture: what is counted, every record, and whether they are whole.

Pure. A number in the picture is the number of a line here, and each line leads to the record that says so.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from agent.audit.report.markup import NOTHING, Markup, joined, tag
from agent.audit.report.values import Cell, Chain, Listing, Report, Row
from agent.audit.report.words import clock, count, day

_SHORT: Final = 24  # characters: what is not longer, such as a time, is not broken
_SHORTLY: Final[dict[bool, dict[str, str]]] = {True: {"class_": "short"}, False: {}}


def listing(shown: Listing, rows: frozenset[int]) -> Markup:
    """`rows`: the records that are on the page."""
    heading = tag("h2", shown.title)
    if not shown.lines:
        return joined([heading, tag("p", shown.nothing, class_="soft")])
    columns = _columns(shown)
    body = (
        tag("tr", tag("td", str(number), class_="n"), *_cells(columns, line, rows))
        for number, line in enumerate(shown.lines, start=shown.left_out + 1)
    )
    return joined([heading, _left_out(shown.left_out), _table((("", True), *columns), body)])


def _columns(shown: Listing) -> tuple[tuple[str, bool], ...]:
    """Each with its name, and whether it is no wider than its cells; the last one takes the room that is left."""
    return tuple(
        (name, place < len(shown.columns) - 1 and all(len(line[place].text) <= _SHORT for line in shown.lines))
        for place, name in enumerate(shown.columns)
    )


def _cells(columns: Sequence[tuple[str, bool]], line: Sequence[Cell], rows: frozenset[int]) -> Iterator[Markup]:
    for (column, is_short), cell in zip(columns, line, strict=True):
        inside: str = cell.text
        if cell.seq in rows:
            inside = tag("a", cell.text, href=f"#r{cell.seq}")
        yield tag("td", inside, data_is=column, **_SHORTLY[is_short])


def _table(columns: Sequence[tuple[str, bool]], body: Iterator[Markup]) -> Markup:
    head = (tag("th", column, scope="col", **_SHORTLY[is_short]) for column, is_short in columns)
    return tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body))


def _left_out(number: int) -> Markup:
    if not number:
        return NOTHING
    return tag("p", f"{count(number, 'earlier one is', 'earlier ones are')} not on this page.", class_="soft")


def records(report: Report) -> Markup:
    """Every record of the period, in its order."""
    heading = tag("h2", "Every record")
    if not report.rows:
        return joined([heading, tag("p", "No record is of this time.", class_="soft")])
    body = _table((("Record", True), ("Time", True), ("What happened", False)), _by_day(report.rows))
    return joined([heading, _left_out(report.rows_left_out), body])


def _by_day(rows: Sequence[Row]) -> Iterator[Markup]:
    for of_day, ones in itertools.groupby(rows, key=_day):
        if of_day:
            yield tag("tr", tag("th", of_day, colspan=3, scope="rowgroup"), class_="day")
        yield from map(_row, ones)


def _day(row: Row) -> str:
    return "" if row.at is None else day(row.at)


def _row(row: Row) -> Markup:
    said = [tag("span", row.event, class_="event"), " ", row.text]
    said += [" ", tag("span", f"by {row.by}", class_="by")] if row.by else []
    return tag(
        "tr",
        tag("td", str(row.seq), class_="n"),
        tag("td", _time(row.at), class_="at"),
        tag("td", *said, _lines(row.where, "where"), _lines(row.diff, "diff")),
        id=f"r{row.seq}",
        class_=row.severity or "info",
    )


def _time(at: dt.datetime | None) -> Markup:
    if at is None:
        return tag("span", "no time")
    return tag("time", clock(at), datetime=at.isoformat().replace("+00:00", "Z"))


def _lines(lines: Sequence[str], kind: str) -> Markup:
    if not lines:
        return NOTHING
    kinds = {"+": "add", "-": "del"} if kind == "diff" else {}
    return tag("ul", *(tag("li", line, class_=kinds.get(line[:1], "soft")) for line in lines), class_=kind)


def _anchor(last: str) -> Markup:
    """Whoever keeps this page can ask later whether the log still is the one that it shows."""
    command = f"docker-proxy-agent audit verify --anchor {last}"
    return tag("p", "This page keeps an anchor of it. Whether the log still has all of this: ", tag("code", command))


def chain(found: Chain) -> Markup:
    return joined([
        tag("h2", "Whether this is all"),
        tag(
            "div",
            tag("p", found.says),
            *(tag("p", f"Anchor: {anchor}", class_="soft") for anchor in found.anchors),
            *(tag("p", f"Note: {note}", class_="soft") for note in found.notes),
            _anchor(found.last) if found.last else NOTHING,
            class_="chain" if found.is_whole else "chain bad",
        ),
    ])  # fmt: skip
