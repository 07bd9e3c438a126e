"""The house: fourteen folders, and who may import whom. Three of them are pure."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Set
from pathlib import Path
from typing import Final

import pytest

from tests.house import DOCUMENT, ORDER, PURE, with_picture
from tests.sources import AGENT, ROOT, SOURCES, imported, methods_called, named, nodes, parsed

IMPORT_NOTHING: Final = ("service", "one_pass", "audit", "clients", "system", "values")  # or `status` takes its time

FLOOR: Final = {folder: number for number, floor in enumerate(ORDER) for folder in floor}
FILES: Final = [file for file in SOURCES if file.parent != AGENT]
PURE_FILES: Final = [file for file in FILES if file.relative_to(AGENT).parts[0] in PURE]
HARMLESS: Final = {
    "__future__", "base64", "bisect", "collections", "datetime", "difflib", "enum", "fnmatch", "functools", "hashlib", "ipaddress",
    "itertools", "json", "math", "msgspec", "operator", "pathlib", "re", "shlex", "string", "tomllib", "typing", "unicodedata", "urllib",
}  # fmt: skip
LISTED: Final = re.compile(r"^ {4}([a-z_]+)/? {2,}\S", re.MULTILINE)
MOST_BY_POSITION: Final = 4  # arguments: from the fifth on nobody remembers which is which
# pathlib is for `values/paths.py`, which only joins names; none of the methods that look at a disk may be called.
LOOKS_AT_A_DISK: Final = {
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "exists",
    "stat",
    "open",
    "resolve",
    "mkdir",
}


def test_the_house_is_these_folders_and_nothing_lies_beside_them() -> None:
    there = {path.name for path in AGENT.iterdir() if path.is_file() or any(path.rglob("*.py"))}

    assert there == {*FLOOR, "__init__.py"}
    assert len(FLOOR) == 14


def test_the_picture_of_it_is_what_the_imports_are() -> None:
    text = DOCUMENT.read_text()

    assert text == with_picture(text), "make docs"


def test_imports_point_down() -> None:
    wrong = []
    for file in FILES:
        own = file.relative_to(AGENT).parts[0]
        below = {folder for folder, number in FLOOR.items() if number > FLOOR[own]}
        for name in imported(file):
            top, *rest = name.split(".")
            if top == "agent" and rest[0] not in {own, "__version__", *below}:
                wrong.append(f"{named(file)} imports {name}")

    assert not wrong


def test_a_folder_that_lists_what_is_in_it_lists_all_of_that_and_nothing_else() -> None:
    wrong = []
    for file in (one for one in SOURCES if one.name == "__init__.py"):
        text = ast.get_docstring(parsed(file), clean=False) or ""
        listed = set(LISTED.findall(text))
        there = {path.stem for path in file.parent.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}
        if listed:
            wrong += [f"{named(file)}: {name} is not there" for name in sorted(listed - there)]
            beside = {"__init__", *re.findall(r"`([a-z_]+)/?`", text)}
            wrong += [f"{named(file)}: {name} is missing" for name in sorted(there - listed - beside)]

    assert not wrong, "a line for each, in the docstring"


@pytest.mark.parametrize("package", IMPORT_NOTHING)
def test_who_imports_one_module_of_a_folder_gets_that_one(package: str) -> None:
    assert imported(AGENT / package / "__init__.py") == set()


def test_status_brings_no_pass_along() -> None:
    """It answers at once: what it does not need is not imported."""
    code = "import sys, agent.cli.status; print(*sys.modules, sep='\\n')"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    ours = {tuple(name.split(".")[1:]) for name in shown.stdout.split() if name.startswith("agent.")}

    assert {name[0] for name in ours} <= {"cli", "service", "one_pass", "system", "values"}
    assert {name for name in ours if name[0] in {"service", "one_pass"} and name[1:]} == {
        ("one_pass", "page"), ("one_pass", "picture"), ("one_pass", "screen"), ("service", "status_file"), ("service", "status_page"),
    }  # fmt: skip
    assert not {"asyncio", "ssl", "structlog", "watchdog", "agent.values.policy"} & {*shown.stdout.split()}


def test_pure_code_imports_nothing_of_the_world() -> None:
    wrong = []
    for file in PURE_FILES:
        for name in imported(file):
            top, *rest = name.split(".")
            if (rest[0] not in PURE) if top == "agent" else (top not in HARMLESS):
                wrong.append(f"{named(file)} imports {name}")

    assert not wrong


def test_pure_code_asks_no_clock_and_no_disk() -> None:
    asks = {*LOOKS_AT_A_DISK, "now", "today", "monotonic"}

    wrong = [
        f"{named(file)}: {ast.unparse(call)}" for file in PURE_FILES for call in methods_called(file)
        if isinstance(call.func, ast.Attribute) and call.func.attr in asks
    ]  # fmt: skip

    assert not wrong


def test_the_relay_knows_nothing_of_docker_and_of_the_rules() -> None:
    """It reads what containers send: what it does not import, nobody takes over with it."""
    files = [file for file in FILES if file.is_relative_to(AGENT / "relay")]
    folders = {name.split(".")[1] for file in files for name in imported(file) if name.startswith("agent.")}

    assert folders <= {"relay", "audit", "probe", "see", "system", "values"}


def test_what_evaluates_a_script_of_the_network_knows_nothing_of_us() -> None:
    files = [file for file in FILES if file.is_relative_to(AGENT / "pac")]

    assert files
    assert not {name for file in files for name in imported(file) if name.startswith("agent")}


def test_a_call_with_many_arguments_names_them() -> None:
    ours = {file: _taking_named_arguments(file) for file in FILES}
    public = {name for found in ours.values() for name in found if not name.startswith("_")}
    wrong = []
    for file in FILES:
        others = {
            alias.asname or alias.name for node in nodes(file) if isinstance(node, ast.Import) for alias in node.names
        }
        known = public | ours[file]
        wrong += [
            f"{named(file)}: {node.lineno}: {ast.unparse(node.func)}"
            for node in nodes(file)
            if isinstance(node, ast.Call) and len(node.args) > MOST_BY_POSITION and _called(node.func, others) in known
        ]

    assert not wrong


def _taking_named_arguments(file: Path) -> set[str]:
    """What a file defines and what can be called, but for what takes any number of arguments."""
    return {
        node.name
        for node in nodes(file)
        if isinstance(node, ast.ClassDef)
        or (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.args.vararg is None)
    }


def _called(function: ast.expr, others: Set[str]) -> str | None:
    """The last part of its name; None: it is of a module of somebody else's."""
    if isinstance(function, ast.Name):
        return function.id
    if not isinstance(function, ast.Attribute):
        return None
    is_theirs = isinstance(function.value, ast.Name) and function.value.id in others
    return None if is_theirs else function.attr
