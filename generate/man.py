"""The man pages: docker-proxy-agent(1) and docker-proxy-agent(5).

The first is made by argparse-manpage from the arguments of the commands, with the exit statuses of docs/commands.md.
The second is config.example.toml, in which every line is explained, as a page.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from argparse_manpage.manpage import Manpage

from agent import __version__
from agent.cli.help import sentence
from agent.cli.options import common as common_options
from agent.cli.words import SUMMARY, tree
from agent.values.paths import Paths

_ROOT: Final = Path(__file__).resolve().parent.parent
_NAME: Final = "docker-proxy-agent"
_TABLE_ROW: Final = re.compile(r"\| (`.+`) \| .+ \| (.+) \|")
_SECTION: Final = re.compile(r"\[+(?P<name>[^\]]+)\]+|# --- (?P<title>.+?)\.? -{3,}")
_KEY: Final = re.compile(r"#?(?P<key>[a-z_.]+ = .*?)(?: {2,}# (?P<more>.*))?")
_REQUEST: Final = re.compile(r"\.[A-Z]{1,2}\b")
_RAGGED: Final = ".ad l"  # what cannot be broken, such as a list of addresses, would be a warning of man
_LIST: Final = re.compile(r" {2,}(?P<item>\S+) {2,}(?P<text>.+)")

_EXAMPLES: Final = (
    ("A first policy from what this system has, shown, and then written after a yes:", "sudo docker-proxy-agent init"),
    ("What it sees, what it chose and what it waits for:", "docker-proxy-agent status"),
    ("What the next pass would do, as a diff:", "sudo docker-proxy-agent plan"),
    ("Why a pull fails, and what helps:", "sudo docker-proxy-agent doctor"),
    ("One upstream for two hours, whether it works or not:", "sudo docker-proxy-agent pin direct --for 2h"),
    (
        "Every time since Monday that Docker reached no registry:",
        "sudo docker-proxy-agent audit outages --since monday",
    ),
)


def commands() -> str:
    """docker-proxy-agent(1)."""
    os.environ["COLUMNS"] = "80"  # argparse asks for it
    parser = tree()
    parser.description = SUMMARY + "."
    _leave_out_what_all_have(parser)
    data = {"version": __version__, "manual_title": "System", "date": _date()}
    page = Manpage(parser, format="single-commands-section", _data=data)
    page.description = SUMMARY[0].lower() + SUMMARY[1:]
    for title, lines in (
        ("exit status", _exit_statuses()),
        ("files", _files()),
        ("examples", _examples()),
        ("see also", [f".BR {_NAME} (5),", ".BR docker (1),", ".BR systemd.unit (5)"]),
    ):
        page.add_section(title, "=", "\n".join(lines))
    return "\n".join(map(_harmless, str(page).split("\n")))


def _harmless(line: str) -> str:
    """As argparse-manpage does not make it: a line of a help text that begins with `.domain` is no request."""
    if line.startswith(".TH "):
        return f"{line}\n{_RAGGED}"
    return rf"\&{line}" if line.startswith("'") or (line.startswith(".") and not _REQUEST.match(line)) else line


def _leave_out_what_all_have(parser: argparse.ArgumentParser) -> None:
    """The page explains these options once, and prints a command's one line in the list of them already."""
    common = argparse.ArgumentParser()
    common_options(common, None)
    shared = {option for action in common._actions for option in action.option_strings}
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        texts = {choice.dest: choice.help for choice in action._choices_actions}
        for name, one in action.choices.items():
            for own in one._actions:
                if shared & {*own.option_strings}:
                    own.help = argparse.SUPPRESS
            begins = sentence(texts.get(name) or " ")  # said already
            said = [(one.description or "").removeprefix(begins).strip(), one.epilog]
            one.description = "\n\n".join(text for text in said if text) or None
            _leave_out_what_all_have(one)


