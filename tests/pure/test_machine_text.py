"""What programs print is split where they meant it, and nowhere else; and nothing asks pathlib what it may raise at."""

from __future__ import annotations

import ast

import pytest

from agent.docker.process import expanded
from agent.docker.unit import unit_state
from agent.see.resolver import parse
from agent.values.machine_text import lines, words
from tests.sources import SOURCES, methods_called, named

# Beside "\n" and " ", what Python takes for an end of a line, or for a blank (FACTS 67).
ODD = ["\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\xa0", "\u2028", "\u2029", "\u3000"]
odd = pytest.mark.parametrize("odd", ODD, ids=ascii)


def test_lines_and_words_as_they_are_meant() -> None:
    assert lines("a\n\nb\n") == ["a", "", "b"]
    assert lines("a\nb") == ["a", "b"]
    assert lines("") == []
    assert lines("\n") == [""]
    assert words("\ta  b\t c ") == ["a", "b", "c"]
    assert words("") == []


@odd
def test_other_signs_are_part_of_what_they_stand_in(odd: str) -> None:
    assert lines(f"a{odd}b\nc{odd}") == [f"a{odd}b", f"c{odd}"]
    assert words(f"a{odd}b {odd} c") == [f"a{odd}b", odd, "c"]


@odd
def test_no_line_of_a_units_state_is_made_by_a_name_in_it(odd: str) -> None:
    shown = f"ActiveState=active\nDropInPaths=/etc/a{odd}b.conf /etc/{odd}MainPID=6.conf\nMainPID=7\nLoadState=loaded\n"

    state = unit_state(shown)

    assert (state.pid, state.drop_ins) == (7, (f"/etc/a{odd}b.conf", f"/etc/{odd}MainPID=6.conf"))


@odd
def test_no_server_is_made_by_a_comment(odd: str) -> None:
    found = parse(f"# {odd}nameserver 192.0.2.1\nnameserver 10.0.0.1\n")

    assert found.servers == ("10.0.0.1",)


def test_a_variable_of_a_unit_is_split_as_systemd_does() -> None:
    assert expanded(["dockerd", "$OPTS"], {"OPTS": " -H\tfd://\n--x\xa0y\u2028z "}) == ("dockerd", "-H", "fd://", "--x\xa0y\u2028z")  # fmt: skip


def test_nothing_else_splits_text_or_asks_what_may_raise() -> None:
    """`splitlines` and `split` without an argument; pathlib's questions, which raise ENAMETOOLONG and EACCES (FACTS 66)."""
    splits = {"splitlines()", "splitlines", "split()", "rsplit()"}
    raises = {f"{name}()" for name in ("is_dir", "is_file", "exists", "is_symlink", "is_mount", "resolve", "is_socket")}
    wrong = []
    for file in SOURCES:
        # It knows where it lies.
        allowed = {"resolve()"} if named(file) == "cli/install/product.py" else set()
        called = {
            call.func.attr + ("" if call.args or call.keywords else "()")
            for call in methods_called(file)
            if isinstance(call.func, ast.Attribute)
        }
        if not named(file).startswith("cli/demo/"):
            wrong += [f"{named(file)}: {name}" for name in sorted(called & (splits | raises - allowed))]

    assert not wrong
