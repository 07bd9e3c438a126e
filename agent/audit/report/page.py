"""The whole page: one file, which asks for nothing else.

Pure. The same report is the same page, to the byte.
"""

from __future__ import annotations

from typing import Final

from agent.audit.report.markup import Markup, joined, tag, unbroken
from agent.audit.report.style import WHOLE
from agent.audit.report.tables import chain, listing, records
from agent.audit.report.timeline import swatch, timeline
from agent.audit.report.values import Report
from agent.audit.report.words import moment, period, zone

# Even if something of others' came through as more than a text, the browser would load and run nothing.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
GENERATOR: Final = "docker-proxy-agent audit report"
BEGINNING: Final = (
    f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="{GENERATOR}">'
)


def page(report: Report) -> str:
    shown = frozenset(row.seq for row in report.rows)
    title = f"Docker's proxy on {report.host}: {period(report.begin, report.end)}"
    head = joined([
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(WHOLE)),
    ])  # fmt: skip
    body = tag(
        "body",
        _top(report),
        tag("div", timeline(report.bands, report.begin, report.end), _keys(report), class_="picture"),
        *(listing(one, shown) for one in report.listings),
        chain(report.chain),
        records(report),
        _foot(report),
    )
    return f"{BEGINNING}{head}</head>\n{body}\n</html>\n"


def _top(report: Report) -> Markup:
    figures = (
        tag(
            "li",
            tag("b", unbroken(figure.number)),
            tag("span", unbroken(figure.what)),
            **({"class_": "bad"} if figure.is_bad else {}),
        )
        for figure in report.figures
    )
    return tag(
        "header",
        tag("h1", f"Docker's proxy on {report.host}"),
        tag("p", unbroken(report.headline), class_="headline"),
        tag("p", f"{period(report.begin, report.end)}. Times are {zone(report.begin, report.end)}.", class_="period"),
        tag("ul", *figures, class_="figures"),
    )


def _keys(report: Report) -> Markup:
    items = (
        tag("li", swatch(key), key.name, *([" ", tag("span", key.means)] if key.means else [])) for key in report.keys
    )
    return tag("ul", *items, class_="keys")


def _foot(report: Report) -> Markup:
    where = "with the places where the laptop was" if report.is_full else "places by their name alone"
    return tag(
        "footer",
        f"Made by docker-proxy-agent {report.version} at {moment(report.made)}, {where}."
        " Passwords and user names of proxies are not in the log. This page loads nothing and runs nothing.",
    )
