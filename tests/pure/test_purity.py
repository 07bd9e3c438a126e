"""Decisions, targets and values know nothing of the world: a test keeps it so."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

AGENT = Path(__file__).parents[2] / "agent"
FOLDERS = ("decide", "targets", "values")
PURE = [file for folder in FOLDERS for file in sorted((AGENT / folder).rglob("*.py"))]
HARMLESS = {
    "__future__", "base64", "bisect", "collections", "datetime", "difflib", "enum", "fnmatch", "functools", "hashlib", "ipaddress",
    "itertools", "json", "math", "msgspec", "operator", "pathlib", "re", "string", "tomllib", "typing", "unicodedata", "urllib",
}  # fmt: skip
# pathlib is for `values/paths.py`, which only joins names; none of the methods that look at a disk may be called.
LOOKS_AT_A_DISK = {"read_text", "read_bytes", "write_text", "write_bytes", "exists", "stat", "open", "resolve", "mkdir"}


@pytest.mark.parametrize("file", PURE, ids=lambda file: str(file.relative_to(AGENT)))
def test_pure_code_imports_nothing_of_the_world(file: Path) -> None:
    for name in _imported(file):
        top, *rest = name.split(".")
        if top == "agent":
            assert rest, name
            assert rest[0] in FOLDERS, f"{file.name} imports {name}"
        else:
            assert top in HARMLESS, f"{file.name} imports {name}"


@pytest.mark.parametrize("file", PURE, ids=lambda file: str(file.relative_to(AGENT)))
def test_pure_code_asks_no_clock_and_no_disk(file: Path) -> None:
    called = {node.func.attr for node in _calls(file) if isinstance(node.func, ast.Attribute)}

    assert not called & {*LOOKS_AT_A_DISK, "now", "today", "monotonic"}


def _imported(file: Path) -> set[str]:
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
