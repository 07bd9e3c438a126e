"""The pages that a user reads: every link leads somewhere, every policy is one, every command exists."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from agent.cli.commands import COMMANDS
from agent.cli.words import tree
from agent.values.condition import Code
from agent.values.policy import Policy, Problems
from agent.values.policy_text import parse
from tests.pages import FENCED, INLINE, PAGES, TRIED, block_typed, blocks, first_line, how_tried, typed
from tests.sources import AGENT, ROOT

LINK: Final = re.compile(r"(?<!!)\[[^]]*\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"|srcset=\"([^\"]+)\"")
HEADING: Final = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
# A command of ours in a line of a shell, and its words.
OURS: Final = re.compile(r"(?:^|[ (|])docker-proxy-agent((?: [^|;&)>#]+)?)")
# In what the agent says: its state, a name, a flag, a number.
FILLED_IN: Final = re.compile(
    r"^[A-Z]{4,}\b|…|\d[\d.]*|corp-proxy|corp:|elsewhere|--http-proxy|somebody else|\bvia\b|config\.toml"
)
MAKE: Final = re.compile(r"(?:^|[ (|])make((?: [a-z-]+)+)")

PARSERS: Final = next(action.choices for action in tree()._actions if isinstance(action, argparse._SubParsersAction))

every_page = pytest.mark.parametrize("page", sorted(PAGES))


def anchors(text: str) -> set[str]:
    """As GitHub makes them: a second heading of the same words has a number."""
    found: dict[str, int] = {}
    for heading in HEADING.findall(FENCED.sub("", text)):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).strip().replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {f"{slug}-{number}" if number else slug for slug, last in found.items() for number in range(last + 1)}


@every_page
def test_every_link_leads_to_a_page_that_is_there_and_to_a_heading_in_it(page: str) -> None:
    folder = (ROOT / page).parent
    links = ("".join(found) for found in LINK.findall(FENCED.sub("", PAGES[page])))

    assert [link for link in links if "://" not in link and not leads_somewhere(link, folder, page)] == []


def leads_somewhere(link: str, folder: Path, page: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (folder / path).resolve() if path else ROOT / page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or anchor in anchors(target.read_text())


@every_page
def test_every_policy_that_it_shows_is_one(page: str) -> None:
    """A part of one, such as an upstream alone, is one as well."""
    shown = list(blocks(PAGES[page], "toml"))

    assert [(block, found.lines) for block in shown if isinstance(found := parse(block), Problems)] == []


def test_the_policies_by_example_are_whole_ones() -> None:
    """Each can be taken as it is: it names what it uses, and where."""
    policies = [parse(block) for block in blocks(PAGES["docs/policy.md"], "toml")]

    assert len(policies) >= 12
    assert [policy for policy in policies if isinstance(policy, Problems) or not policy.networks] == []


def test_no_policy_that_it_shows_sends_a_password_where_anybody_says_that_this_is_the_office() -> None:
    """What DHCP and DNS say, anybody's network can say."""
    sent = []
    for page, text in PAGES.items():
        for policy in map(parse, blocks(text, "toml")):
            assert isinstance(policy, Policy)
            sent += [
                (page, network.name)
                for network in policy.networks
                if any(policy.upstreams[name].sends_password for name in network.use)
                and not (network.match.gateway_mac or network.match.interface)
            ]

    assert sent == []


@every_page
def test_every_command_that_it_shows_exists_with_its_options(page: str) -> None:
    assert [line for line in commands(PAGES[page]) if not is_understood(line)] == []


def commands(text: str) -> Iterator[str]:
    """The words behind `docker-proxy-agent` in each line of a shell: what is typed, not what is printed."""
    for block in blocks(text, "sh"):
        yield from (words for line in block.split("\n") for words in OURS.findall(line.partition(" #")[0]))
    for block in blocks(text, "console"):
        typed = (line[2:] for line in block.split("\n") if line.startswith(("$ ", "# ")))
        yield from (words for line in typed for words in OURS.findall(line.partition(" #")[0]))


def is_understood(words: str) -> bool:
    given = shlex.split(words)
    name = next((word for word in given if not word.startswith("-")), None)
    if name is None:
        return True
    if name not in COMMANDS:
        return False
    known = options(PARSERS[name]) | {"--version"}
    return all(word.partition("=")[0] in known for word in given if re.match(r"--?[a-z]", word))


def options(parser: argparse.ArgumentParser) -> set[str]:
    """Of it and of what is below it."""
    found: set[str] = set()
    for action in parser._actions:
        found |= {*action.option_strings}
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                found |= options(below)
    return found


@every_page
def test_every_command_of_make_that_it_shows_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = (line.partition(" #")[0] for block in blocks(PAGES[page], "sh") for line in block.split("\n"))
    asked = {word for line in lines for words in MAKE.findall(line) for word in words.split()}

    assert asked <= targets