def _exit_statuses() -> Iterator[str]:
    yield "64 if the command line is wrong. Else:"
    for row in (_ROOT / "docs/commands.md").read_text().split("\n"):
        if found := _TABLE_ROW.fullmatch(row):
            yield from (".TP", _bold(_plain(found[1])), roff(_plain(found[2])))


def _plain(markdown: str) -> str:
    return re.sub(r"\[(.+?)\]\(.+?\)", r"\1", markdown).replace("`", "").replace("\\|", "|")


def _files() -> Iterator[str]:
    paths = Paths()
    for path, text in (
        (paths.policy, f"the policy: {_NAME}(5)"),
        (paths.audit_log, "the audit log"),
        (paths.state, "what it must not forget: originals, pins, the journal of a change under way"),
        (paths.status, "what status reads"),
        (paths.drop_in(paths.layout.service), "Docker's settings, where they go into its unit"),
        (paths.daemon_json, "Docker's settings, where they go into this file"),
        ("~/.docker/config.json", "what a client gives to containers and builds"),
    ):
        yield from (".TP", f".I {roff(str(path))}", roff(text))


def _examples() -> Iterator[str]:
    for text, line in _EXAMPLES:
        yield from (".TP", roff(text), _bold(line))


# The policy.


def policy() -> str:
    """docker-proxy-agent(5)."""
    head = [
        f'.TH {roff(_NAME.upper())} 5 "{_date()}" "{roff(_NAME)} {__version__}" "File formats"',
        ".SH NAME",
        rf"{roff(_NAME)} \- its policy: {roff(str(Paths().policy))}",
        ".SH DESCRIPTION",
        _RAGGED,
    ]
    tail = [".SH SEE ALSO", f".BR {roff(_NAME)} (1)"]
    return "\n".join([*head, *_explained((_ROOT / "config.example.toml").read_text()), *tail]) + "\n"


def _explained(example: str) -> Iterator[str]:
    """Comments come before what they are about: a section, or one or several keys."""
    said: list[str] = []
    keys: list[str] = []
    for line in example.split("\n"):
        section, key = _SECTION.fullmatch(line), _KEY.fullmatch(line)
        if keys and not key:
            yield from (*keys, *_text(said, ".IP"))
            keys, said = [], []
        if key:
            more = f"  # {roff(key['more'])}" if key["more"] else ""
            keys += [".TQ" if keys else ".TP", _bold(key["key"]) + more]
        elif line.startswith("#") and not section:
            said.append(line[1:].removeprefix(" "))
        else:
            yield from _text(said, ".PP")
            said = []
        if section:
            yield f".SH {roff(section['title'].upper())}" if section["title"] else f".SS {roff(line)}"


def _text(said: Sequence[str], goes_on: str) -> Iterator[str]:
    """Running text; what a comment indents is a list, after which the text goes on by that request."""
    for number, (is_list, lines) in enumerate(groupby(said, key=lambda line: _LIST.fullmatch(line) is not None)):
        if is_list:
            yield ".RS"
            for item in map(_LIST.fullmatch, lines):
                assert item is not None  # noqa: S101 - by the key of the group
                yield from (".TP 18", _bold(item["item"]), roff(item["text"]))
            yield ".RE"
        else:
            yield from (*([goes_on] if number else []), *map(roff, lines))


def _bold(text: str) -> str:
    return rf"\fB{roff(text)}\fR"


def roff(text: str) -> str:
    """As it is on the page: no character is one of roff's, nor is a line a request."""
    escaped = (
        text.replace("\\", r"\e").replace("-", r"\-").replace("~", r"\(ti").replace("^", r"\(ha").replace("`", r"\(ga")
    )
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _date() -> str:
    """Of what is built, so that the same is built again. As mandoc wants it: argparse-manpage changes a dash."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or (_ROOT / "agent/__init__.py").stat().st_mtime)
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%B %-d, %Y}"


def main() -> None:
    folder = Path(sys.argv[1])
    for section, text in ((1, commands()), (5, policy())):
        file = folder / f"man/man{section}/{_NAME}.{section}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


if __name__ == "__main__":
    main()
