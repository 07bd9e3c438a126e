"""The house: twelve folders, and who may import whom. Three of them are pure."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Set
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
AGENT: Final = ROOT / "agent"

# Top down: a folder imports only what stands below it, and nothing beside it.
ORDER: Final = (
    ("cli",),
    ("service",),
    ("one_pass",),
    ("docker", "clients"),
    ("decide", "audit"),
    ("targets",),
    ("system", "see", "probe"),
    ("values",),
)
PURE: Final = ("decide", "targets", "values")
IMPORT_NOTHING: Final = ("service", "one_pass", "audit", "clients", "system", "values")  # or `status` takes its time

FLOOR: Final = {folder: number for number, floor in enumerate(ORDER) for folder in floor}
FILES: Final = [file for folder in FLOOR for file in sorted((AGENT / folder).rglob("*.py"))]
OURS: Final = {
    node.name
    for file in FILES
    for node in ast.walk(ast.parse(file.read_text()))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
}
PURE_FILES: Final = [file for file in FILES if file.relative_to(AGENT).parts[0] in PURE]
HARMLESS: Final = {
    "__future__", "base64", "bisect", "collections", "datetime", "difflib", "enum", "fnmatch", "functools", "hashlib", "ipaddress",
    "itertools", "json", "math", "msgspec", "operator", "pathlib", "re", "string", "tomllib", "typing", "unicodedata", "urllib",
}  # fmt: skip
MOST_BY_POSITION: Final = 4  # arguments: from the fifth on nobody remembers which is which
NOT_NAMED_YET: Final = {"service", "one_pass", "docker", "clients", "system", "see"}  # folders where calls are left
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


def named(file: Path) -> str:
    return file.relative_to(AGENT).as_posix()


def test_the_house_is_these_folders_and_nothing_lies_beside_them() -> None:
    there = {path.name for path in AGENT.iterdir() if path.is_file() or any(path.rglob("*.py"))}

    assert there == {*FLOOR, "__init__.py"}
    assert len(FLOOR) == 12


@pytest.mark.parametrize("file", FILES, ids=named)
def test_imports_point_down(file: Path) -> None:
    own = file.relative_to(AGENT).parts[0]
    below = {folder for folder, number in FLOOR.items() if number > FLOOR[own]}

    for name in _imported(file):
        top, *rest = name.split(".")
        if top == "agent":
            assert rest[0] in {own, "__version__", *below}, f"{named(file)} imports {name}"


@pytest.mark.parametrize("package", IMPORT_NOTHING)
def test_who_imports_one_module_of_a_folder_gets_that_one(package: str) -> None:
    assert _imported(AGENT / package / "__init__.py") == set()


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


@pytest.mark.parametrize("file", PURE_FILES, ids=named)
def test_pure_code_imports_nothing_of_the_world(file: Path) -> None:
    for name in _imported(file):
        top, *rest = name.split(".")
        if top == "agent":
            assert rest[0] in PURE, f"{named(file)} imports {name}"
        else:
            assert top in HARMLESS, f"{named(file)} imports {name}"


@pytest.mark.parametrize("file", PURE_FILES, ids=named)
def test_pure_code_asks_no_clock_and_no_disk(file: Path) -> None:
    called = {node.func.attr for node in _calls(file) if isinstance(node.func, ast.Attribute)}

    assert not called & {*LOOKS_AT_A_DISK, "now", "today", "monotonic"}


@pytest.mark.parametrize("file", FILES, ids=named)
def test_a_call_with_many_arguments_names_them(file: Path) -> None:
    tree = ast.parse(file.read_text())
    others = {
        alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    long = [
        f"{node.lineno}: {ast.unparse(node.func)}"
        for node in _calls(file)
        if len(node.args) > MOST_BY_POSITION and _called(node.func, others) in OURS
    ]

    assert not long or file.relative_to(AGENT).parts[0] in NOT_NAMED_YET


def _called(function: ast.expr, others: Set[str]) -> str | None:
    """The last part of its name; None: it is of a module of somebody else's."""
    if isinstance(function, ast.Name):
        return function.id
    if not isinstance(function, ast.Attribute):
        return None
    is_theirs = isinstance(function.value, ast.Name) and function.value.id in others
    return None if is_theirs else function.attr


def _imported(file: Path) -> set[str]:
    """Dotted, each with the name that is taken from it; also what is imported only within a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _calls(file: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
