"""What the documents for contributors name exists: files, what is in them, tests, events, commands of make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from agent.values.condition import Code
from agent.values.events import FACTS, Event
from tests.sources import AGENT, ROOT

DOCUMENTS: Final = {
    name: (ROOT / name).read_text() for name in ("docs/architecture.md", "CONTRIBUTING.md", "SECURITY.md")
}
MAKEFILE: Final = (ROOT / "Makefile").read_text()
QUOTED: Final = re.compile(r"`([^`\n]+)`")
A_PATH: Final = re.compile(r"[\w.-]*[\w-]/(?:[\w.-]+/)*[\w.-]*|[A-Z]+\.md")  # what begins with / is the user's
IN_A_FILE: Final = re.compile(r"`(\w+)` in `([\w/]+\.py)`")
A_LINK: Final = re.compile(r"\]\(([^)#:]+)[^):]*\)")
MADE: Final = "build/"  # by make: a clone has nothing of it
A_NAME: Final = re.compile(r"[a-z]+(?:-[a-z]+)+")  # of an event, a condition, a verdict

every_document = pytest.mark.parametrize("name", DOCUMENTS)


def named(text: str) -> Iterator[str]:
    """In backticks, without what comes after `::`."""
    return (quoted.partition("::")[0] for quoted in QUOTED.findall(text))


def path_of(named_there: str) -> Path | None:
    """None: there is no such file."""
    return next((root / named_there for root in (ROOT, AGENT) if (root / named_there).exists()), None)


@every_document
def test_every_file_that_it_names_exists(name: str) -> None:
    paths = {found for found in named(DOCUMENTS[name]) if A_PATH.fullmatch(found) and not found.startswith(MADE)}

    assert [path for path in sorted(paths) if path_of(path) is None] == []


@every_document
def test_what_it_says_to_be_in_a_file_is_there(name: str) -> None:
    for inside, path in IN_A_FILE.findall(DOCUMENTS[name]):
        file = path_of(path)
        assert file is not None
        defined = rf"^ *(?:(?:async )?def|class) {inside}\b|^{inside}\b.*="
        assert re.search(defined, file.read_text(), re.MULTILINE), f"{inside} in {path}"


@every_document
def test_every_page_that_it_links_to_exists(name: str) -> None:
    folder = (ROOT / name).parent
    assert [link for link in A_LINK.findall(DOCUMENTS[name]) if not (folder / link).exists()] == []


@every_document
def test_every_command_of_make_that_it_names_exists(name: str) -> None:
    targets = set(re.findall(r"\bmake ([a-z-]+)`", DOCUMENTS[name]))

    assert [target for target in targets if not re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)] == []


def test_the_records_of_the_walk_through_are_events() -> None:
    rows = re.findall(r"^\|.*\|([^|]*)\|$", DOCUMENTS["docs/architecture.md"].partition("## One pass")[2], re.MULTILINE)
    names = {name for row in rows for name in QUOTED.findall(row)}

    assert names <= {event.value for event in Event}
    assert {"network-changed", "upstream-chosen", "apply-started", "settings-written", "docker-restarted"} <= names


@every_document
def test_every_condition_that_it_names_exists(name: str) -> None:
    codes = {found for found in named(DOCUMENTS[name]) if A_NAME.fullmatch(found)}
    known = {code.value for code in Code} | {event.value for event in Event} | {"docker-proxy-agent"}

    assert codes <= known


def as_pattern(sentence: str) -> str:
    """Of one line: a part in brackets may be missing, a fact may be anything."""
    parts = re.split(r"\[([^]]*)\]", sentence)
    said = [re.sub(r"\\{\w+\\}", ".+", re.escape(part)) for part in parts]
    return "".join(f"(?:{part})?" if number % 2 else part for number, part in enumerate(said))


def test_the_sample_of_the_log_says_what_the_log_says() -> None:
    log = re.findall(r"^([a-z]+(?:-[a-z]+)+) {2,}(.+)$", DOCUMENTS["docs/architecture.md"], re.MULTILINE)

    assert [name for name, _ in log][-3:] == ["settings-written", "docker-started", "docker-restarted"]
    assert [text for name, text in log if not re.fullmatch(as_pattern(FACTS[Event(name)].sentence), text)] == []