@every_page
def test_every_line_that_it_tells_people_to_type_is_typed_by_a_test_or_has_a_reason(page: str) -> None:
    assert [command for command in typed(page) if how_tried(command) is None] == [], "say how, in tests/pages.py"


def test_the_tests_that_type_them_exist_and_no_entry_is_about_a_line_that_is_gone() -> None:
    commands = {command for page in PAGES for command in typed(page)}
    hows = {how for command in commands if (how := how_tried(command))}
    for how in (how for how in hows if how.startswith("tests/")):
        path, _, name = how.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(), how

    written = {first_line(command) for command in commands}
    examples = {line for line in TRIED if "docker-proxy-agent " in line and line not in written}
    assert {line for line in TRIED if line not in written} <= examples


@every_page
def test_nothing_to_be_typed_is_hidden_in_a_block_without_a_language(page: str) -> None:
    indented = re.findall(
        r"(?m)^\n    (?:sudo|make|docker|docker-proxy-agent|systemctl) .*$", FENCED.sub("", PAGES[page])
    )
    prompted = [block for block in blocks(PAGES[page], "") if re.search(r"(?m)^\$ ", block)]

    assert (indented, prompted) == ([], [])


@every_page
def test_every_command_of_ours_in_a_sentence_exists_with_its_options(page: str) -> None:
    named = re.findall(r"`(?:sudo )?docker-proxy-agent((?: [^`|;>\\\\]+)?)", FENCED.sub("", PAGES[page]))

    assert [words for words in named if words != " COMMAND --help" and not is_understood(words)] == []


def test_a_block_falls_into_whole_commands() -> None:
    block = "one   # it's a remark\n# a remark\ntwo 'a\nb'\nif x; then\n    y\nfi\nz | while r; do\n    s\ndone\np <<'END'\nq\nEND\n"

    assert [*block_typed(block)] == [
        "one", "two 'a\nb'", "if x; then\n    y\nfi", "z | while r; do\n    s\ndone", "p <<'END'\nq\nEND",
    ]  # fmt: skip
    assert [*block_typed("#!/bin/sh\none\ntwo\n")] == ["#!/bin/sh\none\ntwo\n"]
    assert INLINE.findall("`sudo cp A B`, `systemctl`, `timedatectl`, `clients.users`") == [
        "sudo cp A B",
        "timedatectl",
    ]
    assert how_tried("sudo frobnicate --now") is None


def test_what_is_no_link_no_policy_and_no_command_is_found() -> None:
    assert not leads_somewhere("docs/nowhere.md", ROOT, "README.md")
    assert not leads_somewhere("README.md#nowhere", ROOT, "README.md")
    assert anchors("# A `b`: c\n\n# A b c\n") == {"a-b-c", "a-b-c-1"}
    assert list(commands("```sh\nsudo docker-proxy-agent frobnicate --now   # x\n```\n")) == [" frobnicate --now  "]
    assert not is_understood(" frobnicate --now")
    assert not is_understood(" apply --later")
    assert is_understood(" apply --now")


def test_troubleshooting_says_of_every_condition_what_to_do() -> None:
    table = PAGES["docs/troubleshooting.md"].partition("### Every code that `status` prints")[2].partition("\n#")[0]

    assert sorted(re.findall(r"`([a-z-]+)`(?=[^|]* \|.*\|$)", table, re.MULTILINE)) == sorted(
        code.value for code in Code
    )


@pytest.mark.parametrize("page", sorted(PAGES.keys() - {"CHANGELOG.md", "docs/architecture.md", "docs/releasing.md"}))
def test_what_needs_root_is_written_with_sudo(page: str) -> None:
    """Within a sentence, too, where it is to be typed."""
    named = re.findall(r"`docker-proxy-agent ([a-z]+)`", FENCED.sub("", PAGES[page]))

    assert [name for name in named if name in COMMANDS and COMMANDS[name].needs_root] == []


def test_what_the_agent_says_by_troubleshooting_is_what_it_says() -> None:
    """A heading that nobody finds by what stands on the screen is none. What is filled in, such as a name, may be anything."""
    agents, relays = (
        PAGES["docs/troubleshooting.md"].partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        for title in ("What the agent says", "Nothing gets through the relay")
    )
    said_by = (*re.findall(r"(?m)^### (.+)$", agents), *re.findall(r"(?m)^\| (\d.+?) \|", relays))
    quoted = re.findall("`([^`]+)`", "\n".join(said_by))
    said = re.sub(r'"\s+[rf]*"', "", "\n".join(path.read_text() for path in AGENT.rglob("*.py")))

    assert len(quoted) > 20
    assert [part for quote in quoted for part in FILLED_IN.split(quote) if part.strip() not in said] == []
