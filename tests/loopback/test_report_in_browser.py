"""The page of `audit report` in a real browser: on a screen, on a telephone, in the dark and on paper."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from agent.audit.report.page import page
from agent.audit.report.tell import Asked, report
from agent.audit.report.values import Chain
from agent.values.events import Event
from tests.browser import BROWSERS, Browser, browser
from tests.pure.test_account import ALICE, DIRECT, OFFICE, Log, at, begun

A4: Final = 703  # pixels of a sheet between its margins
LONG: Final = "/home/alice/" + "a-folder-whose-name-does-not-end-" * 8 + "/config.json"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = next(filter(shutil.which, BROWSERS), None)
    if program is None and not os.environ.get("CI"):
        pytest.skip(f"no {BROWSERS[0]} here")
    assert program is not None, f"apt-get install {BROWSERS[0]}"
    with browser(program, tmp_path_factory.mktemp("browser")) as found:
        yield found


def a_busy_day() -> Log:
    """So many moves that labels and marks have to make room for each other, and texts that are longer than a line."""
    log = begun("08:00:00")
    for number in range(14):
        hour, minute = divmod(8 * 60 + number * 38, 60)
        network = ("office", "home", "a-café-with-a-long-name")[number % 3]
        upstream, settings = (("corp-proxy", OFFICE), ("direct", DIRECT))[number % 2]
        clock = f"{hour:02}:{minute:02}"
        log.write(f"{clock}:10", Event.NETWORK_CHANGED, network=network, previous_network="x")
        log.write(f"{clock}:11", Event.UPSTREAM_CHOSEN, upstream=upstream, network=network, because="first that works")
        log.write(f"{clock}:12", Event.APPLY_STARTED, effective=DIRECT, settings=settings, targets=[LONG])
        log.write(f"{clock}:13", Event.DOCKER_STARTED, cause="agent", effective=settings, invocation=f"i{number + 2}")
        log.write(f"{clock}:14", Event.DOCKER_RESTARTED, took_s=0.7, due=f"it is to run with {LONG}", allowed=LONG,
                  containers_kept=3, containers_lost=["web"] if number == 9 else [])  # fmt: skip
        if number % 4 == 1:
            log.write(f"{clock}:20", Event.UNREACHABLE_BEGAN, network=network, upstream=upstream, because="refused",
                      since=f"2026-03-01T{clock}:15Z", verdicts=[])  # fmt: skip
            log.write(f"{clock}:50", Event.UNREACHABLE_ENDED, lasted_s=35.0, because="it works")
            log.write(f"{clock}:55", Event.PINNED, by=ALICE, upstream="direct", until=None)
            log.write(f"{hour:02}:{minute + 1:02}:00", Event.UNPINNED, by=ALICE, upstream="direct", because="requested")
    log.write("17:00:00", Event.TARGET_FAILED, targets=[LONG], error=f"{LONG}: is no valid JSON; left as it is")
    log.write("17:10:00", Event.DOCKER_STOPPED, because="it was stopped")
    return log.write("17:30:00", Event.AGENT_STOPPED, because="told to stop")


PAGES: Final = {"busy": a_busy_day, "quiet": begun, "empty": Log}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, chain = (
        tmp_path_factory.mktemp("pages"),
        Chain(is_whole=True, says="The log is whole.", last="9:" + "f" * 64),
    )
    for name, log in PAGES.items():
        asked = Asked(now=at("18:00:00"), host="laptop", version="1")
        (folder / f"{name}.html").write_text(page(report(log().heads, asked, chain)))
    return {name: folder / f"{name}.html" for name in PAGES}


# What is shown of these, as rectangles on the page.
SHOWN: Final = """(selector => [...document.querySelectorAll(selector)].map(one => {
    const box = one.getBoundingClientRect(), around = one.parentElement.getBoundingClientRect();
    return {text: one.textContent, left: box.left, right: box.right, top: box.top, bottom: box.bottom,
            limit: around.right, is_shown: box.width > 0 && getComputedStyle(one).display !== 'none'};
}).filter(one => one.is_shown))"""


def shown(chromium: Browser, selector: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chromium.evaluate(f"{SHOWN}({selector!r})")
    return found


def covering(ones: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (one["text"], other["text"])
        for number, one in enumerate(ones)
        for other in ones[number + 1 :]
        if min(one["right"], other["right"]) - max(one["left"], other["left"]) > 1
        and min(one["bottom"], other["bottom"]) - max(one["top"], other["top"]) > 1
    ]


@pytest.mark.parametrize("name", PAGES)
def test_nothing_sticks_out_and_nothing_covers_another(
    chromium: Browser, pages: dict[str, Path], tmp_path: Path, name: str
) -> None:
    for width, media in ((360, ""), (400, ""), (A4, "print"), (800, ""), (1200, ""), (2500, "")):
        chromium.window(width, 900, media=media)
        chromium.show(pages[name])
        (tmp_path / f"{width}{media}.png").write_bytes(chromium.picture())  # for who looks why it failed

        assert chromium.evaluate("document.documentElement.scrollWidth") <= width
        assert [one["text"] for one in shown(chromium, "td, th, p, li, h1, h2") if one["right"] > width + 1] == []
        assert [one["text"] for one in shown(chromium, ".label") if one["right"] > one["limit"] + 1] == []
        for ones in (".timeline .time", ".timeline .name, .timeline .summary", ".mark, .label"):
            assert covering(shown(chromium, ones)) == [], f"{width} {media}"


def test_it_says_nothing_on_the_console_and_fetches_nothing(chromium: Browser, pages: dict[str, Path]) -> None:
    chromium.window(1200, 900)
    chromium.show(pages["busy"])
    chromium.evaluate("1")  # what the loading caused has come by then

    said = [
        event
        for event in chromium.events
        if event[0] in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    ]
    assert said == []
    fetched = [what["request"]["url"] for name, what in chromium.events if name == "Network.requestWillBeSent"]
    assert fetched == [pages["busy"].as_uri()]


def test_its_text_can_be_selected_in_the_picture_too(chromium: Browser, pages: dict[str, Path]) -> None:
    chromium.window(1200, 900)
    chromium.show(pages["busy"])

    selected = chromium.evaluate("getSelection().selectAllChildren(document.body), getSelection().toString()")
    for text in (
        "What Docker ran with",
        "corp-proxy",
        "a-café-with-a-long-name",
        "docker-restarted",
        "alice (claimed by sudo), login uid 1000",
    ):
        assert text in selected


# The contrast of each pair, by the formula of WCAG 2.
CONTRAST: Final = """(() => {
    const light = text => {
        const [r, g, b] = text.match(/[0-9.]+/g).map(Number).map(one => one / 255)
            .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const of = (one, name) => light(getComputedStyle(one)[name]), paper = of(document.body, 'backgroundColor');
    const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const texts = [...document.querySelectorAll('h1, h2, p, td, th, .figures b, .figures span, .event, .by, footer')]
        .map(one => [one.textContent, ratio(of(one, 'color'), paper)]);
    const solid = '.band:not(.ground) .bar:not(.unknown):not(.none), .mark';
    const bars = [...document.querySelectorAll(solid)].filter(one => one.querySelector('text'))
        .map(one => [one, one.querySelector('text'), one.querySelector('.block')])
        .map(([one, text, block]) => [one.textContent, ratio(of(text, 'fill'), of(block, 'fill'))]);
    return {texts, bars};
})()"""


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_everything_is_legible_by_day_and_by_night(chromium: Browser, pages: dict[str, Path], is_dark: bool) -> None:
    chromium.window(1200, 900, is_dark=is_dark)
    chromium.show(pages["busy"])

    background = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background != "rgb(255, 255, 255)") is is_dark
    found = chromium.evaluate(CONTRAST)
    assert len(found["texts"]) > 50
    assert len(found["bars"]) > 5
    assert [(text[:40], ratio) for text, ratio in [*found["texts"], *found["bars"]] if ratio < 4.5] == []


def test_it_is_printed_on_a4_in_the_colours_of_the_day(chromium: Browser, pages: dict[str, Path]) -> None:
    chromium.window(1200, 900, is_dark=True)
    chromium.show(pages["busy"])

    sheets = chromium.paper()
    boxes = {
        tuple(round(float(part)) for part in box.split()) for box in re.findall(rb"/MediaBox \[([^\]]+)\]", sheets)
    }
    assert boxes == {(0, 0, 595, 842)}
    chromium.window(A4, 900, is_dark=True, media="print")
    assert chromium.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    end = chromium.evaluate("document.querySelector('.timeline').getBoundingClientRect().bottom")
    assert end < 900  # the first sheet
