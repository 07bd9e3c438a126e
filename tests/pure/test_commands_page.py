"""docs/commands.md has every command with its options, its examples and whether it needs root."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Final

import pytest

from agent.cli.audit.options import QUESTIONS
from agent.cli.commands import COMMANDS, GROUPS
from agent.cli.help import PROG
from agent.cli.options import common
from agent.cli.words import tree
from tests.sources import ROOT

PAGE: Final = (ROOT / "docs/commands.md").read_text()
SECTIONS: Final = dict(re.findall(r"(?m)^### ([a-z]+)\n((?:(?!##).*\n)*)", PAGE))
PARSERS: Final = next(action.choices for action in tree()._actions if isinstance(action, argparse._SubParsersAction))


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Of it and of its questions, without those of every command."""
    shared = argparse.ArgumentParser()
    common(shared, None)
    for action in parser._actions:
        yield from (name for name in action.option_strings if name not in shared._option_string_actions)
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from options(below)


def test_it_has_the_commands_in_the_groups_of_the_help() -> None:
    headings = re.findall(r"(?m)^(##+) (.*)$", PAGE)
    grouped = [(mark, text.lower()) for mark, text in headings if text.lower() in {*GROUPS, *COMMANDS}]

    assert grouped == [
        line for group, commands in GROUPS.items() for line in (("##", group), *(("###", name) for name in commands))
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_its_options_there_and_none_that_it_has_not(name: str) -> None:
    text = SECTIONS[name].partition("```sh")[0] + SECTIONS[name].partition("```sh")[2].partition("```")[2]
    known = {*options(PARSERS[name])}

    assert [option for option in known if not re.search(rf"`[^`]*(?<![\w-]){option}(?![\w-])", text)] == []
    listed = {option for line in re.findall(r"(?m)^- (`.*?)[:. ]", text) for option in re.findall(r"--?[a-z-]+", line)}
    assert listed <= known


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_its_examples_there(name: str) -> None:
    sudo = "sudo " if COMMANDS[name].needs_root else ""
    examples = "".join(f"{sudo}{PROG} {example.words}\n" for example in COMMANDS[name].examples)

    assert f"```sh\n{examples}```\n" in SECTIONS[name]


def test_its_table_says_who_needs_root() -> None:
    rows = re.findall(r"(?m)^\| (`.+`) \| .+ \| (yes|no) \| .+ \|$", PAGE)
    said = {name: root == "yes" for names, root in rows for name in re.findall(r"`((?:audit )?[a-z]+)", names)}

    questions = {f"audit {name}": question.reads_the_log for name, question in QUESTIONS.items()}
    assert said == {name: command.needs_root for name, command in COMMANDS.items()} | questions


def test_it_names_every_question() -> None:
    assert [name for name in QUESTIONS if f"`audit {name}" not in SECTIONS["audit"]] == []
